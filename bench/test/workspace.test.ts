import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { AggregateResult } from '../src/aggregate.ts';
import { runWorkspace } from '../src/workspace-run.ts';

const benchDir = path.join(import.meta.dirname, '..');
const rootBin = path.join(benchDir, '../node_modules/.bin');
const originalPath = process.env.PATH;
let root = '';
/** Ends what a test that ran out of time has left running. */
const interrupt = new AbortController();

const PNPM_STAND_IN = `
  import { spawnSync } from 'node:child_process';
  import { readFileSync } from 'node:fs';
  const [command, script, ...args] = process.argv.slice(2);
  if (command !== 'run') throw new Error('the stand-in only runs scripts, not: ' + process.argv.slice(2).join(' '));
  const line = JSON.parse(readFileSync('package.json', 'utf8')).scripts[script];
  const quoted = args.map((argument) => JSON.stringify(argument)).join(' ');
  process.exitCode = spawnSync('sh', ['-c', line + ' ' + quoted], { stdio: 'inherit' }).status ?? 1;
`;

/** A real workspace of four packages, with turbo, whose cases are the fixtures. */
beforeAll(() => {
  mkdirSync(path.join(benchDir, '.results'), { recursive: true });
  root = mkdtempSync(path.join(benchDir, '.results/workspace-'));
  const write = (file: string, content: unknown): void => {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    writeFileSync(path.join(root, file), typeof content === 'string' ? content : JSON.stringify(content));
  };
  write('package.json', {
    name: 'fixture-workspace',
    private: true,
    devEngines: { packageManager: { name: 'pnpm', version: '>=12 <13', onFail: 'ignore' } },
  });
  write('pnpm-workspace.yaml', 'packages:\n  - packages/*\nverifyDepsBeforeRun: false\n');
  write('pnpm-lock.yaml', "lockfileVersion: '9.0'\n");
  write('turbo.json', {
    tasks: { build: {}, bench: { dependsOn: ['build'], cache: false } },
  });
  write('.gitignore', 'node_modules/\n.turbo/\n.results/\n');
  for (const name of ['honest', 'liar', 'misses', 'empty']) {
    cpSync(path.join(import.meta.dirname, 'fixtures', name), path.join(root, 'packages', name), {
      recursive: true,
      filter: (source) => !source.endsWith('.results'),
    });
    const cli = path.join(benchDir, 'src/cli.ts');
    write(`packages/${name}/package.json`, {
      name: `@fixture/${name}`,
      version: '0.0.0',
      private: true,
      scripts: { bench: `node ${JSON.stringify(cli)}` },
    });
  }
  mkdirSync(path.join(root, 'node_modules/@perf'), { recursive: true });
  mkdirSync(path.join(root, 'node_modules/.bin'), { recursive: true });
  symlinkSync(benchDir, path.join(root, 'node_modules/@perf/bench'));
  symlinkSync(path.join(rootBin, 'turbo'), path.join(root, 'node_modules/.bin/turbo'));
  // Turbo runs scripts through the package manager. The stand-in only runs a script with its arguments, so these tests
  // need no pnpm on the PATH and never fetch one.
  write('node_modules/.bin/pnpm.mjs', PNPM_STAND_IN);
  writeFileSync(
    path.join(root, 'node_modules/.bin/pnpm'),
    `#!/bin/sh\nexec "${process.execPath}" "${root}/node_modules/.bin/pnpm.mjs" "$@"\n`,
    { mode: 0o755 },
  );
  process.env.PATH = [path.join(root, 'node_modules/.bin'), rootBin, originalPath].join(path.delimiter);
});
afterAll(() => {
  interrupt.abort();
  process.env.PATH = originalPath;
  rmSync(root, { recursive: true, force: true });
});

async function bench(...argv: string[]): Promise<{ code: number; out: string }> {
  let out = '';
  const code = await runWorkspace({
    root,
    argv: ['--quick', '--no-install', ...argv],
    output: { write: (text) => (out += text) },
    signal: interrupt.signal,
  });
  return { code, out };
}

function aggregateOf(file = path.join(root, '.results/bench.json')): AggregateResult {
  return JSON.parse(readFileSync(file, 'utf8')) as AggregateResult;
}

describe('the workspace run', () => {
  test('runs every package, ends with one report, and fails because one contender lies', async () => {
    const { code, out } = await bench();
    expect(out).toContain('@fixture/empty: no cases');
    expect(out).toContain('@fixture/honest: 2 cases');
    expect(out).toMatch(/100 % {2}\w+/);
    expect(out).toContain(
      "  @fixture/liar largest-number: contender 'liar' gave a wrong answer (its first one): expected 4, got 3",
    );
    expect(out).toContain('  @fixture/misses too-big: size is 11 bytes, target <= 10');
    expect(out).toContain('5 cases: 2 pass, 0 without a goal, 1 miss, 0 skip, 2 fail');
    expect(code).toBe(1);

    const result = aggregateOf();
    expect(result.packages.map((found) => found.package).sort()).toEqual([
      '@fixture/honest',
      '@fixture/liar',
      '@fixture/misses',
    ]);
    expect(result.withoutCases).toEqual(['@fixture/empty']);
    expect(result.failures.map((remark) => remark.case).sort()).toEqual([
      'largest-number',
      'turns-liar-later',
    ]);
    const markdown = readFileSync(path.join(root, '.results/bench.md'), 'utf8');
    expect(markdown).toContain("- @fixture/liar `largest-number`: contender 'liar' gave a wrong answer");
    expect(markdown).toContain('| sum-loop | pass | loop (ours) |');
  });

  test('passes when the cases that match the filter pass, also behind a literal --', async () => {
    const file = path.join(root, 'out/aggregate.json');
    const { code, out } = await bench('--', '--filter', 'bytes-per', '--json', file);
    expect(out).toContain("@fixture/liar: no case matches 'bytes-per'");
    expect(out).toContain('1 case: 1 pass');
    expect(code).toBe(0);
    expect(aggregateOf(file)).toMatchObject({ options: { filter: 'bytes-per', quick: true }, failures: [] });
  });

  test('takes one package by its short name, and a missed target has its own exit code', async () => {
    const { code, out } = await bench('--package', 'misses');
    expect(out).not.toContain('@fixture/honest');
    expect(code).toBe(3);
  });

  test('lists without running', async () => {
    rmSync(path.join(root, 'packages/honest/.results'), { recursive: true, force: true });
    const { code, out } = await bench('--list', '--package', '@fixture/honest');
    expect(out).toContain('  sum-loop  (sum.bench.ts)');
    expect(out).toMatch(/2 cases in 1 packages, about/);
    expect(existsSync(path.join(root, 'packages/honest/.results'))).toBe(false);
    expect(code).toBe(0);
  });

  test('refuses a filter that matches nothing and a package that does not exist', async () => {
    expect(await bench('--filter', 'zzz')).toMatchObject({
      code: 2,
      out: expect.stringContaining("no case matches 'zzz'"),
    });
    expect(await bench('--package', 'nobody')).toMatchObject({
      code: 2,
      out: expect.stringContaining("no package 'nobody' with benches; there are @fixture/empty"),
    });
  });

  test('a package whose cases do not load is a failure with its name; the others still run', async () => {
    const file = path.join(root, 'packages/misses/bench/slow.bench.ts');
    const kept = readFileSync(file, 'utf8');
    writeFileSync(file, "throw new Error('cannot be loaded');\n");
    try {
      const { code, out } = await bench('--filter', 'b');
      expect(code).toBe(1);
      expect(out).toMatch(/failures:[^]*@fixture\/misses \*: .*cannot be loaded/);
      expect(out).toContain('PASS     bytes-per-entry');
    } finally {
      writeFileSync(file, kept);
    }
  });

  test('--help teaches without running anything', async () => {
    const { code, out } = await bench('--help');
    expect(code).toBe(0);
    expect(out).toContain('pnpm bench --package cache');
    expect(out).toContain('Exit code');
  });
});
