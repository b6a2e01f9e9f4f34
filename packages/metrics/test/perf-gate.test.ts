import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { perfGate } from '../src/gate/perf-gate.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'perf-gate-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(name: string, content: unknown): string {
  const file = path.join(folder, name);
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  return file;
}

const forks = (ms: number): number[][] =>
  Array.from({ length: 20 }, (_, i) => [ms + i / 1000, ms, ms - i / 1000]);

it('exits 0 when nothing got slower, and 1 when something did', () => {
  const base = write('base.json', { parse: forks(10), print: forks(5) });
  const same = perfGate(['compare', base, write('same.json', { parse: forks(10), print: forks(5) })]);
  expect(same).toMatchObject({ exitCode: 0, stderr: '' });
  expect(same.stdout).toMatch(/^same +parse {2}head\/base 1\.0000/);
  const slower = perfGate([
    'compare',
    base,
    write('slow.json', { parse: forks(10), print: forks(6) }),
    '--json',
  ]);
  expect(slower.exitCode).toBe(1);
  const report = JSON.parse(slower.stdout) as { results: { name: string; verdict: string }[] };
  expect(report.results.map(({ name, verdict }) => [name, verdict])).toEqual([
    ['parse', 'same'],
    ['print', 'regression'],
  ]);
});

it('turns the verdict round for rates', () => {
  const files = [write('base.json', forks(10)), write('head.json', forks(12))];
  expect(perfGate(['compare', ...files]).exitCode).toBe(1);
  expect(perfGate(['compare', ...files, '--higher-is-better']).exitCode).toBe(0);
  expect(perfGate(['compare', ...files, '--threshold', '0.5']).exitCode).toBe(0);
});

it('exits 3 when it cannot tell, or a benchmark is missing on one side', () => {
  const base = write('base.json', { a: forks(10) });
  const few = write('few.json', { a: [[10], [10]] });
  expect(perfGate(['compare', base, few])).toMatchObject({ exitCode: 3 });
  const other = perfGate(['compare', base, write('other.json', { a: forks(10), b: forks(1) })]);
  expect(other.exitCode).toBe(3);
  expect(other.stdout).toMatch(/missing +b {2}only in .*other\.json/);
});

it('fails a history only on a change for the worse near its end', () => {
  const step = (at: number, to: number): number[] =>
    Array.from({ length: 60 }, (_, i) => (i < at ? 100 : to) + (i % 3) / 10);
  expect(perfGate(['history', write('late.json', step(54, 130))]).exitCode).toBe(1);
  expect(perfGate(['history', write('early.json', step(20, 130))]).exitCode).toBe(0);
  expect(perfGate(['history', write('better.json', step(54, 70))]).exitCode).toBe(0);
  expect(perfGate(['history', write('rate.json', step(54, 70)), '--higher-is-better']).exitCode).toBe(1);
  const rows = step(54, 130).map((value, i) => `${i},x,${value}`);
  const csv = write('history.csv', `seq,bench,value\n${rows.join('\n')}\n`);
  const outcome = perfGate(['history', csv, '--json']);
  expect(outcome.exitCode).toBe(1);
  expect(JSON.parse(outcome.stdout)).toMatchObject({
    results: [{ name: 'x', points: 60, changes: [{ index: 54 }] }],
  });
});

it('exits 2 and says why when files or options are wrong', () => {
  const good = write('good.json', forks(1));
  for (const [args, message] of [
    [[], /Usage/],
    [['compare', good], /Usage/],
    [['unknown', good], /Usage/],
    [['compare', good, path.join(folder, 'missing.json')], /cannot read/],
    [['compare', good, write('broken.json', '{')], /not JSON/],
    [['compare', good, write('text.json', '"x"')], /holds neither/],
    [['compare', good, write('bad.json', { a: [['x']] })], /a is not forks/],
    [['compare', good, write('zero.json', [[0]])], /positive/],
    [['compare', good, good, '--threshold', 'x'], /must be a number/],
    [['compare', good, good, '--bogus'], /bogus/],
    [['history', write('a.csv', 'x,y\n1,2\n')], /no column bench/],
    [['history', write('b.csv', 'bench,value\na,\n')], /b\.csv:2/],
    [['history', write('c.json', [1, 2]), '--last', '0'], /--last/],
  ] as const) {
    const outcome = perfGate(args);
    expect(outcome).toMatchObject({ exitCode: 2, stdout: '' });
    expect(outcome.stderr).toMatch(message);
  }
});

it('runs as a program', () => {
  const program = fileURLToPath(new URL('../src/perf-gate-cli.ts', import.meta.url));
  const help = spawnSync(process.execPath, [program, '--help'], { encoding: 'utf8' });
  expect(help.status).toBe(0);
  expect(help.stdout).toContain('Usage: perf-gate compare');
  const files = [write('base.json', forks(10)), write('head.json', forks(20))];
  const regression = spawnSync(process.execPath, [program, 'compare', ...files], { encoding: 'utf8' });
  expect(regression.status).toBe(1);
  expect(regression.stdout).toMatch(/^regression/);
});
