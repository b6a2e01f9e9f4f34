// The built program in a process of its own: exit codes, output, Ctrl-C.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PerformanceSystem } from '@perf/system';
import { describe, expect, it, onTestFinished } from 'vitest';
import { readArguments } from '../src/command-line.ts';
import { loadRecordings } from '../src/recording.ts';

const main = path.resolve(import.meta.dirname, '../dist/main.js');

interface Demo {
  readonly child: ChildProcess;
  /** Resolves to all of the output once it holds the text. */
  until(text: string): Promise<string>;
  /** Resolves when the process has ended. */
  readonly ended: Promise<{ code: number | null; out: string; error: string }>;
}

function start(...args: string[]): Demo {
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  let out = '';
  let error = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    out += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    error += chunk;
  });
  const ended = new Promise<{ code: number | null; out: string; error: string }>((resolve) => {
    child.once('close', (code) => resolve({ code, out, error }));
  });
  const until = (text: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (`${out}${error}`.includes(text)) resolve(`${out}${error}`);
      };
      child.stdout.on('data', look);
      child.stderr.on('data', look);
      child.once('close', () => reject(new Error(`ended without printing ${text}: ${out}${error}`)));
      look();
    });
  return { child, until, ended };
}

function scratch(): string {
  const dir = mkdtempSync(path.join(tmpdir(), 'perf-demo-test-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

describe('the demo', () => {
  it('replays everything bundled, loses nothing, and exits by its verdicts', async () => {
    const { code, out, error } = await start('--once', '--json', '--port', '0').ended;
    const report = JSON.parse(out) as {
      phase: string;
      replayedRecording: boolean;
      replayed: { events: number; totalEvents: number };
      kpis: { id: string; verdict: string; measured: number }[];
    };
    expect(report).toMatchObject({ phase: 'finished', replayedRecording: true });
    expect(report.replayed.events).toBe(report.replayed.totalEvents);
    // What does not depend on how busy the machine is.
    const verdicts = Object.fromEntries(report.kpis.map(({ id, verdict }) => [id, verdict]));
    expect(verdicts).toMatchObject({
      'read-back': 'pass',
      'stale-reads': 'pass',
      'failed-writes': 'pass',
      'hits-of-achievable': 'pass',
      'stored-of-raw': 'pass',
      'peak-rss': 'pass',
    });
    expect(code).toBe(Object.values(verdicts).every((verdict) => verdict === 'pass') ? 0 : 1);
    // Progress and the address of the dashboard keep out of the JSON.
    expect(error).toMatch(/Replaying recorded agent sessions\. Dashboard: http:\/\/localhost:\d+\n/);
    expect(error).toContain('100 %');
  });

  it.each([
    [['--port', 'x'], '--port cannot be x'],
    [['--', '--once', '--serve'], '--once and --serve exclude each other'],
  ])('exits 2 with the help for %o', async (args, message) => {
    const { code, out, error } = await start(...args).ended;
    expect([code, out]).toEqual([2, '']);
    expect(error.startsWith(`${message}\n\nReplays recorded agent sessions`)).toBe(true);
  });

  it('prints its help and exits 0', async () => {
    const { code, out } = await start('--help').ended;
    expect(code).toBe(0);
    expect(out).toContain('--speed <n>');
  });

  it('exits 1 and says why, without a stack, when there are no recordings or they are broken', async () => {
    const dir = scratch();
    writeFileSync(path.join(dir, 'claude-session-x.jsonl.gz'), 'not gzip');
    for (const [folder, message] of [
      [path.join(dir, 'missing'), 'missing cannot be read'],
      [dir, 'claude-session-x.jsonl.gz is not a recording'],
    ] as const) {
      const { code, error } = await start('--once', '--port', '0', '--data', folder).ended;
      expect(code).toBe(1);
      expect(error).toContain(message);
      expect(error).not.toMatch(/^ +at /m);
    }
  });

  it('commits everything accepted on Ctrl-C in the middle, keeps it in --dir, and exits 130', async () => {
    const dir = path.join(scratch(), 'kept');
    const demo = start('--once', '--port', '0', '--dir', dir, '--speed', '100');
    await demo.until('Dashboard:');
    const url = /http:\S+/.exec(await demo.until('Dashboard:'))?.[0] ?? '';
    let events = 0;
    while (events < 100) {
      const snapshot = (await (await fetch(`${url}/snapshot.json`)).json()) as { counts: { events: number } };
      ({ events } = snapshot.counts);
    }
    demo.child.kill('SIGINT');
    const { code, out } = await demo.ended;
    expect(code).toBe(130);
    expect(out).toContain('stopped by Ctrl-C');
    const replayed = Number(/events +(\d+) of/.exec(out)?.[1]);
    expect(replayed).toBeGreaterThanOrEqual(100);

    const system = await PerformanceSystem.open({ dir });
    onTestFinished(() => system.shutdown());
    let stored = 0;
    for (const { agent, events: source } of await loadRecordings(readArguments([], false).dataFolder)) {
      const [found] = await system.similarSessions('events replayed', { agent });
      let index = 0;
      for await (const message of system.messages(found?.session.id ?? agent)) {
        expect(Buffer.from(message).equals(Buffer.from(source[index]?.raw ?? ''))).toBe(true);
        index += 1;
      }
      stored += index;
    }
    expect(stored).toBe(replayed);
  });

  it('says which port it took instead, serves after the report, and exits with its code on Ctrl-C', async () => {
    const data = scratch();
    const dir = scratch();
    const name = 'sweagent-marshmallow-1867-default.traj.gz';
    copyFileSync(path.join(readArguments([], false).dataFolder, name), path.join(data, name));
    const first = start('--serve', '--port', '0', '--data', data);
    const port = /localhost:(\d+)/.exec(await first.until('Dashboard:'))?.[1] ?? '';
    const demo = start('--serve', '--port', port, '--data', data, '--dir', dir);
    expect(await demo.until('The dashboard stays')).toContain(`(port ${port} is in use)`);
    const url = /http:\S+/.exec(await demo.until('Dashboard:'))?.[0] ?? '';
    const snapshot = (await (await fetch(`${url}/snapshot.json`)).json()) as {
      phase: string;
      kpis: { verdict: string }[];
    };
    expect(snapshot.phase).toBe('finished');
    demo.child.kill('SIGINT');
    const { code } = await demo.ended;
    expect(code).toBe(snapshot.kpis.every(({ verdict }) => verdict === 'pass') ? 0 : 1);
    expect(existsSync(path.join(dir, 'store.sqlite'))).toBe(true);
    first.child.kill('SIGTERM');
    await first.ended;
  });
});
