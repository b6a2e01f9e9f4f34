// oxlint-disable vitest/expect-expect, vitest/valid-title -- it declares the tests that others write
/**
 * A Redis of the test's own, which it may stop, freeze and start again. Where there is no `redis-server`
 * program, tests that leave the server alone use one on 127.0.0.1:6379. Where there is neither, they are
 * skipped with the reason; PERF_REQUIRE_SERVICES=1 makes that a failure.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'vitest';

/** Options for ioredis. */
export type RedisAddress = { readonly path: string } | { readonly host: string; readonly port: number };

interface Running {
  signal(name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void;
  readonly exited: Promise<unknown>;
}

export class RedisServer {
  readonly #dir = mkdtempSync(join(tmpdir(), 'perf-redis-'));
  #running: Running | undefined;

  get connection(): { readonly path: string } {
    return { path: join(this.#dir, 'redis.sock') };
  }

  static async start(): Promise<RedisServer> {
    const server = new RedisServer();
    await server.start();
    return server;
  }

  async start(): Promise<void> {
    const options = ['--port', '0', '--unixsocket', 'redis.sock', '--save', '', '--appendonly', 'no'];
    const child = spawn('redis-server', options, { cwd: this.#dir, stdio: ['ignore', 'pipe', 'ignore'] });
    this.#running = { signal: (name) => void child.kill(name), exited: once(child, 'exit') };
    let isReady = false;
    for await (const line of createInterface({ input: child.stdout })) {
      isReady = /ready to accept connections/i.test(line);
      if (isReady) break;
    }
    if (!isReady) throw new Error('redis-server did not start');
    child.stdout.resume();
  }

  /** As a crash does. */
  async stop(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    running?.signal('SIGKILL');
    await running?.exited;
  }

  /** Connections stay open and nothing answers. */
  freeze(): void {
    this.#running?.signal('SIGSTOP');
  }

  thaw(): void {
    this.#running?.signal('SIGCONT');
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

function answersOn(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: '127.0.0.1', port });
    const end = (answers: boolean): void => {
      socket.destroy();
      resolve(answers);
    };
    socket.once('connect', () => end(true)).once('error', () => end(false));
  });
}

const hasProgram: boolean = spawnSync('redis-server', ['--version']).error === undefined;
const hasReachable = !hasProgram && (await answersOn(6379));
const REASON = hasReachable
  ? 'skipped: no redis-server program, and the test must be able to stop the server'
  : 'skipped: no redis-server program and none on 127.0.0.1:6379';

/** `test` where the server may be any; named with the reason where there is none. */
export function redisTest(name: string, run: () => Promise<void>): void {
  declare(name, hasProgram || hasReachable, run);
}

/** `test` where the server must be one that the test can stop. */
export function ownRedisTest(name: string, run: () => Promise<void>): void {
  declare(name, hasProgram, run);
}

function declare(name: string, possible: boolean, run: () => Promise<void>): void {
  test(possible ? name : `${name} (${REASON})`, async (context) => {
    if (possible) await run();
    else if (process.env['PERF_REQUIRE_SERVICES'] === '1') throw new Error(REASON);
    else context.skip(REASON);
  });
}

/** A server for a whole file: own or reachable. */
export async function findRedis(): Promise<{ connection: RedisAddress; end(): Promise<void> }> {
  if (!hasProgram) return { connection: { host: '127.0.0.1', port: 6379 }, end: () => Promise.resolve() };
  const server = await RedisServer.start();
  return { connection: server.connection, end: () => server.remove() };
}

/** Waits until the condition holds, asking at each turn of the event loop. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
