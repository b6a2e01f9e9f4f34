import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Graph } from '@perf/graph';
import { scratchDir } from './scratch-dir.ts';

const path = scratchDir();
const script = fileURLToPath(new URL('writer-process.ts', import.meta.url));

interface Writer {
  readonly child: ChildProcess;
  /** Resolves when so many lines have been acknowledged. */
  readonly acknowledged: (count: number) => Promise<void>;
  readonly lines: () => readonly string[];
}

function startWriter(file: string, name: string, count: number, mode = 'plain'): Writer {
  const child = spawn(
    process.execPath,
    ['--conditions=@perf/source', script, file, name, String(count), mode],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let text = '';
  let onLine = (): void => undefined;
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    onLine();
  });
  const lines = (): readonly string[] =>
    text
      .slice(0, text.lastIndexOf('\n') + 1)
      .split('\n')
      .slice(0, -1);
  return {
    child,
    lines,
    acknowledged: (wanted) =>
      new Promise((resolve) => {
        onLine = () => {
          if (lines().length >= wanted) resolve();
        };
        onLine();
      }),
  };
}

async function exit({ child }: Writer): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

describe('several processes', () => {
  it('lose no edge when two of them and this one write at once, and all see all', async () => {
    const file = path('writers.db');
    using graph = Graph.open({ path: file });
    const writers = ['left', 'right'].map((name) => startWriter(file, name, 1_500));
    await Promise.all(writers.map((writer) => writer.acknowledged(1)));
    let own = 0;
    while (writers.some(({ child }) => child.exitCode === null)) {
      graph.putEdge({ source: `own ${own}`, target: 'hub 0', type: 'own' });
      own++;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(graph.stats()).toMatchObject({ edges: 3_000 + own, rebuilds: { diverged: 0 } });
    expect(graph.degree('hub 0', 'in')).toBe(own + 2 * Math.ceil(1_500 / 7));
    using fresh = Graph.open({ path: file, snapshot: false });
    expect(fresh.stats()).toMatchObject({ edges: 3_000 + own, nodes: graph.stats().nodes });
  });

  it('show a commit to the next read, without a rebuild', async () => {
    const file = path('fresh.db');
    using graph = Graph.open({ path: file });
    const writer = startWriter(file, 'w', 300, 'delete');
    await writer.acknowledged(301);
    await exit(writer);
    expect(graph.neighbors('w 0')).toEqual(['hub 0']);
    expect(graph.getNode('w 1')).toBeUndefined();
    expect(graph.stats()).toMatchObject({ edges: 200, rebuilds: { missing: 1, diverged: 0, stale: 0 } });
    expect(graph.stats().foreignChanges).toBeGreaterThan(0);
  });
});

describe('kill -9', () => {
  it.each([
    ['plain', 40],
    ['plain', 333],
    ['delete', 150],
    ['compact', 60],
    ['compact', 200],
  ])('loses nothing acknowledged by a %s writer after %i edges', async (mode, after) => {
    const file = path(`killed-${mode}-${after}.db`);
    const writer = startWriter(file, 'k', 100_000, mode);
    await writer.acknowledged(after);
    writer.child.kill('SIGKILL');
    await exit(writer);
    const done = writer.lines().length - 1;
    for (const snapshot of [true, false]) {
      using graph = Graph.open({ path: file, snapshot });
      const present = (i: number): boolean => graph.getNode(`k ${i}`) !== undefined;
      const wanted = (i: number): boolean => mode !== 'delete' || i % 3 !== 1;
      for (let i = 0; i < done - 1; i++) expect([i, present(i)]).toEqual([i, wanted(i)]);
      for (let hub = 0; hub < 7; hub++) {
        const sources = graph.neighbors(`hub ${hub}`, { direction: 'in' });
        expect(sources.length).toBe(graph.degree(`hub ${hub}`, 'in'));
        for (const source of sources) expect(graph.neighbors(source)).toContain(`hub ${hub}`);
      }
    }
  });
});
