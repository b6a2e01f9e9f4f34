/**
 * A Redis for tests: one of their own if the program is installed, else one that answers on the usual port. `undefined` with a
 * printed reason when there is neither, unless PERF_REQUIRE_SERVICES=1 makes that a failure.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

export interface TestRedis {
  readonly port: number;
  stop(): Promise<void>;
}

export async function startRedis(): Promise<TestRedis | undefined> {
  if (spawnSync('redis-server', ['--version']).status === 0) return ownRedis();
  if (await answers(6379)) return { port: 6379, stop: async () => undefined };
  const reason = 'no redis-server to start and nothing answers on 127.0.0.1:6379';
  if (process.env['PERF_REQUIRE_SERVICES'] === '1') throw new Error(reason);
  process.stdout.write(`skipped: ${reason}\n`);
  return undefined;
}

async function ownRedis(): Promise<TestRedis> {
  const dir = mkdtempSync(path.join(tmpdir(), 'redis-'));
  const port = await freePort();
  const server = spawn(
    'redis-server',
    ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', dir],
    {
      stdio: 'ignore',
    },
  );
  const ended = new Promise((resolve) => server.on('exit', resolve));
  while (!(await answers(port))) {
    if (server.exitCode !== null) throw new Error(`redis-server ended with ${server.exitCode}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return {
    port,
    stop: async () => {
      server.kill('SIGKILL');
      await ended;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
