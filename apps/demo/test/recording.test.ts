import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it, onTestFinished } from 'vitest';
import { costUsd } from '../src/prices.ts';
import { RecordingError, loadRecordings } from '../src/recording.ts';
import { readArguments } from '../src/command-line.ts';

const bundled = readArguments([], false).dataFolder;

function scratch(): string {
  const dir = mkdtempSync(path.join(tmpdir(), 'perf-demo-recording-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

describe('the bundled recordings', async () => {
  const recordings = await loadRecordings(bundled);

  it('are eight agents with 10,399 events', () => {
    expect(recordings.map(({ agent, events }) => [agent, events.length])).toEqual([
      ['claude-session-258c7280', 1863],
      ['claude-session-8463c716', 1593],
      ['claude-session-ae4a77f8', 2385],
      ['claude-subagent-258c7280-a881341', 10],
      ['claude-subagent-ae4a77f8-aac57f5', 40],
      ['sweagent', 27],
      ['tau-airline', 2526],
      ['tau-retail', 1955],
    ]);
  });

  it('keep the events of a session as they are in the file, in its order, to the byte', () => {
    for (const { agent, files, events } of recordings.filter(({ agent }) => agent.startsWith('claude-'))) {
      const text = gunzipSync(readFileSync(path.join(bundled, files[0] ?? ''))).toString('utf8');
      const raw = `${events.map((event) => event.raw).join('\n')}\n`;
      expect(raw === text || raw === `${text}\n`, agent).toBe(true);
    }
  });

  it('give every tool result its call', () => {
    const results = recordings.flatMap(({ events }) => events.flatMap((event) => event.results));
    expect(results).toHaveLength(1223);
    expect(results.filter(({ tool }) => tool === 'unknown')).toEqual([]);
    expect(results.some(({ isError }) => isError)).toBe(true);
  });

  it('reset the environment of the runs that start afresh, and of no session', () => {
    const sessions = recordings.filter(({ agent }) => agent.startsWith('claude-'));
    expect(sessions.some(({ resets }) => resets)).toBe(false);
    expect(recordings.find(({ agent }) => agent === 'tau-airline')?.resets).toBe(true);
  });

  it('count the usage of an answer once, though it is spread over lines', () => {
    for (const { agent, files, events } of recordings.filter((one) => one.agent.startsWith('claude-'))) {
      const ids = new Set<string>();
      for (const line of gunzipSync(readFileSync(path.join(bundled, files[0] ?? '')))
        .toString()
        .split('\n')) {
        if (line === '') continue;
        const { message } = JSON.parse(line) as { message?: { id?: string; usage?: unknown } };
        if (message?.id !== undefined && message.usage !== undefined) ids.add(message.id);
      }
      expect(
        events.filter(({ usage }) => usage),
        agent,
      ).toHaveLength(ids.size);
    }
  });
});

describe('loadRecordings', () => {
  it('says which folder is missing, or holds nothing to replay', async () => {
    const dir = scratch();
    await expect(loadRecordings(path.join(dir, 'missing'))).rejects.toThrow(RecordingError);
    await expect(loadRecordings(path.join(dir, 'missing'))).rejects.toThrow(/missing cannot be read/);
    writeFileSync(path.join(dir, 'notes.txt'), 'x');
    await expect(loadRecordings(dir)).rejects.toThrow(`there are no recordings in ${dir}`);
  });

  it.each([
    ['is not compressed', Buffer.from('{}')],
    ['is truncated', gzipSync('{"type":"user"}\n'.repeat(1000)).subarray(0, 40)],
    ['is not JSON', gzipSync('nonsense\n')],
  ])('names the file that %s', async (_, bytes) => {
    const dir = scratch();
    writeFileSync(path.join(dir, 'claude-session-x.jsonl.gz'), bytes);
    await expect(loadRecordings(dir)).rejects.toThrow(RecordingError);
    await expect(loadRecordings(dir)).rejects.toThrow(/claude-session-x\.jsonl\.gz is not a recording/);
  });

  it('reads any subset of the files', async () => {
    const dir = path.join(scratch(), 'some');
    mkdirSync(dir);
    cpSync(
      path.join(bundled, 'sweagent-marshmallow-1867-default.traj.gz'),
      path.join(dir, 'sweagent-a.traj.gz'),
    );
    const [only, ...others] = await loadRecordings(dir);
    expect(others).toEqual([]);
    expect(only).toMatchObject({ agent: 'sweagent', files: ['sweagent-a.traj.gz'] });
  });
});

describe('costUsd', () => {
  const usage = {
    inputTokens: 1_000_000,
    outputTokens: 100_000,
    cachedTokens: 600_000,
    cacheWriteTokens: 300_000,
  };

  it('is list price: fresh, output, cache reads and cache writes each at their own', () => {
    expect(costUsd({ ...usage, model: 'claude-sonnet-4-5' })).toBeCloseTo(
      0.1 * 3 + 0.1 * 15 + 0.6 * 0.3 + 0.3 * 6,
      10,
    );
  });

  it('is not known for a model without a price', () => {
    expect(costUsd({ ...usage, model: '<synthetic>' })).toBeUndefined();
  });
});
