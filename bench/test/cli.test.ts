import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { readResult } from '../src/result-file.ts';

const fixtures = path.join(import.meta.dirname, 'fixtures');
const cli = path.join(import.meta.dirname, '../src/cli.ts');
let folder = '';

// A copy, so that results of a test run never meet those of another; inside the package, so that '@perf/bench' resolves.
beforeAll(() => {
  const results = path.join(import.meta.dirname, '../.results');
  mkdirSync(results, { recursive: true });
  folder = mkdtempSync(path.join(results, 'fixtures-'));
  cpSync(fixtures, folder, { recursive: true, filter: (source) => !source.endsWith('.results') });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function bench(fixture: string, ...args: string[]): { code: number | null; out: string; err: string } {
  const run = spawnSync(process.execPath, [cli, '--quick', '--no-install', ...args], {
    cwd: path.join(folder, fixture),
    encoding: 'utf8',
  });
  return { code: run.status, out: run.stdout, err: run.stderr };
}

function resultOf(fixture: string): ReturnType<typeof readResult> {
  return readResult(path.join(folder, fixture, '.results/bench.json'));
}

describe('a contender that lies', () => {
  test('makes the run fail and is named', () => {
    const { code, out } = bench('liar', '--filter', 'largest-number');
    expect(code).toBe(1);
    expect(out).toContain('FAIL     largest-number');
    expect(out).toContain("contender 'liar' gave a wrong answer (its first one): expected 4, got 3");
    expect(resultOf('liar')?.cases[0]).toMatchObject({
      verdict: 'fail',
      forks: 1,
      ratios: [],
      contenders: [],
    });
  });

  test('is caught also when only its first answer is right', () => {
    const { code, out } = bench('liar', '--filter', 'turns-liar-later');
    expect(code).toBe(1);
    expect(out).toContain("contender 'forgetful' gave a wrong answer (its last one): expected 4, got 0");
  });
});

describe('an honest package', () => {
  test('passes, and writes what it measured in the declared schema', () => {
    const { code, out } = bench('honest');
    expect(out).toContain('PASS     sum-loop');
    expect(out).toContain('2 cases: 2 pass');
    expect(out).toContain('quick: not a measurement');
    expect(code).toBe(0);

    const result = resultOf('honest');
    expect(result?.package).toBe('honest');
    expect(result?.machine.node).toBe(process.versions.node);
    const [sum, bytes] = result?.cases ?? [];
    expect(sum).toMatchObject({ kind: 'ratio', file: 'sum.bench.ts', forks: 2, operationsPerRun: 5000 });
    if (sum?.kind !== 'ratio' || bytes?.kind !== 'measure') throw new Error('wrong kinds');
    expect(sum.samples).toBe(18);
    expect(sum.contenders.map(({ name }) => name)).toEqual(['loop', 'map-then-reduce', 'promised']);
    expect(sum.ratios.map(({ versus }) => versus)).toEqual(['map-then-reduce', 'promised']);
    expect(sum.goals).toMatchObject([{ versus: 'map-then-reduce', atLeast: 0.01, verdict: 'pass' }]);
    expect(bytes.measurements).toMatchObject([
      { name: 'draws', value: { median: 64, perFork: [64, 64] }, verdict: 'pass' },
      { name: 'untargeted', verdict: 'none', note: 'only reported' },
    ]);
  });

  test('runs only what the filter names, by case or by file, with a literal -- in front or not', () => {
    for (const args of [
      ['--filter', 'bytes-per'],
      ['--', '--filter', 'bytes-per'],
    ]) {
      const { code, out } = bench('honest', ...args);
      expect(code).toBe(0);
      expect(out).toContain('1 case: 1 pass');
    }
    expect(bench('honest', '--list', '--filter', 'sum.bench').out).toContain('2 cases, about');
  });

  test('takes as many forks and rounds as asked for, and copies the result to the file asked for', () => {
    const file = path.join(folder, 'copies/sum.json');
    const { code } = bench('honest', '--filter', 'sum-loop', '--forks', '3', '--rounds', '2', '--json', file);
    expect(code).toBe(0);
    expect(readResult(file)).toMatchObject({
      options: { forks: 3, rounds: 2 },
      cases: [{ forks: 3, samples: 18 }],
    });
  });

  test('leaves no scratch folder behind', () => {
    bench('honest', '--filter', 'bytes-per');
    const left = readdirSync(path.join(folder, 'honest/.results'));
    expect(left.filter((name) => name.startsWith('scratch-'))).toEqual([]);
  });

  test('lists without running', () => {
    rmSync(path.join(folder, 'honest/.results'), { recursive: true, force: true });
    const { code, out } = bench('honest', '--list');
    expect(code).toBe(0);
    expect(out).toContain('sum-loop  (sum.bench.ts)  sums 5,000 integers');
    expect(existsSync(path.join(folder, 'honest/.results'))).toBe(false);
  });

  test('speaks in events when a program listens', () => {
    const events = bench('honest', '--filter', 'bytes-per', '--events')
      .out.trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(events).toMatchObject([
      { event: 'fork', case: 'bytes-per-entry', fork: 1, forks: 2, package: 'honest' },
      { event: 'fork', case: 'bytes-per-entry', fork: 2, forks: 2 },
      { event: 'case', case: 'bytes-per-entry', verdict: 'pass' },
    ]);
  });
});

describe('what is not a pass', () => {
  test('a peer that is not installed is a skip by name, its goal too, and ours is still measured', () => {
    const { code, out } = bench('skips', '--filter', 'absent-peer');
    expect(code).toBe(3);
    expect(out).toContain(
      "skipped: theirs: peer 'perf-peer-that-does-not-exist' is not installed in bench/peers",
    );
    expect(resultOf('skips')?.cases[0]).toMatchObject({
      verdict: 'skip',
      contenders: [
        { name: 'ours', operationNs: {} },
        { name: 'theirs', skipped: expect.any(String) },
      ],
      goals: [{ versus: 'theirs', verdict: 'skip', reason: expect.stringContaining('not installed') }],
    });
  });

  test('a case that says it does not apply is a skip with its reason', () => {
    const { code, out } = bench('skips', '--filter', 'needs-other-data');
    expect(code).toBe(3);
    expect(out).toContain('SKIP     needs-other-data');
    expect(out).toContain('needs no/such/file.gz below PERF_SHARED_DATA');
  });

  test('a missed target exits with its own code', () => {
    const { code, out } = bench('misses');
    expect(code).toBe(3);
    expect(out).toContain('target <= 10: miss');
  });

  test('a fork that dies, throws or reports nonsense fails its case; the cases after it still run', () => {
    const { code, out } = bench('broken');
    expect(code).toBe(1);
    expect(out).toContain('the fork ended without a report (SIGKILL)');
    expect(out).toContain('no such luck');
    expect(out).toContain("measurement 'size' is NaN");
    expect(out).toContain('3 cases: 0 pass, 0 without a goal, 0 miss, 0 skip, 3 fail');
  });

  test('a package without cases says so and does not fail', () => {
    expect(bench('empty')).toMatchObject({ code: 0, out: 'empty: no cases\n' });
    expect(bench('honest', '--filter', 'zzz')).toMatchObject({
      code: 0,
      out: "honest: no case matches 'zzz'\n",
    });
  });

  test.each([
    [['--forks', '0'], '--forks must be a whole number from 1 to 100'],
    [['--rounds', 'many'], '--rounds must be a whole number'],
    [['--fliter', 'x'], "Unknown option '--fliter'"],
    [['lookup'], 'Unexpected argument'],
    [['--package', 'cache'], 'pnpm bench'],
  ])('refuses %j with a sentence', (args, sentence) => {
    const { code, err } = bench('honest', ...args);
    expect(code).toBe(2);
    expect(err).toContain(sentence);
  });

  test('a case that is declared wrongly is refused before anything runs', () => {
    const { code, err } = bench('invalid');
    expect(code).toBe(1);
    expect(err).toContain("case 'nobody-is-ours': exactly one contender must be ours, not 0");
  });
});

test('--help teaches: options, how to read a line, exit codes', () => {
  const { code, out } = bench('honest', '--help');
  expect(code).toBe(0);
  for (const word of [
    '--filter',
    '--forks',
    '--rounds',
    '--json',
    '--list',
    '--quick',
    'Reading a line',
    'Exit code',
  ]) {
    expect(out).toContain(word);
  }
});

test('the forks see dist and plain Node, whatever conditions this process has', () => {
  const run = spawnSync(process.execPath, [cli, '--quick', '--no-install'], {
    cwd: path.join(folder, 'environment'),
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '--conditions=@perf/source --no-warnings' },
  });
  expect(run.stdout).toContain('1 case: 1 pass');
  expect(readFileSync(path.join(folder, 'environment/.results/bench.json'), 'utf8')).toContain('"median": 0');
});
