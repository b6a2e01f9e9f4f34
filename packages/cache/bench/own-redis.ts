/** A Redis of the case's own: on a socket in its folder, without persistence. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { CaseContext } from '@perf/bench';

export interface OwnRedis {
  readonly path: string;
  /** SIGSTOP: connections stay open and nothing answers. */
  freeze(): void;
  thaw(): void;
  end(): Promise<void>;
}

export async function startRedis(context: CaseContext): Promise<OwnRedis> {
  if (spawnSync('redis-server', ['--version']).error !== undefined) context.skip('needs redis-server');
  const options = ['--port', '0', '--unixsocket', 'redis.sock', '--save', '', '--appendonly', 'no'];
  const child = spawn('redis-server', options, {
    cwd: context.scratchDir,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  for await (const line of createInterface({ input: child.stdout })) {
    if (/ready to accept connections/i.test(line)) break;
  }
  child.stdout.resume();
  return {
    path: path.join(context.scratchDir, 'redis.sock'),
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    end: async () => {
      const exited = once(child, 'exit');
      child.kill('SIGCONT');
      child.kill('SIGKILL');
      await exited;
    },
  };
}
