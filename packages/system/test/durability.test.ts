import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { openDatabase } from '@perf/sqlite';
import { PerformanceSystem } from '@perf/system';
import { describe, expect, it } from 'vitest';
import { openSystem, scratchFolder, texts } from './opened-system.ts';

const child = path.join(import.meta.dirname, 'durability-child.ts');

function start(dir: string, mode: string): ChildProcess {
  return spawn(process.execPath, ['--conditions=@perf/source', child, dir, mode], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** Resolves to what the process has printed once it matches. */
async function printed(writer: ChildProcess, pattern: RegExp): Promise<string> {
  let text = '';
  for await (const chunk of writer.stdout ?? []) {
    text += String(chunk);
    if (pattern.test(text)) return text;
  }
  throw new Error(`the process ended after printing ${text}`);
}

async function kill(writer: ChildProcess): Promise<void> {
  const ended = once(writer, 'exit');
  writer.kill('SIGKILL');
  await ended;
}

describe('a process that is killed', () => {
  it('loses nothing that was flushed', async () => {
    const dir = scratchFolder();
    const writer = start(dir, 'flush');
    await printed(writer, /flushed/);
    // Another process reads it already now.
    const reader = await openSystem({ dir });
    expect(await texts(reader.messages('s'))).toHaveLength(500);
    await reader.shutdown();
    await kill(writer);
    const after = await openSystem({ dir });
    expect(await texts(after.messages('s'))).toEqual(Array.from({ length: 500 }, (_, n) => `message ${n}`));
    expect(after.getPattern('p')?.usageCount).toBe(50);
  });

  it('loses nothing that was acknowledged with durability sync', async () => {
    const dir = scratchFolder();
    const writer = start(dir, 'sync');
    const text = await printed(writer, /\n20\n/);
    await kill(writer);
    const acknowledged = text.trimEnd().split('\n').length;
    const after = await openSystem({ dir });
    const messages = await texts(after.messages('s'));
    expect(messages.length).toBeGreaterThanOrEqual(acknowledged);
    expect(messages).toEqual(Array.from(messages, (_, n) => `message ${n}`));
  });
});

describe('durability sync', () => {
  it('has every write visible to another connection when its promise resolves', async () => {
    const dir = scratchFolder();
    const system = await openSystem({ dir, durability: 'sync' });
    const other = openDatabase(path.join(dir, 'store.sqlite'), { readonly: true });
    const count = other.prepare<[], number>('SELECT count(*) FROM messages').pluck();
    for (let n = 1; n <= 5; n++) {
      await system.recordMessage('s', `${n}`);
      expect(count.get()).toBe(n);
    }
    await system.storePattern({ id: 'p', source: 'x' });
    expect(other.prepare('SELECT count(*) AS n FROM patterns').get()).toEqual({ n: 1 });
    other.close();
  });
});

describe('a process that opens a system', () => {
  it('ends by itself, without a shutdown', async () => {
    const dir = scratchFolder();
    const writer = start(dir, 'ends');
    const [code] = (await once(writer, 'exit')) as [number];
    expect(code).toBe(0);
    const after = await openSystem({ dir });
    expect(await texts(after.messages('s'))).toEqual(['last words']);
  });

  it('ends by itself, without anything left open, when a file cannot be opened', async () => {
    const dir = scratchFolder();
    mkdirSync(dir, { recursive: true });
    writeFileSync(path.join(dir, 'graph.sqlite'), 'x'.repeat(5000));
    const writer = start(dir, 'open-fails');
    const [code] = (await once(writer, 'exit')) as [number];
    expect(code).toBe(1);
  });
});

describe('a folder with a file that is not the system’s', () => {
  it.each(['store.sqlite', 'cache.sqlite', 'graph.sqlite'])(
    'makes open fail with the SQLite error and leaves %s untouched',
    async (name) => {
      const dir = scratchFolder();
      const file = path.join(dir, name);
      writeFileSync(file, Buffer.alloc(8192, 'not a database '));
      const hash = (): string => createHash('sha256').update(readFileSync(file)).digest('hex');
      const before = hash();
      await expect(PerformanceSystem.open({ dir })).rejects.toMatchObject({
        code: 'ERR_PERF_SQLITE_NOT_A_DATABASE',
      });
      expect(hash()).toBe(before);
      // No handle is left on any file of the folder.
      expect(openFilesIn(dir)).toEqual([]);
    },
  );

  it('refuses a store of a newer version', async () => {
    const dir = scratchFolder();
    await (await openSystem({ dir })).shutdown();
    const db = openDatabase(path.join(dir, 'store.sqlite'));
    db.pragma('user_version = 99');
    db.close();
    await expect(PerformanceSystem.open({ dir })).rejects.toMatchObject({
      code: 'ERR_PERF_SQLITE_NEWER_SCHEMA',
    });
    expect(openFilesIn(dir)).toEqual([]);
  });

  it('keeps files open while it is open and none after a shutdown', async () => {
    const dir = scratchFolder();
    const system = await openSystem({ dir });
    expect(openFilesIn(dir).length > 0).toBe(process.platform === 'linux');
    await system.shutdown();
    expect(openFilesIn(dir)).toEqual([]);
    expect(readdirSync(dir)).toContain('store.sqlite');
  });
});

/** Files of the folder that this process has open; empty where /proc does not tell. */
function openFilesIn(dir: string): string[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc/self/fd')
    .map((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        return ''; // the descriptor that the listing itself used
      }
    })
    .filter((target) => target.startsWith(dir));
}
