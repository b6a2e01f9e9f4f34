// The rules of the house, each shown to fire: a copy of the workspace with one violation must fail the same commands
// that the test command runs, and the copy without it must pass them.
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { checkLayering } from '../layering.ts';
import { runCommand } from '../run-command.ts';
import { workspacePackages, workspaceRoot } from '../workspace.ts';

let copy: string;
const culprit = (): string => path.join(copy, 'packages/cache/src/violation.ts');

beforeAll(() => {
  copy = mkdtempSync(path.join(tmpdir(), 'perf-boundaries-'));
  for (const file of ['package.json', 'pnpm-workspace.yaml', 'pnpm-lock.yaml', 'turbo.json']) {
    cpSync(path.join(workspaceRoot, file), path.join(copy, file));
  }
  for (const pkg of workspacePackages()) {
    for (const part of ['package.json', 'turbo.json']) {
      cpSync(path.join(pkg.dir, part), path.join(copy, pkg.folder, part));
    }
    mkdirSync(path.join(copy, pkg.folder, 'src'));
    writeFileSync(path.join(copy, pkg.folder, 'src/index.ts'), `export const name = '${pkg.name}';\n`);
  }
  symlinkSync(path.join(workspaceRoot, 'node_modules'), path.join(copy, 'node_modules'));
});

afterAll(() => {
  rmSync(copy, { recursive: true, force: true });
});

async function turboBoundaries(): Promise<{ code: number; output: string }> {
  return runCommand(path.join(workspaceRoot, 'node_modules/.bin/turbo'), ['boundaries', '--no-color'], {
    cwd: copy,
  });
}

async function withViolation<T>(source: string, check: () => T | Promise<T>): Promise<T> {
  writeFileSync(culprit(), source);
  try {
    return await check();
  } finally {
    rmSync(culprit());
  }
}

it('finds nothing to object to in the workspace without a violation', async () => {
  const turbo = await turboBoundaries();
  expect(turbo.output).toContain('no issues found');
  expect(turbo.code).toBe(0);
  expect(checkLayering(copy)).toEqual([]);
});

it('refuses a kernel that imports another kernel', async () => {
  const { code, output } = await withViolation(`export { name } from '@perf/graph';\n`, turboBoundaries);
  expect(code).not.toBe(0);
  expect(output).toContain('@perf/graph');
});

it('refuses a kernel that declares another kernel as its dependency', () => {
  const file = path.join(copy, 'packages/cache/package.json');
  const original = workspacePackages(copy).find((p) => p.name === '@perf/cache')?.manifest;
  writeFileSync(file, JSON.stringify({ ...original, dependencies: { '@perf/graph': 'workspace:^' } }));
  try {
    const rules = checkLayering(copy).map((f) => f.rule);
    expect(rules).toContain('layers');
  } finally {
    writeFileSync(file, JSON.stringify(original));
  }
});

it('refuses an undeclared dependency', async () => {
  const { code, output } = await withViolation(
    `import fp from 'fastify-plugin';\nexport { fp };\n`,
    turboBoundaries,
  );
  expect(code).not.toBe(0);
  expect(output).toContain('fastify-plugin');
});

it('refuses a deep import of the source of another package', async () => {
  const findings = await withViolation(`export * from '@perf/sqlite/src/index.ts';\n`, () =>
    checkLayering(copy),
  );
  expect(findings).toMatchObject([{ file: 'packages/cache/src/violation.ts', rule: 'imports' }]);
  const { code } = await withViolation(`export * from '../../sqlite/src/index.ts';\n`, turboBoundaries);
  expect(code).not.toBe(0);
});

it('refuses to ship an import of the bench harness', async () => {
  const findings = await withViolation(`export { ratioCase } from '@perf/bench';\n`, () =>
    checkLayering(copy),
  );
  expect(findings).toMatchObject([{ file: 'packages/cache/src/violation.ts', rule: 'imports' }]);
});

it('refuses an outside version that does not come from the catalog', () => {
  const file = path.join(copy, 'packages/cache/package.json');
  const original = workspacePackages(copy).find((p) => p.name === '@perf/cache')?.manifest;
  writeFileSync(file, JSON.stringify({ ...original, dependencies: { 'lru-cache': '^11.0.0' } }));
  try {
    expect(checkLayering(copy)).toMatchObject([{ file: 'packages/cache/package.json', rule: 'catalog' }]);
  } finally {
    writeFileSync(file, JSON.stringify(original));
  }
});

it('refuses a file that is named after nothing', () => {
  const file = path.join(copy, 'packages/cache/src/utils.ts');
  writeFileSync(file, 'export const a = 1;\n');
  try {
    expect(checkLayering(copy)).toMatchObject([{ file: 'packages/cache/src/utils.ts', rule: 'names' }]);
  } finally {
    rmSync(file);
  }
});
