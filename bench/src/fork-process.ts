/** Starts one fork and waits for its report; a fork that crashes, hangs or says nothing becomes a failure report. */
import { spawn } from 'node:child_process';
import path from 'node:path';

import type { ForkOptions, ForkOutcome, ForkReport } from './fork.ts';

const forkFile = path.join(import.meta.dirname, 'fork.ts');
/** How much of a fork's output is kept for the report of its crash. */
const KEPT_OUTPUT_CHARS = 4000;

export interface ForkRequest {
  readonly file: string;
  readonly name: string;
  readonly packageDir: string;
  readonly timeoutMs: number;
  readonly options: ForkOptions;
  readonly signal?: AbortSignal | undefined;
}

export function runFork(request: ForkRequest): Promise<ForkOutcome> {
  if (request.signal?.aborted === true) {
    return Promise.resolve(failure('was interrupted', ''));
  }
  return new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      ['--expose-gc', forkFile, request.file, request.name, JSON.stringify(request.options)],
      {
        cwd: request.packageDir,
        env: forkEnvironment(process.env),
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
        serialization: 'advanced',
      },
    );
    let outcome: ForkOutcome | undefined;
    let output = '';
    let stoppedBecause: string | undefined;
    const keep = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-KEPT_OUTPUT_CHARS);
    };
    const stop = (why: string): void => {
      stoppedBecause = why;
      child.kill('SIGKILL');
    };
    const timer = setTimeout(() => stop(`was stopped after ${request.timeoutMs} ms`), request.timeoutMs);
    const onAbort = (): void => stop('was interrupted');
    request.signal?.addEventListener('abort', onAbort, { once: true });
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    child.on('message', (message) => {
      outcome = message as ForkOutcome;
    });
    const finish = (how: string): void => {
      clearTimeout(timer);
      request.signal?.removeEventListener('abort', onAbort);
      resolve(outcome ?? failure(stoppedBecause ?? how, output));
    };
    child.on('error', (error) => finish(`did not start: ${error.message}`));
    child.on('close', (code, signal) => finish(`ended without a report (${signal ?? `exit code ${code}`})`));
  });
}

/** A fork that did not report did not say either what CPU time it took; its time is not used. */
function failure(how: string, output: string): ForkOutcome {
  const report: ForkReport = { kind: 'failure', message: `the fork ${how}`, detail: output };
  return { report, cpuMs: 0 };
}

/**
 * Forks measure what users get: `dist`, on plain Node. Conditions (`@perf/source`), preloads and coverage that the
 * parent was started with stay with the parent.
 */
export function forkEnvironment(parent: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _options, NODE_V8_COVERAGE: _coverage, ...kept } = parent;
  return { ...kept, NODE_ENV: 'production' };
}
