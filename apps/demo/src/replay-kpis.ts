// What the replay is judged by. Times and ratios that every system measures come from its metrics; what only the replay
// knows (stale reads, the recording's ceiling, the read-back check) comes from its counts. No data is a miss here: a replay
// that did not measure something has not met its target.
import type { KpiResult } from '@perf/metrics';
import type { SystemStatistics } from '@perf/system';
import type { ReadBack, ReplayCounts } from './replay.ts';

export interface ReplayOutcome {
  readonly counts: ReplayCounts;
  readonly statistics: SystemStatistics;
  readonly readBack: ReadBack | undefined;
  /** Highest resident set seen, in bytes. */
  readonly peakRssBytes: number;
  /** The replay was slowed down on purpose, so its duration says nothing. */
  readonly paced: boolean;
}

interface Target {
  readonly id: string;
  readonly title: string;
  readonly unit: KpiResult['unit'];
  readonly direction: KpiResult['direction'];
  readonly target: number;
  measure(outcome: ReplayOutcome): number | undefined;
}

const MIB = 1024 * 1024;

const p99 =
  (name: string) =>
  ({ statistics }: ReplayOutcome): number | undefined => {
    const operation = statistics.operations.find((o) => o.name === name);
    return operation && operation.count > 0 ? operation.p99Ms / 1000 : undefined;
  };

const targets: readonly Target[] = [
  {
    id: 'read-back',
    title: 'Messages read back byte for byte',
    unit: 'ratio',
    direction: 'atLeast',
    target: 1,
    measure: ({ readBack }) =>
      readBack && readBack.messages > 0 ? readBack.equal / readBack.messages : undefined,
  },
  {
    id: 'stale-reads',
    title: 'Stale reads',
    unit: 'count',
    direction: 'atMost',
    target: 0,
    measure: ({ counts }) => (counts.lookups > 0 ? counts.staleReads : undefined),
  },
  {
    id: 'hits-of-achievable',
    title: 'Cache hits of those achievable',
    unit: 'ratio',
    direction: 'atLeast',
    target: 0.8,
    measure: ({ counts }) => (counts.achievable.hits > 0 ? counts.hits / counts.achievable.hits : undefined),
  },
  {
    id: 'failed-writes',
    title: 'Writes that failed or were dropped',
    unit: 'count',
    direction: 'atMost',
    target: 0,
    measure: ({ statistics }) => statistics.writes.failedWrites + statistics.writes.droppedWrites,
  },
  {
    id: 'stored-of-raw',
    title: 'Stored bytes of raw bytes',
    unit: 'ratio',
    direction: 'atMost',
    target: 0.5,
    measure: ({ statistics: { sessions } }) =>
      sessions.rawBytes > 0 ? sessions.storedBytes / sessions.rawBytes : undefined,
  },
  {
    id: 'cache-hit-p99',
    title: 'Cache hit, p99',
    unit: 'seconds',
    direction: 'atMost',
    target: 0.02,
    measure: p99('cache.hit'),
  },
  {
    id: 'store-accept-p99',
    title: 'Message accepted, p99',
    unit: 'seconds',
    direction: 'atMost',
    target: 0.05,
    measure: p99('store.accept'),
  },
  {
    id: 'graph-traverse-p99',
    title: '3-hop graph query, p99',
    unit: 'seconds',
    direction: 'atMost',
    target: 0.02,
    measure: p99('graph.traverse'),
  },
  {
    id: 'patterns-detect-p99',
    title: 'Failure detection, p99',
    unit: 'seconds',
    direction: 'atMost',
    target: 0.05,
    measure: p99('patterns.detect'),
  },
  {
    id: 'event-loop-delay-p99',
    title: 'Event-loop delay, p99',
    unit: 'seconds',
    direction: 'atMost',
    target: 0.2,
    measure: ({ statistics }) => finite(statistics.eventLoopDelayMsP99 / 1000),
  },
  {
    id: 'peak-rss',
    title: 'Resident memory, peak',
    unit: 'bytes',
    direction: 'atMost',
    target: 400 * MIB,
    measure: ({ peakRssBytes }) => peakRssBytes,
  },
  {
    id: 'duration',
    title: 'Duration of the replay',
    unit: 'seconds',
    direction: 'atMost',
    target: 60,
    measure: ({ counts }) => (counts.events === counts.totalEvents ? counts.elapsedMs / 1000 : undefined),
  },
];

export interface ReplayKpi {
  readonly id: string;
  readonly title: string;
  readonly unit: KpiResult['unit'];
  readonly direction: KpiResult['direction'];
  readonly target: number;
  readonly measured: number | undefined;
  readonly verdict: 'pass' | 'miss';
}

export function judgeReplay(outcome: ReplayOutcome): ReplayKpi[] {
  const judged = outcome.paced ? targets.filter(({ id }) => id !== 'duration') : targets;
  return judged.map(({ measure, ...target }) => {
    const measured = measure(outcome);
    const met =
      measured !== undefined &&
      (target.direction === 'atMost' ? measured <= target.target : measured >= target.target);
    return { ...target, measured, verdict: met ? 'pass' : 'miss' };
  });
}

const finite = (value: number): number | undefined => (Number.isFinite(value) ? value : undefined);
