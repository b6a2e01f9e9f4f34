/**
 * Starts work when there is room for it: each task reserves what its profile needs of a budget (memory, CPU, I/O) and
 * the sum of the reservations never exceeds it.
 *
 * Tasks wait by profile; a round looks at the head of each profile, best effective priority first (level minus waited
 * time over agingMs; among equals the one that looks most like what is free), and starts what fits, so small tasks fill
 * the gaps that large ones leave. A task that has waited `maxWaitMs` is not overtaken any more: nothing else starts until
 * it fits. That is the bound on starvation.
 *
 * What a profile really uses is learned from what its tasks report. A reservation is the largest use seen lately plus
 * a margin; before `LEARN_AFTER` reports, and when nothing is reported, it is what the profile says. A task that reports
 * more than was reserved for it raises its reservation at once, and nothing starts until the budget holds again.
 */
import { monotonicClock, type Clock } from './clock.ts';
import { BatchError } from './errors.ts';
import { functionOption, integerOption, numberOption } from './option-checks.ts';
import { MAX_PRIORITIES, PriorityRing } from './priority-ring.ts';

export interface ResourceProfile {
  /** Tasks of one name share what is learned and their concurrency limit. */
  readonly name: string;
  readonly memoryBytes?: number;
  /** Cores; a share of one is fine. */
  readonly cpu?: number;
  /** In whatever unit the budget's `io` has: operations or bytes per second, or open files. */
  readonly io?: number;
  /** A guess, until it is learned. */
  readonly durationMs?: number;
  readonly maxConcurrent?: number;
}

export interface ResourceUse {
  readonly memoryBytes?: number;
  readonly cpu?: number;
  readonly io?: number;
}

export interface ResourceSchedulerOptions {
  /** What may be reserved at once. What is not named is not limited. */
  readonly budget: ResourceUse;
  /**
   * What is free in the machine right now, asked before a task starts: it must fit there too, beside the budget.
   * Default: not asked.
   */
  readonly available?: () => ResourceUse;
  /** Levels; 0 is the most urgent. Default 8. */
  readonly priorities?: number;
  /** A waiting task rises one level per this. Default 10 s. */
  readonly agingMs?: number;
  /** After this nothing overtakes it. Default 60 s. */
  readonly maxWaitMs?: number;
  /** Tasks that may wait. Default 100,000. */
  readonly maxWaiting?: number;
  /** Added to the largest use seen. Default 0.1. */
  readonly margin?: number;
  readonly clock?: Clock;
}

export interface SubmitOptions {
  /** 0 (most urgent) to `priorities - 1`; default the middle. */
  readonly priority?: number;
  readonly signal?: AbortSignal;
}

export interface TaskContext {
  readonly signal: AbortSignal | undefined;
  /** Says what the task uses now; the largest report of each resource counts. */
  report(use: ResourceUse): void;
}

export interface ProfileStats {
  readonly name: string;
  readonly waiting: number;
  readonly running: number;
  readonly completed: number;
  readonly failed: number;
  /** What the next task of it will reserve. */
  readonly reserves: Required<ResourceUse>;
  readonly meanDurationMs: number;
}

export interface ResourceSchedulerStats {
  readonly running: number;
  readonly waiting: number;
  readonly reserved: Required<ResourceUse>;
  readonly completed: number;
  readonly failed: number;
  readonly longestWaitMs: number;
  readonly profiles: readonly ProfileStats[];
}

const RESOURCES = ['memoryBytes', 'cpu', 'io'] as const;
/** Reports before a profile's own numbers are believed less than what was seen. */
const LEARN_AFTER = 5;
/** Reports looked back on. */
const LEARN_WINDOW = 64;
const DURATION_WEIGHT = 0.1;
/** Sums of fractions of a core drift; this much over is not over. */
const EPSILON = 1e-9;

interface Task {
  readonly enqueuedAtMs: number;
  readonly profile: Profile;
  readonly priority: number;
  readonly run: (context: TaskContext) => unknown;
  readonly signal: AbortSignal | undefined;
  resolve(value: unknown): void;
  reject(reason: unknown): void;
  onAbort: (() => void) | undefined;
  state: 'waiting' | 'started' | 'cancelled';
}

/** Queue, reservations and memory of one profile. */
class Profile {
  readonly name: string;
  readonly declared: Float64Array;
  readonly maxConcurrent: number;
  readonly waitingTasks: PriorityRing<Task>;
  readonly #seen = RESOURCES.map(() => new Float64Array(LEARN_WINDOW));
  #reports = 0;
  waiting = 0;
  running = 0;
  completed = 0;
  failed = 0;
  meanDurationMs: number;
  reserves: Float64Array;

  constructor(profile: ResourceProfile, priorities: number) {
    this.name = profile.name;
    this.declared = usesOf(profile);
    this.maxConcurrent = integerOption('maxConcurrent', profile.maxConcurrent ?? Number.MAX_SAFE_INTEGER, 1);
    this.meanDurationMs = numberOption('durationMs', profile.durationMs ?? 0, 0);
    this.waitingTasks = new PriorityRing(priorities);
    this.reserves = this.declared;
  }

  /** @param budget no reservation may exceed it, or the profile could never start again. */
  learn(
    peak: Float64Array,
    reported: boolean,
    durationMs: number,
    margin: number,
    budget: Float64Array,
  ): void {
    this.meanDurationMs += DURATION_WEIGHT * (durationMs - this.meanDurationMs);
    if (!reported) return;
    const slot = this.#reports++ % LEARN_WINDOW;
    for (let r = 0; r < RESOURCES.length; r++) (this.#seen[r] as Float64Array)[slot] = peak[r] as number;
    if (this.#reports < LEARN_AFTER) return;
    this.reserves = Float64Array.from(this.#seen, (seen, r) => {
      const largest = Math.max(...seen.subarray(0, Math.min(this.#reports, LEARN_WINDOW)));
      return largest === 0
        ? (this.declared[r] as number)
        : Math.min(largest * (1 + margin), budget[r] as number);
    });
  }
}

export class ResourceScheduler {
  readonly #budget: Float64Array;
  readonly #available: (() => ResourceUse) | undefined;
  readonly #priorities: number;
  readonly #agingMs: number;
  readonly #maxWaitMs: number;
  readonly #maxWaiting: number;
  readonly #margin: number;
  readonly #clock: Clock;
  readonly #profiles = new Map<string, Profile>();
  readonly #reserved = new Float64Array(RESOURCES.length);
  #waiting = 0;
  #running = 0;
  #completed = 0;
  #failed = 0;
  #longestWaitMs = 0;
  #scheduled = false;
  #recheck: NodeJS.Timeout | undefined;

  /** @throws {RangeError | TypeError} naming the option. */
  constructor(options: ResourceSchedulerOptions) {
    if (typeof options?.budget !== 'object') throw new TypeError('budget must say what may be reserved');
    this.#budget = Float64Array.from(RESOURCES, (resource) =>
      numberOption(`budget.${resource}`, options.budget[resource] ?? Infinity, Number.MIN_VALUE, Infinity),
    );
    this.#available =
      options.available === undefined ? undefined : functionOption('available', options.available);
    this.#priorities = integerOption('priorities', options.priorities ?? 8, 1, MAX_PRIORITIES);
    this.#agingMs = numberOption('agingMs', options.agingMs ?? 10_000, 1);
    this.#maxWaitMs = numberOption('maxWaitMs', options.maxWaitMs ?? 60_000, 0, Infinity);
    this.#maxWaiting = integerOption('maxWaiting', options.maxWaiting ?? 100_000, 0);
    this.#margin = numberOption('margin', options.margin ?? 0.1, 0);
    this.#clock = options.clock ?? monotonicClock;
  }

  /**
   * Runs `fn` when its profile's needs fit, and gives its outcome. Rejects with ERR_PERF_BATCH_ITEM_TOO_LARGE when they
   * exceed the whole budget, ERR_PERF_BATCH_FULL, or the signal's reason. The first profile of a name is the one
   * that counts.
   */
  submit<V>(
    profile: ResourceProfile,
    fn: (context: TaskContext) => Promise<V> | V,
    options: SubmitOptions = {},
  ): Promise<V> {
    functionOption('fn', fn);
    const priority = integerOption(
      'priority',
      options.priority ?? this.#priorities >> 1,
      0,
      this.#priorities - 1,
    );
    const known = this.#profile(profile);
    const { signal } = options;
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    if (!this.#canEverFit(known)) {
      const message = `profile ${known.name} needs more than the whole budget`;
      return Promise.reject(new BatchError('ERR_PERF_BATCH_ITEM_TOO_LARGE', message));
    }
    if (this.#waiting >= this.#maxWaiting) {
      return Promise.reject(new BatchError('ERR_PERF_BATCH_FULL', `${this.#waiting} tasks are waiting`));
    }
    return new Promise<V>((resolve, reject) => {
      const task: Task = {
        enqueuedAtMs: this.#clock.now(),
        profile: known,
        priority,
        run: fn,
        signal,
        resolve,
        reject,
        onAbort: undefined,
        state: 'waiting',
      };
      if (signal !== undefined) {
        task.onAbort = () => this.#cancel(task);
        signal.addEventListener('abort', task.onAbort, { once: true });
      }
      known.waitingTasks.push(priority, task);
      known.waiting++;
      this.#waiting++;
      this.#schedule();
    });
  }

  /** Look again at `available`: it has changed without a task ending. */
  wake(): void {
    this.#schedule();
  }

  stats(): ResourceSchedulerStats {
    return {
      running: this.#running,
      waiting: this.#waiting,
      reserved: toUse(this.#reserved),
      completed: this.#completed,
      failed: this.#failed,
      longestWaitMs: this.#longestWaitMs,
      profiles: [...this.#profiles.values()].map((profile) => ({
        name: profile.name,
        waiting: profile.waiting,
        running: profile.running,
        completed: profile.completed,
        failed: profile.failed,
        reserves: toUse(profile.reserves),
        meanDurationMs: profile.meanDurationMs,
      })),
    };
  }

  #profile(profile: ResourceProfile): Profile {
    if (typeof profile?.name !== 'string') throw new TypeError('profile.name must be a string');
    let known = this.#profiles.get(profile.name);
    if (known === undefined) {
      known = new Profile(profile, this.#priorities);
      this.#profiles.set(profile.name, known);
    }
    return known;
  }

  #canEverFit(profile: Profile): boolean {
    return profile.reserves.every((need, r) => need <= (this.#budget[r] as number));
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#startWhatFits();
    });
  }

  #startWhatFits(): void {
    while (this.#waiting > 0) {
      const task = this.#next();
      if (task === undefined) break;
      this.#start(task);
    }
    // What the machine has free changes without telling; only then is it asked again, and only while tasks wait.
    if (
      this.#waiting > 0 &&
      this.#running === 0 &&
      this.#available !== undefined &&
      this.#recheck === undefined
    ) {
      this.#recheck = setTimeout(() => {
        this.#recheck = undefined;
        this.#schedule();
      }, RECHECK_MS);
    }
  }

  /** The first in order of effective priority that fits, unless one that has waited too long comes before it. */
  #next(): Task | undefined {
    const nowMs = this.#clock.now();
    const free = this.#free();
    let best: Task | undefined;
    let overdue: Task | undefined;
    for (const profile of this.#profiles.values()) {
      const task = this.#head(profile, nowMs);
      if (task === undefined) continue;
      if (
        nowMs - task.enqueuedAtMs >= this.#maxWaitMs &&
        (overdue === undefined || task.enqueuedAtMs < overdue.enqueuedAtMs)
      ) {
        overdue = task;
      }
      if (!fits(profile.reserves, free)) continue;
      if (best === undefined || this.#comesBefore(task, best, nowMs, free)) best = task;
    }
    if (overdue === undefined) return best;
    return fits(overdue.profile.reserves, free) ? overdue : undefined;
  }

  #free(): Float64Array {
    const free = this.#budget.map((total, r) => total - (this.#reserved[r] as number));
    if (this.#available === undefined) return free;
    const available = this.#available();
    for (let r = 0; r < RESOURCES.length; r++) {
      const now = available[RESOURCES[r] as (typeof RESOURCES)[number]];
      if (now !== undefined && now < (free[r] as number)) free[r] = now;
    }
    return free;
  }

  #head(profile: Profile, nowMs: number): Task | undefined {
    if (profile.waiting === 0 || profile.running >= profile.maxConcurrent) return undefined;
    for (;;) {
      const task = profile.waitingTasks.peek(nowMs, this.#agingMs);
      if (task === undefined || task.state === 'waiting') return task;
      profile.waitingTasks.popAged(nowMs, this.#agingMs);
    }
  }

  /**
   * Of equal urgency the one whose needs look most like what is free, so that what is scarce and what is plenty are used up
   * together (Grandl et al., "Multi-resource packing for cluster schedulers", SIGCOMM 2014); then the older one.
   */
  #comesBefore(a: Task, b: Task, nowMs: number, free: Float64Array): boolean {
    const levelOf = (task: Task): number =>
      task.priority - Math.floor((nowMs - task.enqueuedAtMs) / this.#agingMs);
    const difference = levelOf(a) - levelOf(b);
    if (difference !== 0) return difference < 0;
    const alignment = this.#alignment(a, free) - this.#alignment(b, free);
    return alignment === 0 ? a.enqueuedAtMs < b.enqueuedAtMs : alignment > 0;
  }

  #alignment(task: Task, free: Float64Array): number {
    let sum = 0;
    for (let r = 0; r < RESOURCES.length; r++) {
      const budget = this.#budget[r] as number;
      if (budget === Infinity) continue;
      sum += ((task.profile.reserves[r] as number) / budget) * ((free[r] as number) / budget);
    }
    return sum;
  }

  #start(task: Task): void {
    const { profile } = task;
    const startedAtMs = this.#clock.now();
    // `#next` returned the head of its profile's queue.
    profile.waitingTasks.popAged(startedAtMs, this.#agingMs);
    task.state = 'started';
    if (task.onAbort !== undefined) task.signal?.removeEventListener('abort', task.onAbort);
    this.#waiting--;
    profile.waiting--;
    this.#running++;
    profile.running++;
    this.#longestWaitMs = Math.max(this.#longestWaitMs, startedAtMs - task.enqueuedAtMs);
    const reservation = Float64Array.from(profile.reserves);
    const peak = new Float64Array(RESOURCES.length);
    let reported = false;
    this.#reserve(reservation, 1);
    const report = (use: ResourceUse): void => {
      if (task.state !== 'started') return;
      reported = true;
      const uses = usesOf(use);
      for (let r = 0; r < RESOURCES.length; r++) {
        const used = uses[r] as number;
        if (used > (peak[r] as number)) peak[r] = used;
        if (used <= (reservation[r] as number)) continue;
        (this.#reserved[r] as number) += used - (reservation[r] as number);
        reservation[r] = used;
      }
    };
    const end = (ok: boolean): void => {
      task.state = 'cancelled';
      this.#running--;
      profile.running--;
      if (ok) profile.completed++;
      else profile.failed++;
      if (ok) this.#completed++;
      else this.#failed++;
      this.#reserve(reservation, -1);
      profile.learn(peak, reported, this.#clock.now() - startedAtMs, this.#margin, this.#budget);
      this.#schedule();
    };
    runTask(task, report).then(
      (value) => {
        end(true);
        task.resolve(value);
      },
      (error: unknown) => {
        end(false);
        task.reject(error);
      },
    );
  }

  #reserve(reservation: Float64Array, times: number): void {
    for (let r = 0; r < RESOURCES.length; r++) {
      (this.#reserved[r] as number) += times * (reservation[r] as number);
    }
    // Nothing runs, nothing is reserved: what is left is the rounding of sums.
    if (this.#running === 0) this.#reserved.fill(0);
  }

  #cancel(task: Task): void {
    if (task.state !== 'waiting') return;
    task.state = 'cancelled';
    this.#waiting--;
    task.profile.waiting--;
    const { waitingTasks, waiting } = task.profile;
    if (waitingTasks.size > 2 * waiting + 64) waitingTasks.compact((other) => other.state === 'waiting');
    task.reject(task.signal?.reason);
    this.#schedule();
  }
}

const RECHECK_MS = 100;

async function runTask(task: Task, report: (use: ResourceUse) => void): Promise<unknown> {
  return task.run({ signal: task.signal, report });
}

function fits(needs: Float64Array, free: Float64Array): boolean {
  for (let r = 0; r < needs.length; r++)
    if ((needs[r] as number) > (free[r] as number) + EPSILON) return false;
  return true;
}

function usesOf(use: ResourceUse): Float64Array {
  return Float64Array.from(RESOURCES, (resource) => numberOption(resource, use[resource] ?? 0, 0));
}

function toUse(values: Float64Array): Required<ResourceUse> {
  return { memoryBytes: values[0] as number, cpu: values[1] as number, io: values[2] as number };
}
