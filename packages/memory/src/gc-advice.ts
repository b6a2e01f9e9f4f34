// What to set V8's heap flags to, from the memory this process may have and, if given, how its collector fares.
//
// V8 sizes its heap from the machine's memory, or the container's where it sees one; whoever sets a limit by hand, or
// runs several processes in one container, must leave room for buffers, stacks and code (here a quarter). A young
// generation that is too small promotes short-lived objects and pays for it in major collections.
import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';
import { cgroupLimitBytes } from './cgroup.ts';
import type { GcStats } from './gc-monitor.ts';
import { checkedCount } from './option-checks.ts';

export interface Advice {
  readonly flag: '--max-old-space-size' | '--max-semi-space-size';
  /** Now, in MiB; `undefined` when V8 does not tell. */
  readonly currentMiB: number | undefined;
  readonly recommendedMiB: number;
  /** `warning`: the process can be killed or loses much time; `info`: there is something to gain. */
  readonly severity: 'warning' | 'info';
  readonly reason: string;
}

export interface GcAdviceOptions {
  /** A folder that stands for `/`. Default `/`. */
  readonly root?: string;
  /** Of the container or machine. Default: the tightest cgroup limit, else the machine's memory. */
  readonly memoryLimitBytes?: number;
  /** Default: V8's. */
  readonly heapLimitBytes?: number;
  /** From a {@link GcMonitor}; without it there is no advice on the young generation. */
  readonly gc?: GcStats;
}

const MIB = 1024 * 1024;
/** Share of the memory that the heap should get; the rest is for what lies outside it. */
const HEAP_SHARE = 0.75;
/** A heap limit above this share can outgrow the container before V8 sees a reason to collect hard. */
const DANGEROUS_SHARE = 0.85;
/** A heap limit below this share leaves most of the memory unused. */
const TIMID_SHARE = 0.4;
/** Observations too short to judge a collector by. */
const MIN_OBSERVED_MS = 10_000;
const BUSY_MINORS_PER_SECOND = 5;
const BUSY_PAUSE_SHARE = 0.02;

/** Empty when nothing should change. */
export function gcAdvice(options: GcAdviceOptions = {}): readonly Advice[] {
  const { root = '/', gc } = options;
  if (typeof root !== 'string' || root === '') throw new TypeError('root must be a folder path');
  // Without a limit the machine's memory is an upper bound, but not all of it is meant for this process.
  const given = options.memoryLimitBytes ?? cgroupLimitBytes(root);
  const memoryLimitBytes = checkedCount('memoryLimitBytes', Math.min(given ?? Infinity, totalmem()));
  const heapLimitBytes = checkedCount(
    'heapLimitBytes',
    options.heapLimitBytes ?? getHeapStatistics().heap_size_limit,
  );
  const old = oldSpaceAdvice(heapLimitBytes, memoryLimitBytes, given !== undefined);
  return [...old, ...(gc === undefined ? [] : semiSpaceAdvice(gc))];
}

function oldSpaceAdvice(heapLimitBytes: number, memoryLimitBytes: number, limited: boolean): Advice[] {
  const share = heapLimitBytes / memoryLimitBytes;
  const recommendedMiB = Math.max(1, Math.floor((memoryLimitBytes * HEAP_SHARE) / MIB));
  const currentMiB = Math.round(heapLimitBytes / MIB);
  const percent = `${Math.round(share * 100)} %`;
  const flag = '--max-old-space-size' as const;
  if (share > DANGEROUS_SHARE) {
    const reason = `the heap may grow to ${percent} of the memory, so the process can be killed before V8 collects`;
    return [{ flag, currentMiB, recommendedMiB, severity: 'warning', reason }];
  }
  if (limited && share < TIMID_SHARE) {
    const reason = `the heap may take only ${percent} of the memory; with more room V8 collects less often`;
    return [{ flag, currentMiB, recommendedMiB, severity: 'info', reason }];
  }
  return [];
}

function semiSpaceAdvice(gc: GcStats): Advice[] {
  if (gc.observedMs < MIN_OBSERVED_MS) return [];
  const minorsPerSecond = (gc.byKind.minor / gc.observedMs) * 1000;
  if (minorsPerSecond < BUSY_MINORS_PER_SECOND || gc.pauseShare < BUSY_PAUSE_SHARE) return [];
  const reason =
    `${minorsPerSecond.toFixed(1)} minor collections a second, ${(gc.pauseShare * 100).toFixed(1)} % of the time in ` +
    'collections: a larger young generation lets short-lived objects die there';
  const severity = gc.pauseShare >= 0.1 ? 'warning' : 'info';
  return [{ flag: '--max-semi-space-size', currentMiB: undefined, recommendedMiB: 64, severity, reason }];
}
