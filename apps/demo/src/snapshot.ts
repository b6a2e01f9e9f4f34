// What the dashboard shows, once: a plain JSON object, taken from the replay and the system.
import type { PerformanceSystem } from '@perf/system';
import type { ReplayKpi } from './replay-kpis.ts';
import { hopOperations } from './replay.ts';
import type { FailureCount, Replay, ReplayCounts } from './replay.ts';

export interface PartSnapshot {
  readonly name: string;
  readonly count: number;
  readonly failures: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface TierSnapshot {
  readonly name: string;
  readonly hits: number;
  readonly misses: number;
  /** `undefined` where the tier does not count them. */
  readonly entries: number | undefined;
}

export interface Snapshot {
  /** `replaying` until the recording is over, `checking` during the read-back, then `finished` or `stopped`. */
  readonly phase: 'loading' | 'replaying' | 'checking' | 'finished' | 'stopped';
  readonly atMs: number;
  readonly counts: ReplayCounts;
  readonly parts: readonly PartSnapshot[];
  readonly cache: {
    readonly entries: number;
    readonly sizeBytes: number;
    readonly tiers: readonly TierSnapshot[];
    /** Expected misses of the memory tier, in [0, 1], were it of another size; empty while there is too little to tell. */
    readonly missRatioCurve: readonly { readonly entries: number; readonly missRatio: number }[];
  };
  readonly stored: { readonly messages: number; readonly rawBytes: number; readonly storedBytes: number };
  readonly queuedWrites: number;
  readonly graph: { readonly nodes: number; readonly edges: number };
  /** Neighbourhoods by hops, and how often the planner chose each way. */
  readonly queries: readonly (PartSnapshot & { readonly hops: number })[];
  readonly plans: Readonly<Record<string, number>>;
  /** Levels of the searches, by the way the graph made them. */
  readonly levels: Readonly<Record<string, number>>;
  /** Traversals answered from the graph's cache. */
  readonly cachedQueries: number;
  readonly topFailures: readonly FailureCount[];
  readonly detections: { readonly total: number; readonly byType: Readonly<Record<string, number>> };
  readonly memory: { readonly rssBytes: number; readonly heapUsedBytes: number; readonly level: string };
  readonly eventLoopDelayMsP99: number;
  readonly gcPauseMsP99: number;
  /** Judged at the end; empty before. */
  readonly kpis: readonly ReplayKpi[];
}

export function takeSnapshot(
  system: PerformanceSystem,
  replay: Replay,
  phase: Snapshot['phase'],
  kpis: readonly ReplayKpi[] = [],
): Snapshot {
  const s = system.getStatistics();
  return {
    phase,
    atMs: s.atMs,
    counts: replay.counts(),
    parts: s.operations,
    cache: {
      entries: s.cache.entries,
      sizeBytes: s.cache.sizeBytes,
      tiers: Object.entries(s.cache.tiers).map(([name, { hits, misses, entries }]) => ({
        name,
        hits,
        misses,
        entries,
      })),
      missRatioCurve: system.cache.missRatioCurve(),
    },
    queries: s.operations.flatMap((operation) => {
      const hops = hopOperations.indexOf(operation.name) + 1;
      return hops > 0 ? [{ ...operation, hops }] : [];
    }),
    plans: replay.plans(),
    levels: s.graph.queries.levels,
    cachedQueries: s.graph.queries.cached,
    topFailures: replay.topFailures(),
    stored: {
      messages: s.sessions.messages,
      rawBytes: s.sessions.rawBytes,
      storedBytes: s.sessions.storedBytes,
    },
    queuedWrites: s.writes.queued,
    graph: { nodes: s.graph.nodes, edges: s.graph.edges },
    detections: { total: s.patterns.detections, byType: s.patterns.detectionsByType },
    memory: { rssBytes: s.memory.rssBytes, heapUsedBytes: s.memory.heapUsedBytes, level: s.memory.level },
    eventLoopDelayMsP99: s.eventLoopDelayMsP99,
    gcPauseMsP99: s.gcPauseMsP99,
    kpis,
  };
}
