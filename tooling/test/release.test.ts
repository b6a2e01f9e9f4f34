// A rehearsal of the release on a copy: after the pending changesets are applied, one further changeset bumps its own
// package and no other.
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runCommand } from '../run-command.ts';
import { publishedPackages, readJson, workspacePackages, workspaceRoot } from '../workspace.ts';

let copy: string;

beforeAll(async () => {
  copy = mkdtempSync(path.join(tmpdir(), 'perf-release-'));
  for (const file of ['package.json', 'pnpm-workspace.yaml', 'pnpm-lock.yaml', '.changeset']) {
    cpSync(path.join(workspaceRoot, file), path.join(copy, file), { recursive: true });
  }
  for (const pkg of workspacePackages()) {
    cpSync(path.join(pkg.dir, 'package.json'), path.join(copy, pkg.folder, 'package.json'));
  }
  for (const args of [
    ['init', '-q', '-b', 'main'],
    ['add', '-A'],
    ['commit', '-q', '-m', 'copy'],
  ]) {
    const git = await runCommand('git', ['-c', 'user.name=r', '-c', 'user.email=r@invalid', ...args], {
      cwd: copy,
    });
    expect(git.output).toBe('');
  }
});

afterAll(() => {
  rmSync(copy, { recursive: true, force: true });
});

async function changesetVersion(): Promise<void> {
  const cli = path.join(workspaceRoot, 'node_modules/.bin/changeset');
  const { code, output } = await runCommand(cli, ['version'], { cwd: copy });
  expect(code, output).toBe(0);
}

const versions = (): Record<string, string> =>
  Object.fromEntries(
    publishedPackages(copy).map((p) => {
      const manifest = readJson(path.join(p.dir, 'package.json')) as { version: string };
      return [p.name, manifest.version];
    }),
  );

it('gives every package that has a pending changeset its version', async () => {
  await changesetVersion();
  for (const [name, version] of Object.entries(versions())) {
    expect(`${name} ${version}`).toMatch(/ [1-9]\d*\.\d+\.\d+$/);
  }
});

it.each([
  ['@perf/cache', 'patch'],
  ['@perf/sqlite', 'minor'],
  ['@perf/graph', 'minor'],
])('bumps %s (%s) without touching the version of any other package', async (name, bump) => {
  const before = versions();
  writeFileSync(path.join(copy, '.changeset/one.md'), `---\n'${name}': ${bump}\n---\n\nA change.\n`);
  await changesetVersion();
  const after = versions();
  const changed = Object.keys(after).filter((key) => after[key] !== before[key]);
  expect(changed).toEqual([name]);
});
