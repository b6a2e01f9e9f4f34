/**
 * A JobStore without a disk: for tests of what uses one, and for workers that share a process. Everything is lost with the
 * process; a Batcher without a store is the faster choice where nothing is shared.
 */
import { wallClock, type Clock } from './clock.ts';
import { describeError } from './dead-letters.ts';
import { BatchError } from './errors.ts';
import type {
  Appended,
  DeadLetter,
  JobStore,
  JobStoreStats,
  NewJob,
  Settlement,
  StoredJob,
} from './job-store.ts';
import { integerOption, numberOption } from './option-checks.ts';

export interface MemoryJobStoreOptions {
  /** How long a worker that gives no sign of life keeps its jobs. Default 30 s. */
  readonly visibilityTimeoutMs?: number;
  /** How long a finished job's key is remembered. Default 24 h. */
  readonly keyTtlMs?: number;
  /** Unfinished and dead jobs held at most; further ones are refused with ERR_PERF_BATCH_STORE_FULL. Default 1,000,000. */
  readonly maxJobs?: number;
  readonly clock?: Clock;
}

interface MemoryJob {
  readonly id: string;
  readonly sequence: number;
  /** Serialised, as everywhere else: what a job changes in its item must not show in the store. */
  readonly item: string;
  readonly priority: number;
  readonly key: string | undefined;
  readonly expiresMs: number | undefined;
  attempts: number;
  owner: MemoryJobStore<unknown> | undefined;
  error: string | undefined;
}

interface MemoryKey {
  readonly job: string;
  expiresMs: number | undefined;
  result: unknown;
}

/** What the workers share. */
interface Place {
  readonly jobs: Map<string, MemoryJob>;
  readonly keys: Map<string, MemoryKey>;
  readonly workers: Set<MemoryJobStore<unknown>>;
  sequence: number;
}

const DAY_MS = 24 * 60 * 60 * 1000;

export class MemoryJobStore<T> implements JobStore<T>, AsyncDisposable {
  readonly #place: Place;
  readonly #visibilityTimeoutMs: number;
  readonly #keyTtlMs: number;
  readonly #maxJobs: number;
  readonly #clock: Clock;
  readonly #wakes = new Set<() => void>();
  readonly #options: MemoryJobStoreOptions;
  readonly #heartbeat: NodeJS.Timeout;
  #aliveUntilMs = 0;
  #closed = false;

  /** @throws {RangeError | TypeError} naming the option. */
  constructor(options: MemoryJobStoreOptions = {}, place?: Place) {
    this.#options = options;
    this.#visibilityTimeoutMs = numberOption('visibilityTimeoutMs', options.visibilityTimeoutMs ?? 30_000, 1);
    this.#keyTtlMs = numberOption('keyTtlMs', options.keyTtlMs ?? DAY_MS, 0);
    this.#maxJobs = integerOption('maxJobs', options.maxJobs ?? 1_000_000, 1);
    this.#clock = options.clock ?? wallClock;
    this.#place = place ?? { jobs: new Map(), keys: new Map(), workers: new Set(), sequence: 0 };
    this.#place.workers.add(this);
    this.#touch();
    this.#heartbeat = setInterval(() => this.#touch(), this.#visibilityTimeoutMs / 3);
    this.#heartbeat.unref();
  }

  /** Another worker on the same jobs. */
  worker(): MemoryJobStore<T> {
    return new MemoryJobStore<T>(this.#options, this.#place);
  }

  async append(jobs: readonly NewJob<T>[]): Promise<readonly Appended[]> {
    this.#enter();
    const items = jobs.map(({ item }) => serialise(item));
    if (this.#place.jobs.size + jobs.length > this.#maxJobs) {
      throw new BatchError('ERR_PERF_BATCH_STORE_FULL', `the store holds ${this.#place.jobs.size} jobs`);
    }
    return jobs.map((job, index) => this.#insert(job, items[index] as string));
  }

  async claim(maxJobs: number): Promise<readonly StoredJob<T>[]> {
    this.#enter();
    integerOption('maxJobs', maxJobs, 1);
    const nowMs = this.#clock.now();
    const claimable = [...this.#place.jobs.values()].filter(
      (job) => job.error === undefined && (job.owner === undefined || !job.owner.#isAlive()),
    );
    claimable.sort((a, b) => a.priority - b.priority || a.sequence - b.sequence);
    return claimable.slice(0, maxJobs).map((job) => {
      job.owner = this;
      return {
        id: job.id,
        item: JSON.parse(job.item) as T,
        priority: job.priority,
        key: job.key,
        attempts: job.attempts,
        deadlineMs: job.expiresMs === undefined ? undefined : job.expiresMs - nowMs,
      };
    });
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly boolean[]> {
    this.#enter();
    return settlements.map((settlement) => this.#settleOne(settlement));
  }

  async deadLetters(maxJobs: number): Promise<readonly DeadLetter<T>[]> {
    this.#enter();
    const letters: DeadLetter<T>[] = [];
    for (const { id, item, error, attempts } of this.#place.jobs.values()) {
      if (letters.length === maxJobs) break;
      if (error !== undefined) letters.push({ id, item: JSON.parse(item) as T, error, attempts });
    }
    return letters;
  }

  async revive(ids: readonly string[]): Promise<number> {
    this.#enter();
    let revived = 0;
    for (const id of ids) {
      const job = this.#place.jobs.get(id);
      if (job?.error === undefined) continue;
      job.error = undefined;
      job.attempts = 0;
      revived++;
    }
    if (revived > 0) this.#wakeAll();
    return revived;
  }

  onClaimable(wake: () => void): () => void {
    this.#wakes.add(wake);
    return () => this.#wakes.delete(wake);
  }

  stats(): JobStoreStats {
    let dead = 0;
    for (const job of this.#place.jobs.values()) if (job.error !== undefined) dead++;
    return { unfinished: this.#place.jobs.size - dead, dead };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#heartbeat);
    this.#place.workers.delete(this);
    for (const job of this.#place.jobs.values()) if (job.owner === this) job.owner = undefined;
    this.#wakeAll();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #insert(job: NewJob<T>, item: string): Appended {
    const { jobs, keys } = this.#place;
    const { key } = job;
    const known = key === undefined ? undefined : keys.get(key);
    if (known !== undefined && !(known.expiresMs !== undefined && known.expiresMs <= this.#clock.now())) {
      const owner = jobs.get(known.job)?.owner;
      const elsewhere = owner !== undefined && owner !== this && owner.#isAlive();
      const first = known.expiresMs !== undefined ? 'done' : elsewhere ? 'elsewhere' : 'unfinished';
      return { status: 'duplicate', id: known.job, first, result: known.result };
    }
    const sequence = ++this.#place.sequence;
    const id = String(sequence);
    const expiresMs = job.deadlineMs === undefined ? undefined : this.#clock.now() + job.deadlineMs;
    jobs.set(id, {
      id,
      sequence,
      item,
      priority: job.priority,
      key,
      expiresMs,
      attempts: 0,
      owner: this,
      error: undefined,
    });
    if (key !== undefined) keys.set(key, { job: id, expiresMs: undefined, result: undefined });
    return { status: 'leased', id };
  }

  #settleOne(settlement: Settlement): boolean {
    const { jobs, keys } = this.#place;
    const job = jobs.get(settlement.id);
    if (job === undefined || job.owner !== this) return false;
    if (settlement.kind === 'retry') {
      job.attempts = settlement.attempts;
      return true;
    }
    job.owner = undefined;
    if (settlement.kind === 'release') {
      this.#wakeAll();
    } else if (settlement.kind === 'dead') {
      job.attempts = settlement.attempts;
      job.error = describeError(settlement.error);
      if (job.key !== undefined) keys.delete(job.key);
    } else {
      jobs.delete(job.id);
      const key = job.key === undefined ? undefined : keys.get(job.key);
      if (key !== undefined) {
        key.expiresMs = this.#clock.now() + this.#keyTtlMs;
        key.result = settlement.result;
      }
    }
    return true;
  }

  #enter(): void {
    if (this.#closed) throw new BatchError('ERR_PERF_BATCH_CLOSED', 'the job store is closed');
    this.#touch();
  }

  /** Every call is a sign of life, and a timer gives one while long jobs run. */
  #touch(): void {
    this.#aliveUntilMs = this.#clock.now() + this.#visibilityTimeoutMs;
    this.#purgeKeys();
  }

  #isAlive(): boolean {
    return !this.#closed && this.#aliveUntilMs > this.#clock.now();
  }

  #purgeKeys(): void {
    const nowMs = this.#clock.now();
    for (const [key, { expiresMs }] of this.#place.keys) {
      if (expiresMs === undefined || expiresMs > nowMs) break;
      this.#place.keys.delete(key);
    }
  }

  #wakeAll(): void {
    for (const worker of this.#place.workers) for (const wake of worker.#wakes) wake();
  }
}

function serialise(item: unknown): string {
  const text = JSON.stringify(item) as string | undefined;
  if (text === undefined) throw new TypeError('an item must have a JSON form');
  return text;
}
