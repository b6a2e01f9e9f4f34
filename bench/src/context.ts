/** The `CaseContext` of one fork: peers, data and chance, each from its one place. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';

import { importPeer } from '../peers/import-peer.ts';
import type { CaseContext } from './case.ts';
import { BenchError } from './errors.ts';
import { seededRandom } from './random.ts';

const dataFolder = path.resolve(import.meta.dirname, '../data');

export interface ContextOptions {
  readonly seed: number;
  readonly scratchDir: string;
  /** The optional larger data folder. */
  readonly sharedDataDir?: string | undefined;
}

export function createContext(options: ContextOptions): CaseContext {
  return {
    peer: async <T>(name: string) => {
      try {
        return (await importPeer(name)) as T;
      } catch (error) {
        throw new BenchError('ERR_PERF_BENCH_PEER_MISSING', peerFailure(name, error), { cause: error });
      }
    },
    data: (relative) => readData(dataFolder, relative),
    sharedData: (relative) => {
      const folder = options.sharedDataDir;
      if (folder === undefined || folder === '') return undefined;
      return existsSync(pathBelow(folder, relative)) ? readData(folder, relative) : undefined;
    },
    scratchDir: options.scratchDir,
    random: seededRandom(options.seed),
    skip: (reason) => {
      throw new BenchError('ERR_PERF_BENCH_SKIPPED', reason);
    },
  };
}

function peerFailure(name: string, error: unknown): string {
  const isAbsent = error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND';
  const message = error instanceof Error ? error.message : String(error);
  return isAbsent
    ? `peer '${name}' is not installed in bench/peers`
    : `peer '${name}' does not load: ${(message.split('\n', 1)[0] ?? '').slice(0, 200)}`;
}

function readData(folder: string, relative: string): Buffer {
  const bytes = readFileSync(pathBelow(folder, relative));
  return relative.endsWith('.gz') ? gunzipSync(bytes) : bytes;
}

function pathBelow(folder: string, relative: string): string {
  const full = path.resolve(folder, relative);
  if (!full.startsWith(path.resolve(folder) + path.sep)) {
    throw new RangeError(`'${relative}' is not a path below ${folder}`);
  }
  return full;
}
