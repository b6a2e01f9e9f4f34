/**
 * The facts without which a number means nothing, and whether the machine was free. The load average is a minute old
 * and counts our own earlier cases; so the warning comes from watching the CPUs for a moment while we do nothing.
 */
import { statfsSync } from 'node:fs';
import { arch, cpus, loadavg, platform, release, totalmem } from 'node:os';
import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';

export interface MachineFacts {
  readonly cpuModel: string;
  readonly cpuCount: number;
  readonly usableCpuCount: number;
  readonly memoryBytes: number;
  readonly os: string;
  readonly node: string;
  readonly v8: string;
  /** Where scratch folders are; durability cases mean little on `tmpfs`. */
  readonly scratchFileSystem: string;
  /** 1, 5 and 15 minutes. */
  readonly loadAverage: readonly number[];
  /** Share of all CPUs that others used while we waited, 0 to 1. */
  readonly busyFraction: number;
  readonly warnings: readonly string[];
}

/** Above this share of the CPUs others take visible time from the contenders. */
const BUSY_LIMIT = 0.1;
const WATCH_MS = 300;
/** How the warning starts that others used the CPUs. */
export const BUSY_WARNING = 'the machine was busy';

export interface CpuTimes {
  readonly idle: number;
  readonly total: number;
}

export async function machineFacts(scratchParent: string): Promise<MachineFacts> {
  const before = cpuTimes();
  await delay(WATCH_MS);
  const busyFraction = busyBetween(before, cpuTimes());
  const scratchFileSystem = fileSystemName(scratchParent);
  const facts = {
    cpuModel: cpus()[0]?.model.trim() ?? 'unknown',
    cpuCount: cpus().length,
    usableCpuCount: availableParallelism(),
    memoryBytes: totalmem(),
    os: `${platform()} ${release()} ${arch()}`,
    node: process.versions.node,
    v8: process.versions.v8,
    scratchFileSystem,
    loadAverage: loadavg(),
    busyFraction,
  };
  return { ...facts, warnings: machineWarnings(facts) };
}

/** What a reader must know before believing numbers from this machine. */
export function machineWarnings(
  facts: Pick<MachineFacts, 'busyFraction' | 'loadAverage' | 'scratchFileSystem' | 'usableCpuCount'>,
): string[] {
  const warnings: string[] = [];
  if (isBusy(facts.busyFraction)) {
    const percent = Math.round(facts.busyFraction * 100);
    const load = (facts.loadAverage[0] ?? 0).toFixed(2);
    warnings.push(
      `${BUSY_WARNING} before the first case: others used ${percent} % of the CPUs (load average ${load})`,
    );
  }
  if (facts.usableCpuCount < 2) {
    warnings.push('one CPU: a contender shares it with its own garbage collection threads');
  }
  if (facts.scratchFileSystem === 'tmpfs') {
    warnings.push('scratch folders are on tmpfs: durable writes cost nothing there');
  }
  return warnings;
}

/** The share of all CPUs, 0 to 1, that was used between two looks by others than who used `ownCpuMs` meanwhile. */
export function busyBetween(before: CpuTimes, after: CpuTimes, ownCpuMs = 0): number {
  const total = after.total - before.total;
  if (total <= 0) return 0;
  const used = total - (after.idle - before.idle);
  return Math.min(1, Math.max(0, (used - ownCpuMs) / total));
}

/** Whether others took enough of the CPUs to be seen in the numbers. */
export function isBusy(busyFraction: number): boolean {
  return busyFraction > BUSY_LIMIT;
}

export function cpuTimes(): CpuTimes {
  let idle = 0;
  let total = 0;
  for (const { times } of cpus()) {
    idle += times.idle;
    total += times.user + times.nice + times.sys + times.idle + times.irq;
  }
  return { idle, total };
}

/** Linux magic numbers (statfs(2)); others are shown as hexadecimal. */
const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  0xef53: 'ext4',
  0x58465342: 'xfs',
  0x9123683e: 'btrfs',
  0x01021994: 'tmpfs',
  0x794c7630: 'overlay',
  0x6969: 'nfs',
  0x2fc12fc1: 'zfs',
};

function fileSystemName(folder: string): string {
  const type = statfsSync(folder).type >>> 0;
  return FILE_SYSTEMS[type] ?? `0x${type.toString(16)}`;
}
