import { describe, expect, it } from 'vitest';
import { PointHistory } from '../src/point-history.ts';
import type { Snapshot } from '../src/snapshot.ts';

function snapshot(seconds: number, events: number): Snapshot {
  return {
    phase: 'replaying',
    atMs: 0,
    counts: {
      events,
      totalEvents: 1e6,
      agents: [],
      bytes: 0,
      toolResults: 0,
      lookups: 4,
      hits: 1,
      staleReads: 0,
      invalidations: 0,
      achievable: { lookups: 0, hits: 0 },
      costUsd: 0,
      inputTokens: 0,
      outputTokens: 0,
      cachedTokens: 0,
      elapsedMs: seconds * 1000,
    },
    parts: [{ name: 'cache.hit', count: 1, failures: 0, p50Ms: 1, p99Ms: 2 }],
    cache: { entries: 0, sizeBytes: 0, tiers: [], missRatioCurve: [] },
    stored: { messages: 0, rawBytes: 10, storedBytes: 5 },
    queuedWrites: 0,
    graph: { nodes: 0, edges: 0 },
    queries: [{ name: 'graph.traverse', hops: 3, count: 1, failures: 0, p50Ms: 1, p99Ms: 7 }],
    plans: {},
    levels: {},
    cachedQueries: 0,
    topFailures: [],
    detections: { total: 0, byType: {} },
    memory: { rssBytes: 1, heapUsedBytes: 1, level: 'optimal' },
    eventLoopDelayMsP99: Number.NaN,
    gcPauseMsP99: 3,
    kpis: [],
  };
}

describe('PointHistory', () => {
  it('turns snapshots into points, with what is not known as null', () => {
    const history = new PointHistory();
    history.add(snapshot(1, 100));
    history.add(snapshot(3, 400));
    expect(history.points()).toMatchObject([
      { seconds: 1, eventsPerSecond: 100 },
      {
        seconds: 3,
        eventsPerSecond: 150,
        hitRate: 0.25,
        ceiling: null,
        rawBytes: 10,
        storedBytes: 5,
        eventLoopDelayMs: null,
        gcPauseMs: 3,
        queryMs: [null, null, 7],
        hitMs: 2,
        detectMs: null,
      },
    ]);
  });

  it('leaves out snapshots of the same time', () => {
    const history = new PointHistory();
    for (const seconds of [0, 1, 1, 0.5]) history.add(snapshot(seconds, 1));
    expect(history.points()).toHaveLength(1);
  });

  it('keeps the whole course within its bound, from the first point to the newest', () => {
    const history = new PointHistory(16);
    for (let n = 1; n <= 1000; n++) {
      history.add(snapshot(n, n * 10));
      const points = history.points();
      expect(points.length).toBeLessThan(16);
      expect(points[0]?.seconds).toBe(1);
      expect(points.map(({ seconds }) => seconds)).toEqual(
        points.map(({ seconds }) => seconds).toSorted((a, b) => a - b),
      );
      // Nothing older than a quarter of the time is missing at the end.
      expect(points.at(-1)?.seconds).toBeGreaterThan(n * 0.74);
    }
    expect(new Set(history.points().map(({ eventsPerSecond }) => Math.round(eventsPerSecond)))).toEqual(
      new Set([10]),
    );
  });

  it('gives a copy', () => {
    const history = new PointHistory();
    history.add(snapshot(1, 1));
    const before = history.points();
    history.add(snapshot(2, 2));
    expect(before).toHaveLength(1);
  });
});
