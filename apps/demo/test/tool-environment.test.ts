import { describe, expect, it } from 'vitest';
import { achievableHits } from '../src/achievable-hits.ts';
import { readArguments } from '../src/command-line.ts';
import { loadRecordings } from '../src/recording.ts';
import type { Recording, ReplayEvent } from '../src/recording.ts';
import { ToolEnvironment, onlyLooks } from '../src/tool-environment.ts';
import type { Environment } from '../src/tool-environment.ts';

describe('onlyLooks', () => {
  it.each([
    'ls -la src',
    'git status && git diff --stat',
    'git --no-pager log',
    'cat a.txt | grep -n x | wc -l',
    'cd src; ls',
    'grep x y 2>/dev/null || true',
    'grep x y 2>&1 | head',
    'FOO=1 cat x',
    'open src/a.py 3',
    'search_dir "x" src',
    '',
  ])('is true for %o', (command) => {
    expect(onlyLooks(command)).toBe(true);
  });

  it.each([
    'rm -rf x',
    'npm test',
    'echo x > file',
    'echo x >> file',
    'cat a && touch b',
    'ls | xargs rm',
    'cat $(touch x)',
    'cat `touch x`',
    'cat <<EOF',
    'git commit -m x',
    'git',
    'ls & rm x',
    'cat x >& file',
    'cat x >/dev/nullify',
    'sort -o x x',
    'git branch new',
    'git diff --output=x',
    'uniq in out',
    'date -s 2020-01-01',
    'cat <(touch x)',
    'open a.py; rm a.py',
    'goto 3\nrm x',
    'find . -delete',
    'sed -i s/a/b/ x',
    'tee file',
    'python x.py',
    'edit 1:2',
  ])('is false for %o', (command) => {
    expect(onlyLooks(command)).toBe(false);
  });
});

const read = (path: string): { tool: string; args: Record<string, unknown> } => ({
  tool: 'Read',
  args: { file_path: path },
});
const edit = (path: string): { tool: string; args: Record<string, unknown> } => ({
  tool: 'Edit',
  args: { file_path: path },
});

describe('ToolEnvironment', () => {
  it('gives equal calls equal keys, whatever the order of their arguments, and each agent its own', () => {
    const one = new ToolEnvironment('one', false);
    const key = (environment: ToolEnvironment, args: Record<string, unknown>): string =>
      environment.callKey({ tool: 'Grep', args });
    expect(key(one, { a: 1, b: 2 })).toBe(key(one, { b: 2, a: 1 }));
    expect(key(one, { a: 1 })).not.toBe(key(new ToolEnvironment('two', false), { a: 1 }));
    const pure = { tool: 'calculate', args: { expression: '1+1' } };
    expect(one.callKey(pure)).toBe(new ToolEnvironment('two', false).callKey(pure));
  });

  it('makes a write name what was read of the file, and every search', () => {
    const environment = new ToolEnvironment('a', false);
    const tagsOf = (call: { tool: string; args: Record<string, unknown> }): readonly string[] => {
      const effect = environment.effectOf(call);
      return effect.kind === 'neither' ? [] : effect.tags;
    };
    const written = tagsOf(edit('/x'));
    const touches = (call: { tool: string; args: Record<string, unknown> }): boolean =>
      tagsOf(call).some((tag) => written.includes(tag));
    expect(touches(read('/x'))).toBe(true);
    expect(touches({ tool: 'Grep', args: { pattern: 'x' } })).toBe(true);
    expect(touches(read('/y'))).toBe(false);
  });

  it('takes a command that may do anything for a write of everything', () => {
    const environment = new ToolEnvironment('a', false);
    const effect = environment.effectOf({ tool: 'Bash', args: { command: 'make' } });
    const reading = environment.effectOf(read('/x'));
    if (effect.kind !== 'write' || reading.kind !== 'read') throw new Error('not a write and a read');
    expect(reading.tags).toEqual(expect.arrayContaining([...effect.tags]));
    expect(environment.effectOf({ tool: 'Bash', args: { command: 'ls' } })).toEqual({ kind: 'neither' });
  });

  it('keeps what a run has written in a layer of its own, which a reset takes away', () => {
    const environment = new ToolEnvironment('a', true);
    const keyOf = (): string => {
      const effect = environment.effectOf(read('/x'));
      if (effect.kind !== 'read') throw new Error('not a read');
      return effect.key;
    };
    const start = keyOf();
    environment.effectOf(edit('/x'));
    const inRun = keyOf();
    expect(inRun).not.toBe(start);
    const reading = environment.effectOf(read('/x'));
    const gone = environment.reset();
    if (reading.kind !== 'read') throw new Error('not a read');
    expect(reading.tags).toEqual(expect.arrayContaining(gone));
    expect(keyOf()).toBe(start);
    environment.effectOf(edit('/x'));
    expect(keyOf()).not.toBe(inRun);
  });
});

/** A cache that is a Map and forgets by tag: what the replay does, without the system. */
function replayOnMap(
  recordings: readonly Recording[],
  environmentOf: (agent: string, isReset: boolean) => Environment,
): { hits: number; stale: number; lookups: number } {
  const entries = new Map<string, { output: string; tags: readonly string[] }>();
  const counts = { hits: 0, stale: 0, lookups: 0 };
  const forget = (tags: readonly string[]): void => {
    for (const [key, entry] of entries) if (entry.tags.some((tag) => tags.includes(tag))) entries.delete(key);
  };
  for (const { agent, events, resets } of recordings) {
    const environment = environmentOf(agent, resets);
    for (const event of events) {
      if (event.resetsEnvironment === true) forget(environment.reset());
      for (const result of event.results) {
        const effect = environment.effectOf(result);
        if (effect.kind === 'write') forget(effect.tags);
        if (effect.kind !== 'read') continue;
        counts.lookups += 1;
        const held = entries.get(effect.key);
        if (!held && !result.isError) entries.set(effect.key, { output: result.output, tags: effect.tags });
        if (!held) continue;
        if (!result.isError && held.output === result.output) counts.hits += 1;
        else {
          counts.stale += 1;
          entries.delete(effect.key);
        }
      }
    }
  }
  return counts;
}

/** An environment that never notices a write. */
const blind = (agent: string, isReset: boolean): Environment => {
  const real = new ToolEnvironment(agent, isReset);
  return {
    effectOf: (call) => {
      const effect = real.effectOf(call);
      return effect.kind === 'write' ? { kind: 'neither' } : effect;
    },
    reset: () => [],
  };
};

describe('the recordings, replayed on a Map', async () => {
  const recordings = await loadRecordings(readArguments([], false).dataFolder);

  it('have no stale read with the tool environment', () => {
    const counts = replayOnMap(recordings, (agent, isReset) => new ToolEnvironment(agent, isReset));
    expect(counts.stale).toBe(0);
    expect(counts.hits).toBeGreaterThan(200);
    expect(counts.hits).toBeLessThanOrEqual(achievableHits(recordings).hits);
  });

  it('have stale reads with one that does not notice writes', () => {
    expect(replayOnMap(recordings, blind).stale).toBeGreaterThan(0);
  });
});

describe('achievableHits', async () => {
  /** The obvious way: look back through everything that came before. O(n^2). */
  function naive(recordings: readonly Recording[]): { lookups: number; hits: number } {
    const before: { key: string; output: string; isError: boolean }[] = [];
    let lookups = 0;
    let hits = 0;
    for (const { agent, events, resets } of recordings) {
      const environment = new ToolEnvironment(agent, resets);
      for (const result of events.flatMap((event) => event.results)) {
        if (environment.effectOf(result).kind !== 'read') continue;
        lookups += 1;
        const key = environment.callKey(result);
        const last = before.findLast((one) => one.key === key);
        if (last && !last.isError && !result.isError && last.output === result.output) hits += 1;
        before.push({ key, output: result.output, isError: result.isError });
      }
    }
    return { lookups, hits };
  }

  it('is what looking back through everything finds', async () => {
    const recordings = await loadRecordings(readArguments([], false).dataFolder);
    expect(achievableHits(recordings)).toEqual(naive(recordings));
    expect(achievableHits(recordings)).toEqual({ lookups: 594, hits: 225 });
  });

  it('counts neither the first result of a call nor one that changed, nor a failure', () => {
    const event = (output: string, isError = false): ReplayEvent => ({
      raw: '',
      role: 'tool',
      results: [{ ...read('/x'), output, isError }],
    });
    const events = [
      event('1'),
      event('1'),
      event('2'),
      event('2'),
      event('no', true),
      event('2'),
      event('2'),
    ];
    const recording = { agent: 'a', source: '', files: [], events, rawBytes: 0, resets: false };
    expect(achievableHits([recording])).toEqual({ lookups: 7, hits: 3 });
    expect(naive([recording])).toEqual({ lookups: 7, hits: 3 });
  });
});
