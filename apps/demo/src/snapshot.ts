// What the dashboard shows, once: a plain JSON object, taken from the replay and the system.
import type { PerformanceSystem } from '@perf/system';
import type { ReplayKpi } from './replay-kpis.ts';
import type { Replay, ReplayCounts } from './replay.ts';

export interface Snapshot {
  /** `replaying` until the recording is over, `checking` during the read-back, then `finished` or `stopped`. */
  readonly phase: 'loading' | 'replaying' | 'checking' | 'finished' | 'stopped';
  readonly atMs: number;
  readonly counts: ReplayCounts;
  readonly parts: readonly {
    readonly name: string;
    readonly count: number;
    readonly failures: number;
    readonly p50Ms: number;
    readonly p99Ms: number;
  }[];
  readonly cache: { readonly entries: number; readonly sizeBytes: number };
  readonly stored: { readonly messages: number; readonly rawBytes: number; readonly storedBytes: number };
  readonly queuedWrites: number;
  readonly graph: { readonly nodes: number; readonly edges: number };
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
    cache: { entries: s.cache.entries, sizeBytes: s.cache.sizeBytes },
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
