// What the graph was asked and how it went about it: counters always, events when somebody listens.

import { channel } from 'node:diagnostics_channel';
import type { LevelMode } from './direction-optimizing.ts';
import { sizeAlerts } from './degree-statistics.ts';

/** Published on `perf:graph:query`. */
export interface QueryEvent {
  readonly kind: 'traverse' | 'shortestPath' | 'subgraph' | 'search';
  /** Hops asked for. */
  readonly depth: number;
  /** Nodes returned. */
  readonly nodes: number;
  readonly durationMs: number;
  readonly cached: boolean;
}

export interface QueryStats {
  readonly traversals: number;
  /** Traversals by hops asked for, 0 to 8 and more. */
  readonly byDepth: readonly number[];
  /** Traversals answered from the cache. */
  readonly cached: number;
  /** Levels made in each mode. */
  readonly levels: Readonly<Record<LevelMode, number>>;
  readonly depthFirst: number;
  readonly paths: number;
  readonly weightedPaths: number;
  readonly subgraphs: number;
  readonly searches: number;
  readonly streams: number;
}

const DEPTHS = 9;
const queries = channel('perf:graph:query');
const alerts = channel('perf:graph:alert');

export class QueryLog {
  readonly byDepth: number[] = Array.from({ length: DEPTHS }, () => 0);
  readonly levels: Record<LevelMode, number> = { sparse: 0, dense: 0, 'bottom-up': 0 };
  traversals = 0;
  cached = 0;
  depthFirst = 0;
  paths = 0;
  weightedPaths = 0;
  subgraphs = 0;
  searches = 0;
  streams = 0;
  #alerted = new Set<string>();

  /** When an event will want to know how long it took; 0 when nobody listens. */
  startedAt(): number {
    return queries.hasSubscribers ? performance.now() : 0;
  }

  traversed(depth: number, modes: Readonly<Record<LevelMode, number>> | undefined): void {
    this.traversals++;
    this.byDepth[Math.min(depth, DEPTHS - 1)]!++;
    if (modes === undefined) {
      this.cached++;
      return;
    }
    this.levels.sparse += modes.sparse;
    this.levels.dense += modes.dense;
    this.levels['bottom-up'] += modes['bottom-up'];
  }

  publish(kind: QueryEvent['kind'], startedAt: number, depth: number, nodes: number, cached = false): void {
    if (!queries.hasSubscribers) return;
    const event: QueryEvent = { kind, depth, nodes, durationMs: performance.now() - startedAt, cached };
    queries.publish(event);
  }

  /** Tells of a size alert once, when it begins; again after it was over. */
  checkSize(size: { readonly nodes: number; readonly edges: number }): void {
    const active = sizeAlerts(size);
    if (active.length === 0 && this.#alerted.size === 0) return;
    for (const alert of active) {
      if (!this.#alerted.has(alert.kind) && alerts.hasSubscribers) alerts.publish(alert);
    }
    this.#alerted = new Set(active.map(({ kind }) => kind));
  }

  get stats(): QueryStats {
    const { traversals, cached, depthFirst, paths, weightedPaths, subgraphs, searches, streams } = this;
    return {
      traversals,
      byDepth: [...this.byDepth],
      cached,
      levels: { ...this.levels },
      depthFirst,
      paths,
      weightedPaths,
      subgraphs,
      searches,
      streams,
    };
  }
}
