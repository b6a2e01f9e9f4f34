import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

import type { ForkReport } from '../src/fork.ts';
import { forkEnvironment, runFork, type ForkRequest } from '../src/fork-process.ts';
import { runPackage } from '../src/runner.ts';
import { findCases } from '../src/case-file.ts';

const packageDir = path.join(import.meta.dirname, 'fixtures/hangs');
let scratchDir = '';
beforeAll(() => {
  const results = path.join(import.meta.dirname, '../.results');
  mkdirSync(results, { recursive: true });
  scratchDir = mkdtempSync(path.join(results, 'fork-'));
});
afterAll(() => rmSync(scratchDir, { recursive: true, force: true }));

async function fork(name: string, more: Partial<ForkRequest> = {}): Promise<ForkReport> {
  const { report } = await runFork({
    file: path.join(packageDir, 'bench/hangs.bench.ts'),
    name,
    packageDir,
    timeoutMs: 30_000,
    options: { rounds: 2, sampleMs: 1, warmupMs: 1, budgetMs: 1000, seed: 1, scratchDir },
    ...more,
  });
  return report;
}

test('a fork that does not end is stopped, and what it printed is kept', async () => {
  expect(await fork('never-ends', { timeoutMs: 1500 })).toEqual({
    kind: 'failure',
    message: 'the fork was stopped after 1500 ms',
    detail: 'about to hang\n',
  });
});

test('a fork is stopped when the run is interrupted, before or while it runs', async () => {
  const controller = new AbortController();
  const running = fork('never-ends', { signal: controller.signal });
  controller.abort();
  expect(await running).toMatchObject({ kind: 'failure', message: 'the fork was interrupted' });
  expect(await fork('never-ends', { signal: controller.signal })).toMatchObject({
    kind: 'failure',
    message: 'the fork was interrupted',
  });
});

test('a fork that leaves a timer behind still ends', async () => {
  expect(await fork('leaves-a-timer')).toMatchObject({ kind: 'measure', measurements: [{ value: 1 }] });
});

test('a case that does no operations, and a case that is not there, are failures', async () => {
  expect(await fork('zero-operations')).toMatchObject({
    kind: 'failure',
    message: 'operations(input) is 0, not a positive number',
  });
  expect(await fork('not-there')).toMatchObject({
    kind: 'failure',
    message: expect.stringContaining("has no case 'not-there'"),
  });
});

test('a contender that says it does not apply is skipped with its reason', async () => {
  const report = await fork('contender-skips-itself');
  expect(report).toMatchObject({
    kind: 'ratio',
    operations: 1000,
    measured: [{ name: 'ours' }],
    skipped: [{ name: 'needs-a-server', reason: 'no server is running' }],
  });
});

test('no further fork starts when the case would run over its time; the result says how many were planned', async () => {
  const [found] = await findCases(packageDir, 'contender-skips');
  if (found === undefined) throw new Error('no case');
  const dir = path.join(scratchDir, 'package');
  const result = await runPackage({
    packageName: 'x',
    packageDir: dir,
    cases: [found],
    options: {
      forks: 50,
      rounds: 2,
      sampleMs: 1,
      warmupMs: 1,
      budgetMs: 1000,
      timeoutMs: 30_000,
      caseBudgetMs: 1,
      quick: false,
    },
  });
  // The package folder does not exist before: the results folder is made, with the forks' working directory in it.
  expect(result).toMatchObject({ cases: [{ forks: 1, forksPlanned: 50 }] });
  expect(existsSync(path.join(dir, '.results'))).toBe(true);
});

test('forks get no conditions, preloads or coverage of the process that starts them', () => {
  expect(
    forkEnvironment({ NODE_OPTIONS: '--conditions=x', NODE_V8_COVERAGE: '/c', PATH: '/bin', KEPT: '1' }),
  ).toEqual({ PATH: '/bin', KEPT: '1', NODE_ENV: 'production' });
});
