// Memory use of this process's cgroup (v2) against its limits. https://docs.kernel.org/admin-guide/cgroup-v2.html
//
// memory.current counts page cache, which the kernel drops when it needs the room; the working set leaves out
// inactive_file, as the kubelet does before it evicts. A cgroup is bound by memory.max (it is killed) and memory.high
// (it is throttled), its own and those of every ancestor; an ancestor's limit bounds what the ancestor holds, so each
// level is judged by its own use, and the fullest one counts.
import { join } from 'node:path';
import { readKernelFile } from './kernel-file.ts';
import type { PressureReading, PressureSource } from './pressure-source.ts';

/** The cgroup's folder and its ancestors' folders up to the mount, innermost first. */
export function cgroupFolders(root: string): string[] {
  const mount = join(root, 'sys/fs/cgroup');
  const line = readKernelFile(join(root, 'proc/self/cgroup'))
    ?.split('\n')
    .find((entry) => entry.startsWith('0::'));
  const steps = (line ?? '0::/')
    .slice(3)
    .split('/')
    .filter((step) => step !== '' && step !== '..');
  const folders: string[] = [];
  for (let depth = steps.length; depth >= 0; depth--) folders.push(join(mount, ...steps.slice(0, depth)));
  return folders;
}

/** The tightest memory limit in bytes over the cgroup and its ancestors, or `undefined` when there is none. */
export function cgroupLimitBytes(root: string): number | undefined {
  const limits = cgroupFolders(root).map(limitOf).filter(Number.isFinite);
  return limits.length === 0 ? undefined : Math.min(...limits);
}

export class CgroupSource implements PressureSource {
  readonly name = 'cgroup';
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  read(): PressureReading | undefined {
    let fullest: PressureReading | undefined;
    // The folders are found anew each time: a process can be moved to another cgroup.
    for (const folder of cgroupFolders(this.#root)) {
      const reading = readingOf(folder);
      if (reading !== undefined && (fullest === undefined || reading.value > fullest.value))
        fullest = reading;
    }
    return fullest;
  }
}

function readingOf(folder: string): PressureReading | undefined {
  const limitBytes = limitOf(folder);
  if (limitBytes === Infinity) return undefined;
  const current = bytesIn(readKernelFile(join(folder, 'memory.current')));
  if (current === undefined) return undefined;
  const stat = readKernelFile(join(folder, 'memory.stat'));
  const inactive = /^inactive_file (\d+)$/m.exec(stat ?? '')?.[1];
  const usedBytes = Math.max(0, current - Number(inactive ?? 0));
  return { value: limitBytes === 0 ? Infinity : usedBytes / limitBytes, usedBytes, limitBytes };
}

function limitOf(folder: string): number {
  const max = bytesIn(readKernelFile(join(folder, 'memory.max')));
  const high = bytesIn(readKernelFile(join(folder, 'memory.high')));
  return Math.min(max ?? Infinity, high ?? Infinity);
}

/** A count of bytes; `max`, a missing file and anything else that is no number mean none. */
function bytesIn(text: string | undefined): number | undefined {
  const trimmed = text?.trim() ?? '';
  return /^\d+$/.test(trimmed) ? Number(trimmed) : undefined;
}
