/** A Redis for tests: an own process where the program exists, else one that is reachable, else none. */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { Redis } from 'ioredis';
import { vi } from 'vitest';

const DEFAULT_PORT = 6379;

export const hasRedisServer: boolean = spawnSync('redis-server', ['--version']).status === 0;

/** Why the tests that need Redis do not run; `undefined` when they do. */
export const noRedis: string | undefined = await reasonForNone();

async function reasonForNone(): Promise<string | undefined> {
  if (hasRedisServer || (await answers(DEFAULT_PORT))) return undefined;
  const reason = 'no redis-server program and no Redis on 127.0.0.1:6379';
  if (process.env['PERF_REQUIRE_SERVICES'] === '1') throw new Error(reason);
  process.stdout.write(`skipping the Redis tests: ${reason}\n`);
  return reason;
}

async function answers(port: number): Promise<boolean> {
  const client = new Redis(port, '127.0.0.1', { lazyConnect: true, retryStrategy: () => null });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.ping()) === 'PONG';
  } catch {
    return false;
  } finally {
    client.disconnect();
  }
}

export class RedisServer {
  port = DEFAULT_PORT;
  #process: ChildProcess | undefined;

  async start(): Promise<void> {
    if (!hasRedisServer) return;
    if (this.port === DEFAULT_PORT) this.port = await freePort();
    const options = ['--port', String(this.port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
    this.#process = spawn('redis-server', options, { stdio: 'ignore' });
    await vi.waitFor(
      async () => {
        if (!(await answers(this.port))) throw new Error('not yet');
      },
      { timeout: 10_000, interval: 20 },
    );
  }

  async stop(): Promise<void> {
    if (this.#process === undefined) return;
    this.#process.kill('SIGKILL');
    await once(this.#process, 'exit');
    this.#process = undefined;
  }

  connect(): Redis {
    const client = new Redis(this.port, '127.0.0.1', { retryStrategy: () => 20 });
    client.on('error', () => undefined);
    return client;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
