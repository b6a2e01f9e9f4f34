// Pressure stall information: the share of time in which tasks wait for memory. https://docs.kernel.org/accounting/psi.html
// Memory can be nearly full and fine, or half full and thrashing; only stalls tell the two apart. `full` (no task ran)
// counts as it is; `some` (at least one waited) hurts less and counts a quarter.
import { join } from 'node:path';
import { cgroupFolders } from './cgroup.ts';
import { readKernelFile } from './kernel-file.ts';
import type { LevelThresholds } from './levels.ts';
import type { PressureReading, PressureSource } from './pressure-source.ts';

/** Fractions of the last ten seconds. At 25 % a service has lost a quarter of its time to reclaim. */
const THRESHOLDS: LevelThresholds = { moderate: 0.03, high: 0.1, critical: 0.25, emergency: 0.6 };
const WEIGHT_OF_SOME = 0.25;

export class PsiSource implements PressureSource {
  readonly name = 'psi';
  readonly thresholds: LevelThresholds = THRESHOLDS;
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /** The cgroup's own pressure where the kernel keeps it, else the machine's. */
  read(): PressureReading | undefined {
    const [folder] = cgroupFolders(this.#root);
    const own = folder === undefined ? undefined : readKernelFile(join(folder, 'memory.pressure'));
    const text = own ?? readKernelFile(join(this.#root, 'proc/pressure/memory'));
    if (text === undefined) return undefined;
    const some = averageOf(text, 'some');
    const full = averageOf(text, 'full');
    if (some === undefined && full === undefined) return undefined;
    return { value: Math.max(full ?? 0, (some ?? 0) * WEIGHT_OF_SOME) };
  }
}

function averageOf(text: string, line: 'some' | 'full'): number | undefined {
  const percent = new RegExp(`^${line} avg10=(\\d+(?:\\.\\d+)?)`, 'm').exec(text)?.[1];
  return percent === undefined ? undefined : Number(percent) / 100;
}
