/**
 * Jobs in a BullMQ queue on Redis, for work that several machines share. What is appended goes to whichever worker claims
 * it first; the queue stays an ordinary BullMQ queue that other tools can look at, with `{ item }` as the data of a job.
 *
 * A lease is BullMQ's lock: held by a token of this store, renewed by a timer while jobs are held. When a worker dies its
 * locks run out, and the stalled check of any other worker moves its jobs back; here that may happen any number of
 * times, while BullMQ's own default makes the second time a failure. Finished jobs leave Redis at once, those with
 * a key when the key expires. Keys are BullMQ deduplication ids.
 */
import { randomUUID } from 'node:crypto';
import { Queue, QueueEvents, Worker, type ConnectionOptions, type Job } from 'bullmq';
import { describeError } from './dead-letters.ts';
import { BatchError } from './errors.ts';
import type {
  Appended,
  DeadLetter,
  JobOutcome,
  JobStore,
  JobStoreStats,
  NewJob,
  Settlement,
  StoredJob,
} from './job-store.ts';
import { integerOption, numberOption } from './option-checks.ts';

export interface BullMqJobStoreOptions {
  readonly queueName: string;
  /** What `new Queue(..., { connection })` takes. */
  readonly connection: ConnectionOptions;
  /** Key prefix in Redis. Default 'bull'. */
  readonly prefix?: string;
  /** How long a lock lasts without being renewed. Default 30 s. */
  readonly visibilityTimeoutMs?: number;
  /** How long a key is remembered from its job's being appended. Default 24 h. */
  readonly keyTtlMs?: number;
  /** Told what goes wrong in the background: lost connections, renewals that fail. */
  readonly onError?: (error: Error) => void;
}

interface JobData {
  readonly item: unknown;
  readonly key?: string;
  readonly expiresMs?: number;
  readonly attempts?: number;
}

type StoredBullJob = Job<JobData, unknown>;

const JOB_NAME = 'job';
const DAY_MS = 24 * 60 * 60 * 1000;
/** Claims asked for in one go: they share a round trip. */
const CLAIMS_AT_ONCE = 64;
/** Codes of BullMQ's scripts: no such job, no lock, the job is not active, another's lock. */
const LEASE_LOST_CODES: ReadonlySet<unknown> = new Set([-1, -2, -3, -6]);

export class BullMqJobStore<T> implements JobStore<T>, AsyncDisposable {
  readonly #options: BullMqJobStoreOptions;
  readonly #visibilityTimeoutMs: number;
  readonly #keyTtlMs: number;
  readonly #token = randomUUID();
  readonly #queue: Queue<JobData>;
  readonly #worker: Worker<JobData>;
  readonly #held = new Map<string, StoredBullJob>();
  readonly #wakes = new Set<() => void>();
  readonly #listeners = new Set<(id: string, outcome: JobOutcome) => void>();
  readonly #renewal: NodeJS.Timeout;
  #events: QueueEvents | undefined;
  #appending = 0;
  /** Outcomes that came while an append was under way, perhaps of jobs whose ids nobody knows yet. */
  readonly #early = new Map<string, JobOutcome>();
  #closing: Promise<void> | undefined;

  /**
   * Connects. @throws {RangeError | TypeError} naming the option. Rejects with Redis's error when it cannot be reached.
   */
  static async open<T = unknown>(options: BullMqJobStoreOptions): Promise<BullMqJobStore<T>> {
    const store = new BullMqJobStore<T>(options);
    try {
      await store.#queue.waitUntilReady();
      await store.#worker.waitUntilReady();
      await store.#worker.startStalledCheckTimer();
      return store;
    } catch (error) {
      await store.close().catch(() => undefined);
      throw error;
    }
  }

  private constructor(options: BullMqJobStoreOptions) {
    if (typeof options.queueName !== 'string' || options.queueName === '') {
      throw new TypeError('queueName must be a non-empty string');
    }
    this.#options = options;
    this.#visibilityTimeoutMs = numberOption(
      'visibilityTimeoutMs',
      options.visibilityTimeoutMs ?? 30_000,
      100,
      DAY_MS,
    );
    this.#keyTtlMs = numberOption('keyTtlMs', options.keyTtlMs ?? DAY_MS, 1000);
    const shared = {
      connection: options.connection,
      ...(options.prefix === undefined ? {} : { prefix: options.prefix }),
    };
    this.#queue = new Queue<JobData>(options.queueName, shared);
    this.#worker = new Worker<JobData>(options.queueName, null, {
      ...shared,
      autorun: false,
      lockDuration: this.#visibilityTimeoutMs,
      stalledInterval: this.#visibilityTimeoutMs / 2,
      // A job is not to blame for the death of its worker.
      maxStalledCount: Number.MAX_SAFE_INTEGER,
    });
    this.#queue.on('error', (error) => this.#failed(error));
    this.#worker.on('error', (error) => this.#failed(error));
    this.#renewal = setInterval(() => this.#renew(), this.#visibilityTimeoutMs / 3);
    this.#renewal.unref();
  }

  async append(jobs: readonly NewJob<T>[]): Promise<readonly Appended[]> {
    this.#checkOpen();
    const ids = jobs.map((job) => (job.key === undefined ? undefined : randomUUID()));
    this.#appending++;
    try {
      const added = await this.#queue.addBulk(jobs.map((job, index) => this.#toBullJob(job, ids[index])));
      const appended: Appended[] = [];
      for (let i = 0; i < added.length; i++) {
        const id = String(added[i]?.id);
        const mine = ids[i];
        // With a key the id was chosen here: another one in its place is the first job's.
        const isNew = mine === undefined || mine === id;
        appended.push(isNew ? { status: 'queued', id } : await this.#duplicate(id));
      }
      return appended;
    } finally {
      // After whoever asked has heard the ids.
      setImmediate(() => this.#appendEnded());
    }
  }

  async claim(maxJobs: number): Promise<readonly StoredJob<T>[]> {
    integerOption('maxJobs', maxJobs, 1);
    this.#checkOpen();
    const claimed: StoredJob<T>[] = [];
    while (claimed.length < maxJobs) {
      const wanted = Math.min(CLAIMS_AT_ONCE, maxJobs - claimed.length);
      const jobs = await Promise.all(
        Array.from({ length: wanted }, () => this.#worker.getNextJob(this.#token, { block: false })),
      );
      for (const job of jobs) if (job?.id !== undefined) claimed.push(this.#hold(job));
      if (jobs.some((job) => job === undefined)) break;
    }
    return claimed;
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly boolean[]> {
    this.#checkOpen();
    const held = new Map<Settlement, boolean>();
    // What is released first comes out last: the last one first, to keep the order.
    const released = settlements.filter(({ kind }) => kind === 'release').reverse();
    const others = settlements.filter(({ kind }) => kind !== 'release');
    await Promise.all(others.map(async (each) => held.set(each, await this.#settleOne(each))));
    for (const each of released) held.set(each, await this.#settleOne(each));
    return settlements.map((settlement) => held.get(settlement) === true);
  }

  async deadLetters(maxJobs: number): Promise<readonly DeadLetter<T>[]> {
    this.#checkOpen();
    const jobs = await this.#queue.getJobs(
      ['failed'],
      0,
      Math.min(maxJobs, Number.MAX_SAFE_INTEGER) - 1,
      true,
    );
    return jobs.map((job) => ({
      id: String(job.id),
      item: job.data.item as T,
      error: job.failedReason ?? '',
      attempts: job.data.attempts ?? 1,
    }));
  }

  async revive(ids: readonly string[]): Promise<number> {
    this.#checkOpen();
    let revived = 0;
    for (const id of ids) {
      const job = await this.#queue.getJob(id);
      if (job === undefined || !(await job.isFailed())) continue;
      await job.updateData({ ...job.data, attempts: 0 });
      await job.retry('failed');
      revived++;
    }
    if (revived > 0) this.#wake();
    return revived;
  }

  onClaimable(wake: () => void): () => void {
    this.#listen();
    this.#wakes.add(wake);
    return () => this.#wakes.delete(wake);
  }

  onSettled(listener: (id: string, outcome: JobOutcome) => void): () => void {
    this.#listen();
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async stats(): Promise<JobStoreStats> {
    this.#checkOpen();
    const counts = await this.#queue.getJobCounts('wait', 'active', 'prioritized', 'delayed', 'failed');
    const { failed = 0, ...unfinished } = counts;
    return { unfinished: Object.values(unfinished).reduce((sum, count) => sum + count, 0), dead: failed };
  }

  /** Gives back what is held and disconnects. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #toBullJob(job: NewJob<T>, id: string | undefined): Parameters<Queue<JobData>['addBulk']>[0][number] {
    if (job.item === undefined) throw new TypeError('an item must have a JSON form');
    const { item, key, deadlineMs } = job;
    const opts = { priority: job.priority, removeOnComplete: true, removeOnFail: false };
    const expiry = deadlineMs === undefined ? {} : { expiresMs: Date.now() + deadlineMs };
    if (key === undefined || id === undefined) return { name: JOB_NAME, data: { item, ...expiry }, opts };
    const data: JobData = { item, key, ...expiry };
    const keyed = {
      jobId: id,
      removeOnComplete: { age: Math.ceil(this.#keyTtlMs / 1000) },
      deduplication: { id: key, ttl: this.#keyTtlMs },
    };
    return { name: JOB_NAME, data, opts: { ...opts, ...keyed } };
  }

  async #duplicate(id: string): Promise<Appended> {
    const first = await this.#queue.getJob(id);
    const done = first === undefined || (first.finishedOn !== undefined && first.failedReason === undefined);
    const result: unknown = first?.returnvalue ?? undefined;
    return {
      status: 'duplicate',
      id,
      first: done ? 'done' : 'unfinished',
      result: done ? result : undefined,
    };
  }

  #hold(job: StoredBullJob): StoredJob<T> {
    const id = String(job.id);
    this.#held.set(id, job);
    const { item, key, expiresMs, attempts } = job.data;
    return {
      id,
      item: item as T,
      priority: job.opts.priority ?? 0,
      key,
      attempts: attempts ?? 0,
      deadlineMs: expiresMs === undefined ? undefined : expiresMs - Date.now(),
    };
  }

  async #settleOne(settlement: Settlement): Promise<boolean> {
    const job = this.#held.get(settlement.id);
    if (job === undefined) return false;
    if (settlement.kind !== 'retry') this.#held.delete(settlement.id);
    try {
      switch (settlement.kind) {
        case 'done':
          await job.moveToCompleted(settlement.result ?? null, this.#token, false);
          break;
        case 'retry':
          await job.updateData({ ...job.data, attempts: settlement.attempts });
          break;
        case 'dead':
          await job.updateData({ ...job.data, attempts: settlement.attempts });
          await job.moveToFailed(new Error(describeError(settlement.error)), this.#token, false);
          if (job.data.key !== undefined) await this.#queue.removeDeduplicationKey(job.data.key);
          break;
        case 'release':
          await job.moveToWait(this.#token);
      }
      return true;
    } catch (error) {
      if (error instanceof Error && 'code' in error && LEASE_LOST_CODES.has(error.code)) return false;
      throw error;
    }
  }

  /** Events cost a connection; they are listened to once somebody wants them. */
  #listen(): void {
    if (this.#events !== undefined) return;
    const { queueName, connection, prefix } = this.#options;
    const events = new QueueEvents(queueName, {
      connection,
      // From the beginning of what Redis keeps (some thousands): nothing between now and the connection is missed, and
      // news of jobs that nobody here waits for is ignored.
      lastEventId: '0-0',
      ...(prefix === undefined ? {} : { prefix }),
    });
    this.#events = events;
    events.on('error', (error) => this.#failed(error));
    events.on('waiting', () => this.#wake());
    events.on('completed', ({ jobId, returnvalue }) => {
      const value = (returnvalue as unknown) ?? undefined;
      this.#tell(jobId, { ok: true, value });
    });
    events.on('failed', ({ jobId, failedReason }) => {
      this.#tell(jobId, { ok: false, error: new Error(failedReason) });
    });
  }

  #tell(id: string, outcome: JobOutcome): void {
    if (this.#appending > 0) this.#early.set(id, outcome);
    for (const listener of this.#listeners) listener(id, outcome);
  }

  #appendEnded(): void {
    this.#appending--;
    for (const [id, outcome] of this.#early) for (const listener of this.#listeners) listener(id, outcome);
    if (this.#appending === 0) this.#early.clear();
  }

  #renew(): void {
    for (const job of this.#held.values()) {
      job
        .extendLock(this.#token, this.#visibilityTimeoutMs)
        .catch((error: unknown) => this.#failed(error as Error));
    }
  }

  #wake(): void {
    for (const wake of this.#wakes) wake();
  }

  #failed(error: Error): void {
    this.#options.onError?.(error);
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw new BatchError('ERR_PERF_BATCH_CLOSED', 'the job store is closed');
  }

  async #close(): Promise<void> {
    clearInterval(this.#renewal);
    const held = [...this.#held.keys()].reverse();
    for (const id of held)
      await this.#settleOne({ id, kind: 'release' }).catch((error: Error) => this.#failed(error));
    await Promise.all([this.#worker.close(true), this.#queue.close(), this.#events?.close()]);
  }
}
