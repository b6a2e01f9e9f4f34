import { createTestPerformanceSystem } from '@perf/system';
import type { PerformanceSystem } from '@perf/system';
import { describe, expect, it, onTestFinished } from 'vitest';
import { readArguments } from '../src/command-line.ts';
import { loadRecordings } from '../src/recording.ts';
import type { Recording } from '../src/recording.ts';
import { judgeReplay } from '../src/replay-kpis.ts';
import { Replay } from '../src/replay.ts';
import { takeSnapshot } from '../src/snapshot.ts';
import { ToolEnvironment } from '../src/tool-environment.ts';

async function open(): Promise<PerformanceSystem> {
  const system = await createTestPerformanceSystem();
  onTestFinished(() => system.shutdown());
  return system;
}

const result = (
  tool: string,
  args: Record<string, unknown>,
  output: string,
): Recording['events'][number]['results'][number] => ({
  tool,
  args,
  output,
  isError: false,
});

/** A file that is read, read again, written, and read. */
const recording: Recording = {
  agent: 'a',
  source: 'test',
  files: [],
  rawBytes: 0,
  resets: false,
  events: [
    result('Read', { file_path: '/x' }, 'old'),
    result('Read', { file_path: '/x' }, 'old'),
    result('Edit', { file_path: '/x' }, 'done'),
    result('Read', { file_path: '/x' }, 'new'),
    result('Read', { file_path: '/x' }, 'new'),
    result('Bash', { command: 'make' }, 'Error: ECONNREFUSED 127.0.0.1:80\nnpm ERR! code ENOENT'),
  ].map((one, n) => ({ raw: `event ${n} ünï`, role: 'tool', results: [one] })),
};

describe('Replay', () => {
  it('answers from the cache what has not changed, stores every event, and builds the graph', async () => {
    const system = await open();
    const replay = new Replay(system, [recording]);
    await replay.run();
    expect(replay.counts()).toMatchObject({
      events: 6,
      totalEvents: 6,
      toolResults: 6,
      lookups: 4,
      hits: 2,
      staleReads: 0,
      achievable: { lookups: 4, hits: 2 },
    });
    expect(await replay.readBack()).toEqual({ messages: 6, equal: 6 });
    expect(system.graph.traverse('agent:a', { maxDepth: 1 }).ids).toContain('file:/x');
    expect(replay.topFailures().length).toBeGreaterThan(0);
    expect(replay.plans()).toEqual({ bfs: 3 });
    const snapshot = takeSnapshot(system, replay, 'finished');
    expect(snapshot.queries.map(({ hops, count }) => [hops, count])).toEqual([
      [1, 1],
      [2, 1],
      [3, 1],
    ]);
    expect(snapshot.cache.tiers.map(({ name }) => name).toSorted()).toEqual(['memory', 'sqlite']);
    expect(JSON.parse(JSON.stringify(snapshot))).toMatchObject({ phase: 'finished', counts: { events: 6 } });
  });

  it('counts a stale read when the environment does not notice a write', async () => {
    const system = await open();
    const replay = new Replay(system, [recording], {
      environmentOf: (agent, isReset) => {
        const real = new ToolEnvironment(agent, isReset);
        return {
          effectOf: (call) => {
            const effect = real.effectOf(call);
            return effect.kind === 'write' ? { kind: 'neither' } : effect;
          },
          reset: () => real.reset(),
        };
      },
    });
    await replay.run();
    expect(replay.counts().staleReads).toBe(1);
    const kpis = judgeReplay({
      counts: replay.counts(),
      statistics: system.getStatistics(),
      readBack: await replay.readBack(),
      peakRssBytes: 1,
      paced: false,
    });
    expect(kpis.find(({ id }) => id === 'stale-reads')).toMatchObject({ measured: 1, verdict: 'miss' });
  });

  it('notices a stored message that is not what it was, and one too many', async () => {
    const system = await open();
    const replay = new Replay(system, [recording]);
    await replay.run();
    const [found] = await system.similarSessions('events replayed');
    await system.recordMessage(found?.session.id ?? '', 'one too many');
    expect(await replay.readBack()).toEqual({ messages: 7, equal: 6 });
  });

  it('replays twice into one system without stale reads or mixed messages', async () => {
    const system = await open();
    for (let run = 0; run < 2; run++) {
      const replay = new Replay(system, [recording]);
      await replay.run();
      expect(replay.counts()).toMatchObject({ hits: 2, staleReads: 0 });
      expect(await replay.readBack()).toEqual({ messages: 6, equal: 6 });
    }
  });

  it('stops after the events under way when it is told to, with everything accepted committed', async () => {
    const system = await open();
    const recordings = await loadRecordings(readArguments([], false).dataFolder);
    const controller = new AbortController();
    const replay = new Replay(system, recordings, { signal: controller.signal });
    const running = replay.run();
    while (replay.counts().events < 50) await new Promise(setImmediate);
    controller.abort();
    await running;
    const { events, totalEvents } = replay.counts();
    expect(events).toBeGreaterThanOrEqual(50);
    expect(events).toBeLessThan(totalEvents);
    expect(await replay.readBack()).toEqual({ messages: events, equal: events });
    expect(system.getStatistics().writes).toMatchObject({ queued: 0, failedWrites: 0 });
  });
});

describe('judgeReplay', () => {
  it('takes what was not measured for a miss, and does not judge the duration of a slowed replay', async () => {
    const system = await open();
    const replay = new Replay(system, [recording]);
    const outcome = {
      counts: replay.counts(),
      statistics: system.getStatistics(),
      readBack: undefined,
      peakRssBytes: 1,
    };
    const judged = judgeReplay({ ...outcome, paced: false });
    expect(judged.find(({ id }) => id === 'read-back')).toMatchObject({
      measured: undefined,
      verdict: 'miss',
    });
    expect(judged.find(({ id }) => id === 'cache-hit-p99')?.verdict).toBe('miss');
    expect(judged.find(({ id }) => id === 'duration')?.verdict).toBe('miss');
    expect(judgeReplay({ ...outcome, paced: true }).map(({ id }) => id)).not.toContain('duration');
  });
});
