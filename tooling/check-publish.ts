// What a user gets when a package is installed from the registry, checked on the packed tarballs:
//   1. publint --strict and attw on each tarball;
//   2. each package alone in an empty project: its main entry by `import` and by `require`;
//   3. all packages with their optional peers in one project: every subpath by `import` and `require`, and a strict
//      TypeScript consumer of all of them compiles.
// Usage: node tooling/check-publish.ts     one line per check, exit code 1 if any failed.
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { runCommand, runPnpm } from './run-command.ts';
import { publishedPackages, readJson, workspaceRoot } from './workspace.ts';
import type { WorkspacePackage } from './workspace.ts';

export interface CheckResult {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

interface Packed {
  readonly pkg: WorkspacePackage;
  readonly tarball: string;
}

export async function checkPublish(report: (result: CheckResult) => void): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  const note = (name: string, problem: string): void => {
    const result = { name, ok: problem === '', detail: problem };
    results.push(result);
    report(result);
  };
  const dir = mkdtempSync(path.join(tmpdir(), 'perf-publish-'));
  try {
    const packed: Packed[] = [];
    for (const pkg of publishedPackages()) packed.push({ pkg, tarball: await pack(pkg, dir) });
    for (const { pkg, tarball } of packed) {
      note(`publint --strict ${pkg.name}`, await lintTarball(pkg, tarball));
      note(`attw ${pkg.name}`, await checkTypes(tarball));
    }
    for (const one of packed) note(`alone: ${one.pkg.name}`, await loadAlone(one, packed, dir));
    const everything = await installTogether(packed, dir);
    note(
      'together: import and require every subpath',
      everything === '' ? await loadTogether(packed, dir) : everything,
    );
    note(
      'together: a strict consumer compiles',
      everything === '' ? await compileConsumer(packed, dir) : everything,
    );
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  return results;
}

async function pack(pkg: WorkspacePackage, dir: string): Promise<string> {
  const into = path.join(dir, 'tarballs', pkg.folder.replaceAll('/', '-'));
  mkdirSync(into, { recursive: true });
  const { code, output } = await runPnpm(['pack', '--pack-destination', into], { cwd: pkg.dir });
  const name = readdirSync(into).find((f) => f.endsWith('.tgz'));
  if (code !== 0 || name === undefined) throw new Error(`pnpm pack failed for ${pkg.name}:\n${output}`);
  return path.join(into, name);
}

async function lintTarball(pkg: WorkspacePackage, tarball: string): Promise<string> {
  const bytes = readFileSync(tarball);
  const { messages } = await publint({
    strict: true,
    pack: { tarball: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) },
  });
  return messages.map((m) => formatMessage(m, pkg.manifest as never, { color: false }) ?? m.code).join('\n');
}

async function checkTypes(tarball: string): Promise<string> {
  const cli = path.join(workspaceRoot, 'tooling/node_modules/.bin/attw');
  const { code, output } = await runCommand(cli, [
    tarball,
    '--profile',
    'esm-only',
    '--no-emoji',
    '--no-color',
  ]);
  return code === 0 ? '' : output;
}

/** Subpaths that load code: no `./package.json`. */
function entriesOf(pkg: WorkspacePackage): string[] {
  return Object.keys(pkg.manifest.exports ?? {})
    .filter((key) => key !== './package.json')
    .map((key) => pkg.name + key.slice(1));
}

function project(
  dir: string,
  packed: readonly Packed[],
  dependencies: Readonly<Record<string, string>>,
): void {
  mkdirSync(dir, { recursive: true });
  writeFileSync(
    path.join(dir, 'package.json'),
    JSON.stringify({ name: 'consumer', version: '1.0.0', private: true, dependencies }),
  );
  const overrides = packed.map(({ pkg, tarball }) => `  '${pkg.name}': 'file:${tarball}'\n`).join('');
  writeFileSync(
    path.join(dir, 'pnpm-workspace.yaml'),
    `packages: []\nautoInstallPeers: false\noverrides:\n${overrides}`,
  );
}

const loader = (entries: readonly string[]): string => `
import { createRequire } from 'node:module';
const require = createRequire(import.meta.url);
for (const name of ${JSON.stringify(entries)}) {
  const imported = await import(name);
  const required = require(name);
  if (Object.keys(imported).length === 0) throw new Error(name + ' exports nothing');
  for (const key of Object.keys(imported)) {
    if (imported[key] !== required[key]) throw new Error(name + ': ' + key + ' differs between import and require');
  }
}
`;

async function loadAlone({ pkg, tarball }: Packed, packed: readonly Packed[], dir: string): Promise<string> {
  const home = path.join(dir, 'alone', pkg.folder.replaceAll('/', '-'));
  project(home, packed, { [pkg.name]: `file:${tarball}` });
  const install = await runPnpm(['install', '--prefer-offline', '--ignore-scripts'], { cwd: home });
  if (install.code !== 0) return install.output;
  writeFileSync(path.join(home, 'load.mjs'), loader([pkg.name]));
  const run = await runCommand(process.execPath, ['load.mjs'], { cwd: home });
  return run.code === 0 ? '' : run.output;
}

/** All packages and every optional peer, at the versions the workspace itself resolves. */
async function installTogether(packed: readonly Packed[], dir: string): Promise<string> {
  const dependencies: Record<string, string> = {};
  for (const { pkg, tarball } of packed) dependencies[pkg.name] = `file:${tarball}`;
  for (const { pkg } of packed) {
    for (const peer of [...Object.keys(pkg.manifest.peerDependencies ?? {}), '@types/node']) {
      if (peer.startsWith('@perf/')) continue;
      const file = path.join(pkg.dir, 'node_modules', peer, 'package.json');
      dependencies[peer] = (readJson(file) as { version: string }).version;
    }
  }
  project(path.join(dir, 'together'), packed, dependencies);
  const install = await runPnpm(['install', '--prefer-offline', '--ignore-scripts'], {
    cwd: path.join(dir, 'together'),
  });
  return install.code === 0 ? '' : install.output;
}

async function loadTogether(packed: readonly Packed[], dir: string): Promise<string> {
  const home = path.join(dir, 'together');
  writeFileSync(path.join(home, 'load.mjs'), loader(packed.flatMap(({ pkg }) => entriesOf(pkg))));
  const run = await runCommand(process.execPath, ['load.mjs'], { cwd: home });
  return run.code === 0 ? '' : run.output;
}

async function compileConsumer(packed: readonly Packed[], dir: string): Promise<string> {
  const home = path.join(dir, 'together');
  const imports = packed.flatMap(({ pkg }) => entriesOf(pkg));
  const source = imports.map((name, i) => `import * as m${i} from '${name}';\nvoid m${i};\n`).join('');
  writeFileSync(path.join(home, 'everything.ts'), source);
  cpSync(path.join(workspaceRoot, 'tooling/fixtures/consumer.txt'), path.join(home, 'consumer.ts'));
  writeFileSync(
    path.join(home, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        module: 'nodenext',
        target: 'es2024',
        lib: ['es2024', 'esnext.disposable'],
        strict: true,
        noEmit: true,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        skipLibCheck: true,
        types: ['node'],
      },
      files: ['everything.ts', 'consumer.ts'],
    }),
  );
  const tsc = path.join(workspaceRoot, 'node_modules/.bin/tsc');
  const run = await runCommand(tsc, ['-p', '.'], { cwd: home });
  return run.code === 0 ? '' : run.output;
}

if (import.meta.main) {
  const results = await checkPublish(({ name, ok, detail }) => {
    console.log(`${ok ? 'ok    ' : 'FAILED'} ${name}${ok ? '' : `\n${detail}`}`);
  });
  process.exitCode = results.every((r) => r.ok) ? 0 : 1;
}
