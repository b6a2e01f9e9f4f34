/**
 * A Redis for tests: one of their own when `redis-server` is installed, otherwise a reachable one, otherwise a reason to
 * skip. With PERF_REQUIRE_SERVICES=1 there is no skipping.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { Redis } from 'ioredis';

export interface TestRedis {
  readonly host: string;
  readonly port: number;
  /** Stops the server if it was started here. */
  stop(): Promise<void>;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

async function startServer(): Promise<TestRedis> {
  const port = await freePort();
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
  const child = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  let isReady = false;
  for await (const line of createInterface({ input: child.stdout })) {
    if (!line.includes('Ready to accept connections')) continue;
    isReady = true;
    break;
  }
  if (!isReady) throw new Error('redis-server did not start');
  child.stdout.resume();
  return {
    host: '127.0.0.1',
    port,
    stop: async () => {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

async function isReachable(host: string, port: number): Promise<boolean> {
  const redis = new Redis({ host, port, lazyConnect: true, retryStrategy: () => null });
  redis.on('error', () => undefined);
  try {
    await redis.connect();
    return true;
  } catch {
    return false;
  } finally {
    redis.disconnect();
  }
}

/** The Redis, or why there is none. */
export async function testRedis(): Promise<TestRedis | string> {
  const isInstalled = spawnSync('redis-server', ['--version']).status === 0;
  if (isInstalled) return startServer();
  if (await isReachable('127.0.0.1', 6379)) {
    return { host: '127.0.0.1', port: 6379, stop: async () => undefined };
  }
  const reason = 'there is no redis-server program, and no Redis at 127.0.0.1:6379';
  if (process.env['PERF_REQUIRE_SERVICES'] === '1') throw new Error(reason);
  return reason;
}
