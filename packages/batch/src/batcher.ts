/**
 * Takes items one by one, hands them on in batches, and loses none.
 *
 *   add -> admission (room in items and bytes) -> [store.append] -> priority ring -> batch -> process
 *             | no room                                                 ^                      |
 *             wait | reject | shed                                      backoff <- retry <-----+--> [store.settle] -> ticket
 *
 * Invariants
 * - accepted = completed + failed + held; an item is in exactly one place at a time (`Job.state`).
 * - `admission` counts an item from when it is let in until it has ended, so memory is bounded whatever the sink does.
 * - Nothing polls: a pump runs when something changed (an add, an end, a permit) or when the one timer says that the
 *   earliest of linger, backoff and deadline is due.
 * - `process` runs from a microtask, the timer or an earlier batch's end, never inside a caller's `add`.
 */
import { channel } from 'node:diagnostics_channel';
import { Admission } from './admission.ts';
import {
  checkBatcherOptions,
  type AddOptions,
  type BatcherOptions,
  type BatcherSettings,
  type BatcherStats,
  type DrainReport,
  type ItemResult,
} from './batcher-options.ts';
import { BatchSizing } from './batch-sizing.ts';
import type { ConcurrencyLimit, Permit } from './concurrency-limit.ts';
import { DeadLetters, describeError } from './dead-letters.ts';
import { DeadlineHeap } from './deadline-heap.ts';
import { DueTimer } from './due-timer.ts';
import { BatchError } from './errors.ts';
import { FlushWaiters } from './flush-waiters.ts';
import {
  APPENDING,
  BACKING_OFF,
  DONE,
  FAILED,
  FOLLOWING,
  Job,
  JobExtras,
  OUTSIDE,
  QUEUED,
  REFUSED,
  REMOTE,
  RUNNING,
  SETTLING,
  type Ticket,
} from './job.ts';
import type { Appended, DeadLetter, JobStore, Settlement, StoredJob } from './job-store.ts';
import { KnownKeys } from './known-keys.ts';
import { MAX_TIMER_MS, integerOption, numberOption } from './option-checks.ts';
import { PriorityRing } from './priority-ring.ts';
import { RetryPolicy } from './retry.ts';

const deadLetterChannel = channel('perf:batch:dead-letter');
const shedChannel = channel('perf:batch:shed');
const storeErrorChannel = channel('perf:batch:store-error');

/** Jobs asked of a store at once. */
const CLAIM_ITEMS = 1024;
/** Dead entries a ring may hold beyond the living before it is compacted. */
const TOMBSTONE_SLACK = 1024;
const NO_JOBS: never[] = [];

function isQueued(job: { readonly state: number }): boolean {
  return job.state === QUEUED;
}

function isOutside(job: { readonly state: number }): boolean {
  return job.state === OUTSIDE;
}

/** A batch under way. Slots are reused, so that a batch costs no closures. */
interface Slot<T, R> {
  jobs: Job<T, R>[];
  permit: Permit | undefined;
  startedAtMs: number;
  readonly onResults: (results: readonly ItemResult<R>[] | void) => void;
  readonly onError: (error: unknown) => void;
}

export class Batcher<T, R = void> implements AsyncDisposable {
  readonly #options: BatcherOptions<T, R>;
  readonly #settings: BatcherSettings<T>;
  readonly #retry: RetryPolicy;
  readonly #admission: Admission;
  readonly #ring: PriorityRing<Job<T, R>>;
  readonly #waiters: PriorityRing<Job<T, R>>;
  readonly #deadlines = new DeadlineHeap<Job<T, R>>();
  readonly #backoffs = new DeadlineHeap<Job<T, R>>();
  readonly #letters: DeadLetters<T>;
  readonly #keys: KnownKeys<T, R>;
  readonly #limit: ConcurrencyLimit | undefined;
  readonly #stop = new AbortController();
  readonly #pumpTask = (): void => this.#pump();

  /** Whether anything depends on when an item came. */
  readonly #readsClock: boolean;
  #maxConcurrency: number;
  readonly #sizing: BatchSizing;
  #sequence = 0;
  #queued = 0;
  #queuedBytes = 0;
  #waiting = 0;
  #running = 0;
  #runningBatches = 0;
  /** Jobs known here that have not ended, waiting ones included. */
  #unfinished = 0;
  #levelBytes: Float64Array | undefined;
  #pumpScheduled = false;
  #permitAwaited = false;
  readonly #timer: DueTimer;
  readonly #freeSlots: Slot<T, R>[] = [];
  readonly #flushWaiters = new FlushWaiters();
  #idleWaiters: (() => void)[] = [];
  #draining = 0;
  #closed = false;
  #closing: Promise<DrainReport> | undefined;

  readonly #store: JobStore<T> | undefined;
  #appending: Job<T, R>[] = [];
  /** Jobs by store id: those a shared store runs, and keyed ones that a duplicate may follow. */
  readonly #byStoreId = new Map<string, Job<T, R>>();
  #storeMayHaveMore = false;
  #claiming = false;
  /** Something became claimable while a claim was under way. */
  #claimAgain = false;
  #settlements: Settlement[] = [];
  /** Outcomes collected or being written. */
  #unsettled = 0;
  /** Aligned with `#settlements`: whom to tell, undefined for nobody. */
  #settled: ({ readonly job: Job<T, R>; readonly onDurable: () => void } | undefined)[] = [];
  readonly #unsubscribe: (() => void)[] = [];

  #accepted = 0;
  #completed = 0;
  #failed = 0;
  #deadLettered = 0;
  #expired = 0;
  #shed = 0;
  #aborted = 0;
  #refused = 0;
  #retries = 0;
  #batches = 0;

  /**
   * @throws {RangeError | TypeError} naming the option that is out of range or of the wrong type.
   */
  constructor(options: BatcherOptions<T, R>) {
    const settings = checkBatcherOptions(options);
    this.#options = options;
    this.#settings = settings;
    this.#retry = new RetryPolicy(options.retry);
    this.#admission = new Admission(settings.capacityItems, settings.capacityBytes);
    this.#ring = new PriorityRing(settings.priorities);
    this.#waiters = new PriorityRing(settings.priorities);
    this.#letters = new DeadLetters(settings.maxDeadLetters);
    this.#levelBytes = settings.overflow === 'shed' ? new Float64Array(settings.priorities) : undefined;
    const concurrency = options.concurrency ?? 1;
    if (typeof concurrency === 'object') {
      this.#limit = concurrency;
      this.#maxConcurrency = Infinity;
    } else {
      this.#limit = undefined;
      this.#maxConcurrency = integerOption('concurrency', concurrency, 1, 1_000_000);
    }
    this.#readsClock = settings.lingerMs > 0 || settings.agingMs !== undefined;
    this.#sizing = new BatchSizing(settings.maxItems, settings.targetBatchMs);
    this.#keys = new KnownKeys(settings.keyTtlMs, settings.maxKeys);
    this.#timer = new DueTimer(settings.clock, () => this.#pump());
    this.#store = options.store;
    if (this.#store !== undefined) this.#attachStore(this.#store);
  }

  /**
   * Offers an item. Both promises of the ticket are made when read; `accepted` is the backpressure to wait for.
   *
   * Rejections carry a BatchError: ERR_PERF_BATCH_CLOSED, ERR_PERF_BATCH_FULL, ERR_PERF_BATCH_SHED,
   * ERR_PERF_BATCH_ITEM_TOO_LARGE, ERR_PERF_BATCH_DEADLINE, or the signal's reason, or what `process` said.
   * O(1), O(log n) with a deadline.
   *
   * @throws {RangeError} for a priority or deadline out of range.
   */
  add(item: T, options?: AddOptions): Ticket<R> {
    if (options === undefined && this.#store === undefined && !this.#closed) {
      const settings = this.#settings;
      const sizeBytes = settings.sizeOf === undefined ? 0 : this.#measure(item);
      const nowMs = this.#readsClock ? settings.clock.now() : 0;
      const job = new Job<T, R>(item, ++this.#sequence, settings.priorities >> 1, sizeBytes, nowMs);
      this.#unfinished++;
      if (this.#waiting === 0 && this.#admission.fits(sizeBytes)) this.#letIn(job);
      else this.#overflow(job);
      return job;
    }
    return this.#addWith(item, options ?? {});
  }

  /**
   * Takes the item in if there is room now. True means in the queue, in memory: with a store it is written soon after
   * but nobody is told when. Failures of such items show in `deadLetter`, `deadLetters()` and `stats()`.
   */
  tryAdd(item: T, options: AddOptions = {}): boolean {
    if (this.#closed || options.signal?.aborted === true) return false;
    const priority = this.#priorityOf(options);
    const sizeBytes = this.#settings.sizeOf === undefined ? 0 : this.#measure(item);
    if (sizeBytes > this.#settings.capacityBytes) return false;
    if (!(this.#waiting === 0 && this.#admission.fits(sizeBytes))) {
      if (this.#settings.overflow !== 'shed' || !this.#shedFor(priority, sizeBytes)) {
        this.#refused++;
        return false;
      }
    }
    this.#addWith(item, options);
    return true;
  }

  /** Resolves when everything added before has ended, without waiting for batches to fill. */
  flush(): Promise<void> {
    if (this.#unfinished === 0) return Promise.resolve();
    const flushed = this.#flushWaiters.wait(this.#unfinished, this.#sequence);
    this.#schedulePump();
    return flushed;
  }

  /**
   * Resolves when nothing is left, here or claimable in the store, or when the time is up. Items can still be added;
   * whoever wants an end calls `close`.
   */
  async drain(options: { readonly timeoutMs?: number } = {}): Promise<DrainReport> {
    const timeoutMs =
      options.timeoutMs === undefined
        ? undefined
        : numberOption('timeoutMs', options.timeoutMs, 0, MAX_TIMER_MS);
    this.#draining++;
    this.#schedulePump();
    let timedOut = false;
    try {
      if (!this.#isIdle()) timedOut = await this.#untilIdle(timeoutMs);
    } finally {
      this.#draining--;
    }
    return {
      completed: this.#completed,
      failed: this.#failed,
      remaining: await this.#remaining(),
      deadLettered: this.#deadLettered,
      timedOut,
    };
  }

  /**
   * Refuses new items, drains, and then ends. When `timeoutMs` runs out, `process` is told by its signal and what is
   * left unstarted is rejected with ERR_PERF_BATCH_CLOSED; with a store it stays there and runs when the store is next used.
   */
  close(options: { readonly timeoutMs?: number } = {}): Promise<DrainReport> {
    this.#closing ??= this.#close(options);
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Oldest first, at most `maxItems`. */
  async deadLetters(maxItems: number = 1000): Promise<readonly DeadLetter<T>[]> {
    integerOption('maxItems', maxItems, 1);
    if (this.#store !== undefined) return this.#store.deadLetters(maxItems);
    return this.#letters.list().slice(0, maxItems);
  }

  /** Queues dead letters again, all or those named, with their attempts reset. Returns how many found room. */
  async replay(ids?: readonly string[]): Promise<number> {
    if (this.#store !== undefined) {
      const chosen =
        ids ?? (await this.#store.deadLetters(Number.MAX_SAFE_INTEGER)).map((letter) => letter.id);
      const revived = await this.#store.revive(chosen);
      this.#deadLettered -= Math.min(revived, this.#deadLettered);
      this.#onClaimable();
      return revived;
    }
    let replayed = 0;
    for (const id of ids ?? this.#letters.list().map((letter) => letter.id)) {
      const letter = this.#letters.get(id);
      if (letter === undefined) continue;
      if (!this.tryAdd(letter.item)) break;
      this.#letters.delete(id);
      replayed++;
    }
    return replayed;
  }

  /** Changes a fixed concurrency: pressure lowers it, calm raises it. @throws {TypeError} when a limit decides. */
  setConcurrency(concurrency: number): void {
    if (this.#limit !== undefined)
      throw new TypeError('concurrency is decided by the limit given to the constructor');
    this.#maxConcurrency = integerOption('concurrency', concurrency, 1, 1_000_000);
    this.#schedulePump();
  }

  stats(): BatcherStats {
    return {
      queued: this.#queued,
      waiting: this.#waiting,
      running: this.#running,
      runningBatches: this.#runningBatches,
      backingOff: this.#backoffs.size,
      held: this.#admission.items,
      heldBytes: this.#admission.bytes,
      accepted: this.#accepted,
      completed: this.#completed,
      failed: this.#failed,
      deadLettered: this.#deadLettered,
      expired: this.#expired,
      shed: this.#shed,
      aborted: this.#aborted,
      refused: this.#refused,
      retries: this.#retries,
      batches: this.#batches,
      concurrency: this.#limit?.limit ?? this.#maxConcurrency,
      batchItems: this.#sizing.items,
    };
  }

  // -- Coming in ----------------------------------------------------------------------------------------------------

  #addWith(item: T, options: AddOptions): Job<T, R> {
    const priority = this.#priorityOf(options);
    const { key, deadlineMs, signal } = options;
    if (key !== undefined && typeof key !== 'string')
      throw new TypeError(`key must be a string, got ${typeof key}`);
    if (deadlineMs !== undefined) numberOption('deadlineMs', deadlineMs, 0);
    const needsTime = this.#readsClock || deadlineMs !== undefined || key !== undefined;
    const nowMs = needsTime ? this.#settings.clock.now() : 0;
    if (key !== undefined && this.#store === undefined) {
      const known = this.#keys.find(key, nowMs);
      if (known !== undefined) return known;
    }
    const sizeBytes = this.#settings.sizeOf === undefined ? 0 : this.#measure(item);
    const job = new Job<T, R>(item, ++this.#sequence, priority, sizeBytes, nowMs);
    if (this.#closed)
      return this.#refuseAtDoor(job, new BatchError('ERR_PERF_BATCH_CLOSED', 'the batcher is closed'));
    if (signal?.aborted === true) return this.#refuseAtDoor(job, signal.reason);
    this.#unfinished++;
    if (key !== undefined || signal !== undefined) this.#addExtras(job, key, signal, nowMs);
    if (deadlineMs !== undefined) {
      job.heapHandle = this.#deadlines.push(nowMs + deadlineMs, job);
      this.#timer.arm(nowMs + deadlineMs);
    }
    if (this.#waiting === 0 && this.#admission.fits(sizeBytes)) this.#letIn(job);
    else this.#overflow(job);
    return job;
  }

  #addExtras(job: Job<T, R>, key: string | undefined, signal: AbortSignal | undefined, nowMs: number): void {
    const extras = new JobExtras();
    job.extras = extras;
    extras.key = key;
    if (key !== undefined && this.#store === undefined) this.#keys.remember(key, job, nowMs);
    if (signal !== undefined) {
      extras.signal = signal;
      extras.onAbort = () => this.#abort(job, signal.reason);
      signal.addEventListener('abort', extras.onAbort, { once: true });
    }
  }

  #measure(item: T): number {
    const sizeBytes = (this.#settings.sizeOf as (item: T) => number)(item);
    if (!(sizeBytes >= 0 && sizeBytes < Infinity)) {
      throw new RangeError(`sizeOf must return a finite number of bytes, got ${String(sizeBytes)}`);
    }
    return sizeBytes;
  }

  #priorityOf(options: AddOptions): number {
    const { priorities } = this.#settings;
    return options.priority === undefined
      ? priorities >> 1
      : integerOption('priority', options.priority, 0, priorities - 1);
  }

  #refuseAtDoor(job: Job<T, R>, reason: unknown): Job<T, R> {
    this.#refused++;
    job.refuse(reason);
    return job;
  }

  #overflow(job: Job<T, R>): void {
    const { overflow, capacityBytes, maxWaiting } = this.#settings;
    if (job.sizeBytes > capacityBytes) {
      const message = `an item of ${job.sizeBytes} bytes can never fit in a capacity of ${capacityBytes}`;
      this.#refuse(job, new BatchError('ERR_PERF_BATCH_ITEM_TOO_LARGE', message));
    } else if (overflow === 'shed') {
      if (this.#shedFor(job.priority, job.sizeBytes)) this.#letIn(job);
      else
        this.#refuse(
          job,
          new BatchError('ERR_PERF_BATCH_SHED', 'the queue is full of items at least as urgent'),
        );
    } else if (overflow === 'wait' && this.#waiting < maxWaiting) {
      this.#waiting++;
      this.#waiters.push(job.priority, job);
      this.#compactIfSparse(this.#waiters, this.#waiting, isOutside);
    } else {
      this.#refuse(
        job,
        new BatchError('ERR_PERF_BATCH_FULL', `the queue holds ${this.#admission.items} items`),
      );
    }
  }

  #refuse(job: Job<T, R>, reason: unknown): void {
    this.#refused++;
    job.refuse(reason);
    this.#left(job);
  }

  /** Room is there and is taken; the job goes to the store or straight into the queue. */
  #letIn(job: Job<T, R>): void {
    this.#admission.take(job.sizeBytes);
    if (this.#store !== undefined) {
      job.state = APPENDING;
      if (this.#appending.push(job) === 1) queueMicrotask(() => this.#append(this.#store as JobStore<T>));
      return;
    }
    this.#accepted++;
    this.#enqueue(job);
    job.accept();
  }

  #enqueue(job: Job<T, R>): void {
    job.state = QUEUED;
    this.#ring.push(job.priority, job);
    this.#queued++;
    this.#queuedBytes += job.sizeBytes;
    if (this.#levelBytes !== undefined) (this.#levelBytes[job.priority] as number) += job.sizeBytes;
    if (!this.#pumpScheduled && this.#runningBatches < this.#maxConcurrency) this.#schedulePump();
  }

  #letWaitersIn(): void {
    const nowMs = this.#settings.agingMs === undefined ? 0 : this.#settings.clock.now();
    while (this.#waiting > 0) {
      const job = this.#waiters.peek(nowMs, this.#settings.agingMs);
      if (job === undefined) return;
      if (job.state === OUTSIDE && !this.#admission.fits(job.sizeBytes)) return;
      if (this.#settings.agingMs === undefined) this.#waiters.pop();
      else this.#waiters.popAged(nowMs, this.#settings.agingMs);
      if (job.state !== OUTSIDE) continue;
      this.#waiting--;
      this.#letIn(job);
    }
  }

  /** Drops less urgent items, least urgent and newest first, if that makes room; otherwise drops nothing. */
  #shedFor(priority: number, sizeBytes: number): boolean {
    const levelBytes = this.#levelBytes as Float64Array;
    let spareBytes = this.#settings.capacityBytes - this.#admission.bytes;
    for (let level = priority + 1; level < levelBytes.length; level++)
      spareBytes += levelBytes[level] as number;
    if (spareBytes < sizeBytes) return false;
    while (!this.#admission.fits(sizeBytes)) {
      const victim = this.#ring.popLessUrgentThan(priority);
      if (victim === undefined) return false;
      if (victim.state !== QUEUED) continue;
      this.#dequeued(victim);
      this.#shed++;
      const error = new BatchError('ERR_PERF_BATCH_SHED', 'dropped to make room for a more urgent item');
      if (shedChannel.hasSubscribers) shedChannel.publish({ priority: victim.priority, id: victim.id });
      if (this.#store === undefined) this.#endDead(victim, error);
      else this.#endShed(victim, error);
    }
    this.#sendSettlements();
    return true;
  }

  // -- Going out ----------------------------------------------------------------------------------------------------

  #schedulePump(): void {
    if (this.#pumpScheduled) return;
    this.#pumpScheduled = true;
    queueMicrotask(this.#pumpTask);
  }

  #pump(): void {
    this.#pumpScheduled = false;
    this.#fireDue();
    while (this.#queued > 0 && this.#runningBatches < this.#maxConcurrency && this.#batchIsDue()) {
      const permit = this.#limit === undefined ? undefined : this.#acquirePermit(this.#limit);
      if (permit === null) break;
      this.#dispatch(this.#takeBatch(), permit);
    }
    if (this.#storeMayHaveMore) this.#claim();
    if (this.#timer.isArmed) this.#disarmIfIdle();
    this.#wakeIdle();
  }

  #acquirePermit(limit: ConcurrencyLimit): Permit | null {
    const permit = limit.acquire();
    if (permit !== undefined) return permit;
    if (!this.#permitAwaited) {
      this.#permitAwaited = true;
      limit.onAvailable(() => {
        this.#permitAwaited = false;
        this.#schedulePump();
      });
    }
    return null;
  }

  #batchIsDue(): boolean {
    const { lingerMs, maxBytes, clock } = this.#settings;
    if (lingerMs === 0 || this.#queued >= this.#sizing.items) return true;
    if (this.#draining > 0 || this.#closed || this.#flushWaiters.count > 0) return true;
    if (maxBytes !== Infinity && this.#queuedBytes >= maxBytes) return true;
    const dueMs = this.#ring.oldestAtMs() + lingerMs;
    if (dueMs <= clock.now()) return true;
    this.#timer.arm(dueMs);
    return false;
  }

  #takeBatch(): Job<T, R>[] {
    const { maxBytes, agingMs, clock } = this.#settings;
    const maxItems = Math.min(this.#sizing.items, this.#queued);
    const nowMs = agingMs === undefined ? 0 : clock.now();
    // Of the right length from the start: an array that grows by push begins with room for 17.
    const jobs = new Array<Job<T, R>>(maxItems);
    let count = 0;
    let bytes = 0;
    while (count < maxItems) {
      if (maxBytes !== Infinity && count > 0) {
        const next = this.#ring.peek(nowMs, agingMs);
        if (next !== undefined && next.state === QUEUED && bytes + next.sizeBytes > maxBytes) break;
      }
      const job = agingMs === undefined ? this.#ring.pop() : this.#ring.popAged(nowMs, agingMs);
      if (job === undefined) break;
      if (job.state !== QUEUED) continue;
      this.#dequeued(job);
      job.state = RUNNING;
      job.attempt++;
      bytes += job.sizeBytes;
      jobs[count++] = job;
    }
    if (count < maxItems) jobs.length = count;
    return jobs;
  }

  #dequeued(job: Job<T, R>): void {
    this.#queued--;
    this.#queuedBytes -= job.sizeBytes;
    if (this.#levelBytes !== undefined) (this.#levelBytes[job.priority] as number) -= job.sizeBytes;
    if (job.heapHandle !== -1) {
      this.#deadlines.remove(job.heapHandle);
      job.heapHandle = -1;
    }
  }

  #dispatch(jobs: Job<T, R>[], permit: Permit | undefined): void {
    const items = new Array<T>(jobs.length);
    for (let i = 0; i < jobs.length; i++) items[i] = (jobs[i] as Job<T, R>).item;
    this.#running += jobs.length;
    this.#runningBatches++;
    this.#batches++;
    const slot = this.#freeSlots.pop() ?? this.#newSlot();
    slot.jobs = jobs;
    slot.permit = permit;
    slot.startedAtMs = permit !== undefined || this.#sizing.isTimed ? this.#settings.clock.now() : 0;
    let pending;
    try {
      pending = this.#options.process(items, { jobs, signal: this.#stop.signal });
    } catch (error) {
      pending = Promise.reject(error);
    }
    Promise.resolve(pending).then(slot.onResults, slot.onError);
  }

  #newSlot(): Slot<T, R> {
    const slot: Slot<T, R> = {
      jobs: [],
      permit: undefined,
      startedAtMs: 0,
      onResults: (results) => this.#batchReturned(slot, results),
      onError: (error) => this.#batchThrew(slot, error),
    };
    return slot;
  }

  #batchReturned(slot: Slot<T, R>, results: readonly ItemResult<R>[] | void): void {
    const jobs = this.#batchEnded(slot, false);
    if (results === undefined) {
      for (const job of jobs) this.#itemDone(job, undefined as R);
    } else if (Array.isArray(results) && results.length === jobs.length) {
      for (let i = 0; i < jobs.length; i++) {
        const result = results[i] as ItemResult<R>;
        if (result.ok) this.#itemDone(jobs[i] as Job<T, R>, result.value);
        else this.#itemFailed(jobs[i] as Job<T, R>, result.error, result.retryable);
      }
    } else {
      const got = Array.isArray(results) ? `${results.length} results` : typeof results;
      const message = `process got ${jobs.length} items and returned ${got}`;
      const error = new BatchError('ERR_PERF_BATCH_RESULT_COUNT', message);
      for (const job of jobs) this.#itemFailed(job, error, false);
    }
    this.#afterBatch();
  }

  #batchThrew(slot: Slot<T, R>, error: unknown): void {
    for (const job of this.#batchEnded(slot, true)) this.#itemFailed(job, error, undefined);
    this.#afterBatch();
  }

  /** Frees the slot. */
  #batchEnded(slot: Slot<T, R>, dropped: boolean): readonly Job<T, R>[] {
    const { jobs, permit, startedAtMs } = slot;
    slot.jobs = NO_JOBS;
    slot.permit = undefined;
    this.#freeSlots.push(slot);
    this.#running -= jobs.length;
    this.#runningBatches--;
    if (permit !== undefined || this.#sizing.isTimed) {
      const latencyMs = this.#settings.clock.now() - startedAtMs;
      permit?.release({ latencyMs, size: jobs.length, dropped });
      if (!dropped) this.#sizing.observe(jobs.length, latencyMs);
    }
    return jobs;
  }

  #afterBatch(): void {
    this.#sendSettlements();
    if (this.#waiting > 0) this.#letWaitersIn();
    this.#pump();
  }

  // -- Ends ---------------------------------------------------------------------------------------------------------

  #itemDone(job: Job<T, R>, value: R): void {
    this.#retry.succeeded(1);
    if (this.#store === undefined) this.#complete(job, value);
    else this.#settle(job, { id: job.id, kind: 'done', result: value }, () => this.#complete(job, value));
  }

  #itemFailed(job: Job<T, R>, error: unknown, retryable: boolean | undefined): void {
    if (job.state === FAILED) {
      // Its producer gave up while it ran and has been told; a store forgets it, and the room comes back.
      if (this.#store === undefined) this.#fail(job, error);
      else this.#settle(job, { id: job.id, kind: 'done', result: undefined }, () => this.#fail(job, error));
      return;
    }
    if (this.#stop.signal.aborted && this.#store !== undefined) {
      this.#settle(job, { id: job.id, kind: 'release' }, () => this.#fail(job, closedError()));
      return;
    }
    const delayMs =
      retryable === false || this.#stop.signal.aborted
        ? undefined
        : this.#retry.nextDelayMs(job.attempt, error);
    if (delayMs === undefined) this.#endDead(job, error);
    else this.#backOff(job, delayMs);
  }

  #backOff(job: Job<T, R>, delayMs: number): void {
    this.#retries++;
    job.state = BACKING_OFF;
    const dueMs = this.#settings.clock.now() + delayMs;
    job.heapHandle = this.#backoffs.push(dueMs, job);
    this.#timer.arm(dueMs);
    if (this.#store !== undefined) {
      this.#collect({ id: job.id, kind: 'retry', attempts: job.attempt, delayMs }, undefined);
    }
  }

  /** Back to the head of its level: it has waited its turn once. */
  #requeue(job: Job<T, R>): void {
    job.heapHandle = -1;
    job.state = QUEUED;
    this.#ring.pushFront(job.priority, job);
    this.#queued++;
    this.#queuedBytes += job.sizeBytes;
    if (this.#levelBytes !== undefined) (this.#levelBytes[job.priority] as number) += job.sizeBytes;
  }

  /** An accepted job ends without success: dead letter, then the ticket. */
  #endDead(job: Job<T, R>, error: unknown): void {
    const { item } = job;
    if (this.#store === undefined) {
      this.#letters.put({ id: job.id, item, error: describeError(error), attempts: job.attempt });
      this.#bury(job, item, error);
      this.#fail(job, error);
      return;
    }
    this.#settle(job, { id: job.id, kind: 'dead', attempts: job.attempt, error }, () => {
      if (job.state !== FAILED) this.#bury(job, item, error);
      this.#fail(job, error);
    });
  }

  /** Its room is needed now, not when the store has written its end down: the ticket goes first. */
  #endShed(job: Job<T, R>, error: unknown): void {
    this.#collect({ id: job.id, kind: 'dead', attempts: job.attempt, error }, undefined);
    this.#bury(job, job.item, error);
    this.#fail(job, error);
  }

  #bury(job: Job<T, R>, item: T, error: unknown): void {
    this.#deadLettered++;
    if (deadLetterChannel.hasSubscribers) deadLetterChannel.publish({ id: job.id, error });
    const { deadLetter } = this.#options;
    if (deadLetter === undefined) return;
    try {
      deadLetter(item, error);
    } catch (thrown) {
      // A broken listener must not break the accounting of the other items; it surfaces as uncaught.
      queueMicrotask(() => {
        throw thrown;
      });
    }
  }

  #complete(job: Job<T, R>, value: R): void {
    this.#admission.give(job.sizeBytes);
    if (job.state === FAILED) return;
    this.#completed++;
    job.complete(value);
    this.#left(job);
  }

  #fail(job: Job<T, R>, error: unknown): void {
    this.#admission.give(job.sizeBytes);
    if (job.state === FAILED) return;
    this.#failed++;
    job.fail(error);
    this.#left(job);
  }

  #abort(job: Job<T, R>, reason: unknown): void {
    const { state } = job;
    // What is being settled has its outcome already.
    if (state === SETTLING) return;
    this.#aborted++;
    if (state === OUTSIDE || state === APPENDING) {
      if (state === OUTSIDE) {
        this.#waiting--;
        this.#compactIfSparse(this.#waiters, this.#waiting, isOutside);
      }
      this.#refuse(job, reason);
      return;
    }
    if (state === FOLLOWING) {
      job.fail(reason);
      this.#left(job);
      return;
    }
    if (state === QUEUED) this.#dequeued(job);
    if (state === BACKING_OFF) {
      this.#backoffs.remove(job.heapHandle);
      job.heapHandle = -1;
    }
    // A running one keeps its room until its batch returns.
    if (state === RUNNING) this.#admission.take(job.sizeBytes);
    const inHand = state === QUEUED || state === BACKING_OFF;
    this.#fail(job, reason);
    if (inHand && this.#store !== undefined) {
      this.#settle(job, { id: job.id, kind: 'done', result: undefined }, undefined);
      this.#sendSettlements();
    }
    this.#compactIfSparse(this.#ring, this.#queued, isQueued);
    if (this.#waiting > 0) this.#letWaitersIn();
    this.#schedulePump();
  }

  #expire(job: Job<T, R>): void {
    job.heapHandle = -1;
    const error = new BatchError('ERR_PERF_BATCH_DEADLINE', 'not started before its deadline');
    this.#expired++;
    if (job.state === OUTSIDE || job.state === APPENDING) {
      if (job.state === OUTSIDE) this.#waiting--;
      this.#refuse(job, error);
    } else if (job.state === QUEUED) {
      this.#dequeued(job);
      this.#endDead(job, error);
      this.#compactIfSparse(this.#ring, this.#queued, isQueued);
    } else if (job.state === FOLLOWING) {
      job.fail(error);
      this.#left(job);
    } else {
      this.#fail(job, error);
    }
  }

  /** Bookkeeping common to every end. */
  #left(job: Job<T, R>): void {
    this.#unfinished--;
    if (job.heapHandle !== -1) {
      this.#deadlines.remove(job.heapHandle);
      job.heapHandle = -1;
    }
    if (job.storeId !== undefined) this.#tellFollowers(job);
    if (this.#flushWaiters.count > 0) this.#flushWaiters.ended(job.sequence);
  }

  #compactIfSparse(
    ring: PriorityRing<Job<T, R>>,
    living: number,
    isLive: (job: { readonly state: number }) => boolean,
  ): void {
    if (ring.size > 2 * living + TOMBSTONE_SLACK) ring.compact(isLive);
  }

  // -- Time ---------------------------------------------------------------------------------------------------------

  #fireDue(): void {
    if (this.#backoffs.size === 0 && this.#deadlines.size === 0) return;
    const nowMs = this.#settings.clock.now();
    for (let job = this.#backoffs.popDue(nowMs); job !== undefined; job = this.#backoffs.popDue(nowMs)) {
      this.#requeue(job);
    }
    const expiredBefore = this.#expired;
    for (let job = this.#deadlines.popDue(nowMs); job !== undefined; job = this.#deadlines.popDue(nowMs)) {
      this.#expire(job);
    }
    if (this.#expired !== expiredBefore) {
      this.#sendSettlements();
      if (this.#waiting > 0) this.#letWaitersIn();
    }
    const dueMs = Math.min(this.#backoffs.nextDueMs, this.#deadlines.nextDueMs);
    if (dueMs !== Infinity) this.#timer.arm(dueMs);
  }

  /** A timer for what has ended early would keep the process alive for nothing. */
  #disarmIfIdle(): void {
    if (this.#queued > 0 || this.#backoffs.size > 0 || this.#deadlines.size > 0) return;
    this.#timer.disarm();
  }

  // -- Draining -----------------------------------------------------------------------------------------------------

  #isIdle(): boolean {
    // What was aborted while it ran has ended for its producer, and still runs.
    if (this.#unfinished > 0 || this.#running > 0) return false;
    return this.#unsettled === 0 && !this.#claiming && !this.#storeMayHaveMore;
  }

  #wakeIdle(): void {
    if (this.#idleWaiters.length === 0 || !this.#isIdle()) return;
    const waiters = this.#idleWaiters;
    this.#idleWaiters = [];
    for (const resolve of waiters) resolve();
  }

  /** @returns whether the time ran out first. */
  #untilIdle(timeoutMs: number | undefined): Promise<boolean> {
    return new Promise((resolve) => {
      const timer =
        timeoutMs === undefined
          ? undefined
          : setTimeout(() => {
              this.#idleWaiters = this.#idleWaiters.filter((waiter) => waiter !== onIdle);
              resolve(true);
            }, timeoutMs);
      const onIdle = (): void => {
        if (timer !== undefined) clearTimeout(timer);
        resolve(false);
      };
      this.#idleWaiters.push(onIdle);
    });
  }

  async #remaining(): Promise<number> {
    if (this.#store === undefined) return this.#unfinished;
    const { unfinished } = await this.#store.stats();
    return Math.max(unfinished + this.#waiting, this.#unfinished);
  }

  async #close(options: { readonly timeoutMs?: number }): Promise<DrainReport> {
    this.#closed = true;
    if (!this.#hasRemote()) this.#storeMayHaveMore = false;
    const report = await this.drain(options);
    if (report.timedOut) await this.#giveUp();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#timer.disarm();
    return report;
  }

  /** Out of time: tells `process`, rejects what is left, gives unstarted jobs back to the store. */
  async #giveUp(): Promise<void> {
    const error = closedError();
    this.#stop.abort(error);
    for (let job = this.#waiters.pop(); job !== undefined; job = this.#waiters.pop()) {
      if (job.state !== OUTSIDE) continue;
      this.#waiting--;
      this.#refuse(job, error);
    }
    const released: Settlement[] = [];
    for (let job = this.#ring.pop(); job !== undefined; job = this.#ring.pop()) {
      if (job.state !== QUEUED) continue;
      this.#dequeued(job);
      released.push({ id: job.id, kind: 'release' });
      this.#fail(job, error);
    }
    for (
      let job = this.#backoffs.popDue(Infinity);
      job !== undefined;
      job = this.#backoffs.popDue(Infinity)
    ) {
      job.heapHandle = -1;
      released.push({ id: job.id, kind: 'release' });
      this.#fail(job, error);
    }
    for (const job of this.#byStoreId.values()) if (job.state === REMOTE) this.#fail(job, error);
    if (this.#store !== undefined && released.length > 0) await this.#store.settle(released);
  }

  // -- The store ----------------------------------------------------------------------------------------------------

  #attachStore(store: JobStore<T>): void {
    this.#unsubscribe.push(store.onClaimable(() => this.#onClaimable()));
    if (store.onSettled !== undefined) {
      this.#unsubscribe.push(
        store.onSettled((id, outcome) => {
          const job = this.#byStoreId.get(id);
          if (job === undefined || job.state !== REMOTE) return;
          if (outcome.ok) this.#complete(job, outcome.value as R);
          else this.#fail(job, outcome.error);
          if (this.#waiting > 0) this.#letWaitersIn();
          this.#schedulePump();
        }),
      );
    }
    this.#onClaimable();
  }

  #onClaimable(): void {
    if (this.#closed && !this.#hasRemote()) return;
    this.#storeMayHaveMore = true;
    this.#claimAgain = true;
    this.#schedulePump();
  }

  #hasRemote(): boolean {
    return this.#byStoreId.size > 0;
  }

  #append(store: JobStore<T>): void {
    const jobs = this.#appending;
    this.#appending = [];
    const written = jobs.map((job) => ({
      item: job.item,
      priority: job.priority,
      key: job.key,
      deadlineMs: job.heapHandle === -1 ? undefined : this.#timeLeftMs(job),
    }));
    store.append(written).then(
      (appended) => this.#appended(jobs, appended),
      (cause: unknown) => this.#appendFailed(jobs, asStoreError(cause)),
    );
  }

  #timeLeftMs(job: Job<T, R>): number {
    return Math.max(0, this.#deadlines.dueMsOf(job.heapHandle) - this.#settings.clock.now());
  }

  #appendFailed(jobs: readonly Job<T, R>[], error: BatchError): void {
    for (const job of jobs) {
      this.#admission.give(job.sizeBytes);
      if (job.state !== REFUSED) this.#refuse(job, error);
    }
    if (this.#waiting > 0) this.#letWaitersIn();
    this.#schedulePump();
  }

  #appended(jobs: readonly Job<T, R>[], appended: readonly Appended[]): void {
    for (let i = 0; i < jobs.length; i++) this.#admitStored(jobs[i] as Job<T, R>, appended[i] as Appended);
    this.#sendSettlements();
    if (this.#waiting > 0) this.#letWaitersIn();
    this.#schedulePump();
  }

  #admitStored(job: Job<T, R>, appended: Appended): void {
    job.storeId = appended.id;
    if (job.state === REFUSED) {
      // Aborted or expired while it was being written.
      this.#admission.give(job.sizeBytes);
      if (appended.status === 'leased') {
        this.#collect({ id: appended.id, kind: 'done', result: undefined }, undefined);
      }
      return;
    }
    if (appended.status === 'duplicate') {
      this.#admitDuplicate(job, appended);
      return;
    }
    this.#accepted++;
    if (appended.status === 'leased') {
      if (job.key !== undefined) this.#byStoreId.set(appended.id, job);
      this.#enqueue(job);
    } else {
      job.state = REMOTE;
      // The store has it; the ticket alone waits here.
      job.item = undefined as T;
      this.#byStoreId.set(appended.id, job);
      this.#storeMayHaveMore = true;
      this.#claimAgain = true;
    }
    job.accept();
  }

  #admitDuplicate(job: Job<T, R>, appended: Appended & { readonly status: 'duplicate' }): void {
    this.#admission.give(job.sizeBytes);
    job.accept();
    job.state = REMOTE;
    const first = this.#byStoreId.get(appended.id);
    if (appended.first === 'done') {
      job.complete(appended.result as R);
      this.#left(job);
    } else if (first !== undefined) {
      job.state = FOLLOWING;
      first.extras ??= new JobExtras();
      (first.extras.followers ??= []).push(job);
    } else if (appended.first === 'unfinished') {
      // Left by an earlier process and not claimed yet: this ticket gets its outcome when it is.
      this.#admission.take(job.sizeBytes);
      this.#accepted++;
      this.#byStoreId.set(appended.id, job);
    } else {
      job.fail(new BatchError('ERR_PERF_BATCH_DUPLICATE', 'another process is running the job of this key'));
      this.#left(job);
    }
  }

  #tellFollowers(job: Job<T, R>): void {
    if (this.#byStoreId.get(job.id) === job) this.#byStoreId.delete(job.id);
    const followers = job.extras?.followers as unknown as readonly Job<T, R>[] | undefined;
    if (followers === undefined) return;
    (job.extras as JobExtras).followers = undefined;
    for (const follower of followers) {
      if (follower.state !== FOLLOWING) continue;
      if (job.state === DONE) follower.complete(job.outcome as R);
      else follower.fail(job.outcome);
      this.#left(follower);
    }
  }

  /** Takes what nobody runs from the store, as much as two rounds of batches need. */
  #claim(): void {
    const store = this.#store;
    if (store === undefined || this.#claiming || this.#stop.signal.aborted) return;
    const rounds = 2 * this.#sizing.items * Math.min(this.#limit?.limit ?? this.#maxConcurrency, CLAIM_ITEMS);
    const room = this.#admission.maxItems - this.#admission.items + this.#byStoreId.size;
    const maxJobs = Math.min(CLAIM_ITEMS, rounds - this.#queued, room);
    if (maxJobs <= 0) return;
    this.#claiming = true;
    this.#claimAgain = false;
    store.claim(maxJobs).then(
      (jobs) => {
        this.#claiming = false;
        if (jobs.length < maxJobs && !this.#claimAgain) this.#storeMayHaveMore = false;
        for (const job of jobs) this.#enqueueClaimed(job);
        this.#sendSettlements();
        this.#pump();
      },
      (cause: unknown) => {
        this.#claiming = false;
        this.#storeMayHaveMore = false;
        this.#storeFailed(asStoreError(cause));
        this.#wakeIdle();
      },
    );
  }

  #enqueueClaimed(stored: StoredJob<T>): void {
    const waiting = this.#byStoreId.get(stored.id);
    let job: Job<T, R>;
    if (waiting !== undefined && waiting.state === REMOTE) {
      job = waiting;
      job.item = stored.item;
    } else {
      const sizeBytes = this.#settings.sizeOf === undefined ? 0 : this.#measure(stored.item);
      const priority = Math.min(stored.priority, this.#settings.priorities - 1);
      job = new Job<T, R>(stored.item, ++this.#sequence, priority, sizeBytes, this.#settings.clock.now());
      job.storeId = stored.id;
      if (stored.key !== undefined) {
        job.extras = new JobExtras();
        job.extras.key = stored.key;
        this.#byStoreId.set(stored.id, job);
      }
      this.#unfinished++;
      this.#accepted++;
      this.#admission.take(sizeBytes);
    }
    job.attempt = stored.attempts;
    this.#enqueue(job);
    if (stored.deadlineMs !== undefined && job.heapHandle === -1) {
      const dueMs = this.#settings.clock.now() + stored.deadlineMs;
      job.heapHandle = this.#deadlines.push(dueMs, job);
      this.#timer.arm(dueMs);
    }
  }

  /** Collects an outcome for the next `#sendSettlements`; `onDurable` runs when it is on disk. */
  #settle(job: Job<T, R>, settlement: Settlement, onDurable: (() => void) | undefined): void {
    if (job.state !== FAILED) job.state = SETTLING;
    this.#collect(settlement, onDurable === undefined ? undefined : { job, onDurable });
  }

  #collect(
    settlement: Settlement,
    whom: { readonly job: Job<T, R>; readonly onDurable: () => void } | undefined,
  ): void {
    this.#settlements.push(settlement);
    this.#settled.push(whom);
    this.#unsettled++;
  }

  #sendSettlements(): void {
    if (this.#settlements.length === 0) return;
    const settlements = this.#settlements;
    const settled = this.#settled;
    this.#settlements = [];
    this.#settled = [];
    (this.#store as JobStore<T>).settle(settlements).then(
      (held) => {
        this.#unsettled -= settlements.length;
        for (let i = 0; i < settled.length; i++) {
          const entry = settled[i];
          if (entry === undefined) continue;
          if (held[i] === true) entry.onDurable();
          else
            this.#fail(
              entry.job,
              new BatchError('ERR_PERF_BATCH_LEASE_LOST', 'another process took the job over'),
            );
        }
        this.#afterSettling();
      },
      (cause: unknown) => {
        const error = asStoreError(cause);
        this.#unsettled -= settlements.length;
        for (const entry of settled) if (entry !== undefined) this.#fail(entry.job, error);
        this.#storeFailed(error);
        this.#afterSettling();
      },
    );
  }

  #afterSettling(): void {
    if (this.#waiting > 0) this.#letWaitersIn();
    this.#schedulePump();
  }

  #storeFailed(error: BatchError): void {
    if (storeErrorChannel.hasSubscribers) storeErrorChannel.publish({ error });
    this.#options.onStoreError?.(error);
  }
}

function closedError(): BatchError {
  return new BatchError('ERR_PERF_BATCH_CLOSED', 'closed before the item was processed');
}

function asStoreError(cause: unknown): BatchError {
  if (cause instanceof BatchError) return cause;
  return new BatchError('ERR_PERF_BATCH_STORE', 'the job store failed', { cause });
}
