/**
 * Jobs in Redis, as jobs of a BullMQ queue: several machines share one queue, native BullMQ producers may feed it, and
 * its dashboards show it. Every state change is made by BullMQ's own scripts (add, claim, finish, fail, stalled-job
 * recovery); the three scripts here only write beside them what BullMQ has no place for.
 *
 *     append ----> prioritized ----> active, locked ----> gone (done)
 *                      ^  ^           |     |    |
 *                      |  +-- release-+     |    +------> failed (dead, at most maxDead) -- revive --> prioritized
 *                      +--- lock ran out ---+
 *
 * A lease is BullMQ's lock on the job, with this store's token in it, extended by one timer for all jobs held here. A
 * worker that vanishes stops extending; the stalled check of any other store returns its jobs to the queue. A result of a
 * former holder finds another token, or none, in the lock and is refused.
 *
 * A key is BullMQ's deduplication key, taken in the script that adds the job, so two producers cannot both get it. BullMQ
 * drops it when the job ends; for a job that is done it is given its time to live just before, in which case BullMQ
 * leaves it alone, and the result is written next to it.
 *
 * Ids are made here: time, counter, then eight characters that name the store. They sort by age, which is what ties of
 * priority are broken by, and they say where a job comes from: a store that ends the job of another one leaves the outcome
 * in a stream of that one (`onSettled`), and nobody else's.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { Queue, UnrecoverableError, Worker, type Job, type RedisQueueBackend } from 'bullmq';
import { Redis, type RedisOptions } from 'ioredis';
import { wallClock, type Clock } from './clock.ts';
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
import { functionOption, integerOption, numberOption } from './option-checks.ts';

export interface BullMqJobStoreOptions {
  /** Name of the BullMQ queue. Letters, digits, everything but `:`. */
  readonly queueName: string;
  /** Of the Redis; three connections are made with it. BullMQ wants its `maxmemory-policy` to be `noeviction`. */
  readonly connection: Omit<RedisOptions, 'replyMapping'>;
  /** Of every Redis key. Default 'bull', as in BullMQ. */
  readonly prefix?: string;
  /**
   * How long a worker that gives no sign of life keeps its jobs, at least; they are claimable after at most twice that
   * while any store is open. Default 30 s.
   */
  readonly visibilityTimeoutMs?: number;
  /** How long a finished job's key and result are remembered. Default 24 h. */
  readonly keyTtlMs?: number;
  /**
   * Unfinished jobs in the queue at most; further ones are refused with ERR_PERF_BATCH_STORE_FULL. Counted when this store
   * has used up an eighth of the room it saw, so up to eight producers cannot exceed it together. Default 1,000,000.
   */
  readonly maxJobs?: number;
  /** Dead letters kept; the oldest go first. Default 10,000. */
  readonly maxDead?: number;
  /**
   * How often a job may be found abandoned before it becomes a dead letter: one that kills its worker must not kill all of
   * them in turn. Default 10.
   */
  readonly maxStalls?: number;
  /** Told of connection errors, which are otherwise waited out, and of what listeners throw. */
  readonly onError?: (error: Error) => void;
  /** Wall clock, in ms, for deadlines and ids. Leases and keys run on the clock of Redis. */
  readonly clock?: Clock;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const JOB_NAME = 'job';
/** BullMQ's largest priority; its 0 means "before all others", so levels here start at its 1. */
const MAX_PRIORITY = 2_097_151 - 1;
/** Longest single wait for work; a lost connection is noticed after it at the latest. */
const WAIT_S = 5;
const RECONNECT_MS = 1000;
/** Locks extended and dead letters read per call, so that Redis is never held up for long. */
const CHUNK = 1000;
/** How long outcomes wait for the store they are for. */
const OUTCOME_TTL_MS = 60 * 60 * 1000;
const ID = /^j[0-9a-z]{14}([\w-]{8})$/;

/** BullMQ's answers to a settlement of a job that this store does not hold any more. */
const LEASE_LOST: ReadonlySet<unknown> = new Set([-1, -2, -3, -6]);

/**
 * How many jobs can be claimed. Recovered jobs come back on the right of the plain list, ahead of everything and in no
 * order; they are put where they belong first: before all others of their priority, in order of age.
 * KEYS wait, prioritized. ARGV prefix of job keys.
 */
const CLAIMABLE = `
  for _ = 1, 10000 do
    local id = redis.call('LINDEX', KEYS[1], -1)
    if not id then break end
    local priority = tonumber(redis.call('HGET', ARGV[1] .. id, 'priority') or '0')
    if priority == 0 then break end
    redis.call('RPOP', KEYS[1])
    redis.call('ZADD', KEYS[2], priority * 0x100000000, id)
  end
  return redis.call('LLEN', KEYS[1]) + redis.call('ZCARD', KEYS[2])`;

/**
 * What has to be written before BullMQ's script ends the job, if this store still holds it; the lock is extended, so
 * that it holds it until then.
 * KEYS job, lock, key, result. ARGV token, id, lock ms, attempts, key ttl ms, result, outcome, producer, own name,
 * prefix of streams, ttl of streams.
 */
const BEFORE_SETTLING = `
  if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
  if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], 'atm', ARGV[4]) end
  if ARGV[5] ~= '' and redis.call('GET', KEYS[3]) == ARGV[2] then
    redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[5])
    if ARGV[6] ~= '' then redis.call('SET', KEYS[4], ARGV[6], 'PX', ARGV[5]) end
  end
  if ARGV[7] ~= '' then
    local names = ARGV[8] .. (redis.call('HGET', KEYS[1], 'followers') or '')
    for name in string.gmatch(names, '[^,]+') do
      if name ~= ARGV[9] then
        redis.call('XADD', ARGV[10] .. name, '*', 'outcome', ARGV[7])
        redis.call('PEXPIRE', ARGV[10] .. name, ARGV[11])
      end
    end
  end
  return 1`;

/**
 * What became of the job that has the key, and puts the asking store on the list of those to be told, if it waits.
 * KEYS job, lock, key, result. ARGV token, id, own name.
 */
const DUPLICATE = `
  if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HEXISTS', KEYS[1], 'finishedOn') == 1 then
    if redis.call('GET', KEYS[3]) == ARGV[2] then return {'done', redis.call('GET', KEYS[4]) or ''} end
    return {'gone', ''}
  end
  local lock = redis.call('GET', KEYS[2])
  if lock and lock ~= ARGV[1] then return {'elsewhere', ''} end
  local followers = redis.call('HGET', KEYS[1], 'followers') or ''
  if not string.find(followers, ',' .. ARGV[3], 1, true) then
    if #followers > 4096 then return {'elsewhere', ''} end
    redis.call('HSET', KEYS[1], 'followers', followers .. ',' .. ARGV[3])
  end
  return {'unfinished', ''}`;

interface StoreRedis extends Redis {
  perfClaimable(wait: string, prioritized: string, prefix: string): Promise<number>;
  perfBeforeSettling(...args: (string | number)[]): Promise<number>;
  perfDuplicate(...args: string[]): Promise<['done' | 'gone' | 'elsewhere' | 'unfinished', string]>;
}

type HeldJob = Job<unknown, unknown>;
type Keys = Record<'wait' | 'prioritized' | 'marker' | 'de' | '', string>;

/** Asks for no more memory than it has to: one small object per outcome on the wire. */
interface WireOutcome {
  readonly id: string;
  readonly value?: unknown;
  readonly error?: string;
}

export class BullMqJobStore<T> implements JobStore<T>, AsyncDisposable {
  readonly #redis: StoreRedis;
  readonly #queue: Queue;
  readonly #worker: Worker;
  readonly #backend: RedisQueueBackend;
  readonly #keys: Keys;
  readonly #clock: Clock;
  readonly #visibilityTimeoutMs: number;
  readonly #keyTtlMs: number;
  readonly #maxJobs: number;
  readonly #onError: ((error: Error) => void) | undefined;
  /** Names this store in ids and streams. */
  readonly #name: string = randomBytes(6).toString('base64url');
  readonly #token: string = randomUUID();
  readonly #held = new Map<string, HeldJob>();
  readonly #wakes = new Set<() => void>();
  readonly #outcomeListeners = new Set<(id: string, outcome: JobOutcome) => void>();
  readonly #claims = new Set<Promise<unknown>>();
  readonly #heartbeat: NodeJS.Timeout;
  #outcomes: Redis | undefined;
  #waiting = false;
  #claimFailed = false;
  /** Taken off the queue by this store's wait, to be put back if nobody here claims. */
  #hasMarker = false;
  /** Under way, in the order of their beginning. */
  readonly #appends = new Set<number>();
  #lastAppend = 0;
  /** Outcomes that came while appends up to `after` were under way, perhaps of their jobs, whose ids nobody knows yet. */
  #early: { readonly after: number; readonly outcome: WireOutcome }[] = [];
  #lastIdMs = 0;
  #idsOfThatMs = 0;
  /** Jobs that may be added before they are counted again. */
  #room = 0;
  #closing: Promise<void> | undefined;

  /**
   * Connects. Leases of a process that died are recovered by any open store; a Batcher on the store runs the jobs
   * without being asked.
   *
   * @throws {RangeError | TypeError} naming the option.
   * @throws {BatchError} ERR_PERF_BATCH_STORE when Redis cannot be reached.
   */
  static async open<T = unknown>(options: BullMqJobStoreOptions): Promise<BullMqJobStore<T>> {
    checkOptions(options);
    const redis = new Redis({
      ...options.connection,
      maxRetriesPerRequest: null,
      lazyConnect: true,
    }) as StoreRedis;
    const failures: Error[] = [];
    const onFailure = (error: Error): void => void failures.push(error);
    redis.on('error', onFailure);
    try {
      await redis.connect();
    } catch (error) {
      redis.disconnect();
      const cause = failures[0] ?? error;
      throw new BatchError('ERR_PERF_BATCH_STORE', 'Redis cannot be reached', { cause });
    }
    redis.off('error', onFailure);
    redis.defineCommand('perfClaimable', { numberOfKeys: 2, lua: CLAIMABLE });
    redis.defineCommand('perfBeforeSettling', { numberOfKeys: 4, lua: BEFORE_SETTLING });
    redis.defineCommand('perfDuplicate', { numberOfKeys: 4, lua: DUPLICATE });
    const store = new BullMqJobStore<T>(redis, options);
    try {
      await Promise.all([store.#queue.waitUntilReady(), store.#worker.waitUntilReady()]);
      await store.#worker.startStalledCheckTimer();
    } catch (cause) {
      await store.close();
      throw new BatchError('ERR_PERF_BATCH_STORE', 'Redis cannot be used by BullMQ', { cause });
    }
    return store;
  }

  private constructor(redis: StoreRedis, options: BullMqJobStoreOptions) {
    this.#redis = redis;
    this.#clock = options.clock ?? wallClock;
    this.#visibilityTimeoutMs = options.visibilityTimeoutMs ?? 30_000;
    this.#keyTtlMs = Math.ceil(options.keyTtlMs ?? DAY_MS);
    this.#maxJobs = options.maxJobs ?? 1_000_000;
    this.#onError = options.onError;
    const shared = { connection: redis, prefix: options.prefix ?? 'bull' };
    this.#queue = new Queue(options.queueName, shared);
    this.#worker = new Worker(options.queueName, null, {
      ...shared,
      lockDuration: this.#visibilityTimeoutMs,
      stalledInterval: this.#visibilityTimeoutMs / 2,
      maxStalledCount: options.maxStalls ?? 10,
      removeOnComplete: { count: 0 },
      removeOnFail: { count: options.maxDead ?? 10_000 },
    });
    this.#backend = this.#worker.backend;
    this.#keys = this.#backend.keys as unknown as Keys;
    const failed = (error: Error): void => this.#failed(error);
    redis.on('error', failed);
    this.#queue.on('error', failed);
    this.#worker.on('error', failed);
    this.#heartbeat = setInterval(() => void this.#extendLeases(), this.#visibilityTimeoutMs / 3);
    this.#heartbeat.unref();
  }

  /**
   * Resolves when Redis has the jobs; what that survives is Redis's `appendfsync`. When Redis refuses some of them (out of
   * memory) the others are taken back, except those that another worker has claimed by then.
   */
  async append(jobs: readonly NewJob<T>[]): Promise<readonly Appended[]> {
    this.#enter();
    const items = jobs.map(({ item }) => serialise(item));
    if (jobs.some(({ key }) => key === '')) throw new RangeError('key must not be empty');
    const append = ++this.#lastAppend;
    this.#appends.add(append);
    try {
      await this.#takeRoom(jobs.length);
      return await this.#addAll(jobs, items);
    } finally {
      // When whoever asked has heard the ids.
      setImmediate(() => this.#appendEnded(append));
    }
  }

  claim(maxJobs: number): Promise<readonly StoredJob<T>[]> {
    integerOption('maxJobs', maxJobs, 1);
    if (this.#closing !== undefined) return Promise.reject(closedError());
    this.#hasMarker = false;
    const claim = this.#claim(maxJobs);
    this.#claims.add(claim);
    const forget = (): void => void this.#claims.delete(claim);
    claim.then(forget, forget);
    return claim;
  }

  /** @throws {TypeError} when a result that must be kept, because of its key or for another process, has no JSON form. */
  async settle(settlements: readonly Settlement[]): Promise<readonly boolean[]> {
    this.#enter();
    const written = settlements.map((settlement) => this.#resultToKeep(settlement));
    const settled = await Promise.allSettled(
      settlements.map((settlement, index) => this.#settleOne(settlement, written[index])),
    );
    if (settlements.some(({ kind }) => kind === 'release')) await this.#mark();
    return settled.map((outcome) => {
      if (outcome.status === 'fulfilled') return outcome.value;
      throw outcome.reason;
    });
  }

  async deadLetters(maxJobs: number): Promise<readonly DeadLetter<T>[]> {
    this.#enter();
    const letters: DeadLetter<T>[] = [];
    while (letters.length < maxJobs) {
      const want = Math.min(CHUNK, maxJobs - letters.length);
      const jobs = await this.#queue.getJobs('failed', letters.length, letters.length + want - 1, true);
      for (const { id, data, failedReason, attemptsMade } of jobs) {
        letters.push({ id: id as string, item: data as T, error: failedReason, attempts: attemptsMade });
      }
      if (jobs.length < want) break;
    }
    return letters;
  }

  async revive(ids: readonly string[]): Promise<number> {
    this.#enter();
    const revived = await Promise.all(ids.map((id) => this.#reviveOne(id)));
    return revived.filter(Boolean).length;
  }

  /** Wakes on what others append and on what is recovered from workers that vanished. */
  onClaimable(wake: () => void): () => void {
    this.#wakes.add(wake);
    return () => this.#wakes.delete(wake);
  }

  /** Tells how jobs that were appended here, or duplicates of them, ended in other processes that use this class. */
  onSettled(listener: (id: string, outcome: JobOutcome) => void): () => void {
    this.#outcomeListeners.add(listener);
    if (this.#outcomes === undefined && this.#closing === undefined) {
      const outcomes = this.#redis.duplicate();
      outcomes.on('error', (error) => this.#failed(error));
      this.#outcomes = outcomes;
      void this.#readOutcomes(outcomes);
    }
    return () => this.#outcomeListeners.delete(listener);
  }

  async stats(): Promise<JobStoreStats & { readonly leasedHere: number }> {
    this.#enter();
    const { failed = 0, ...unfinished } = await this.#queue.getJobCounts(
      'failed',
      'wait',
      'prioritized',
      'active',
      'delayed',
      'waiting-children',
    );
    return {
      unfinished: Object.values(unfinished).reduce((sum, count) => sum + count, 0),
      dead: failed,
      leasedHere: this.#held.size,
    };
  }

  /** Gives back what is leased and closes the connections. Without a connection the leases are left to run out. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // -- Adding -------------------------------------------------------------------------------------------------------

  async #takeRoom(count: number): Promise<void> {
    if (count > this.#room) {
      const { unfinished } = await this.stats();
      const free = this.#maxJobs - unfinished;
      if (count > free) {
        throw new BatchError('ERR_PERF_BATCH_STORE_FULL', `the queue holds ${unfinished} jobs`);
      }
      this.#room = count + Math.floor((free - count) / 8);
    }
    this.#room -= count;
  }

  async #addAll(jobs: readonly NewJob<T>[], items: readonly string[]): Promise<Appended[]> {
    const appended: Appended[] = [];
    let pending = jobs.map((_, index) => index);
    while (pending.length > 0) {
      const ids = await this.#add(jobs, items, pending);
      const gone: number[] = [];
      const duplicates: Promise<void>[] = [];
      for (let i = 0; i < pending.length; i++) {
        const index = pending[i] as number;
        const { own, id } = ids[i] as { own: string; id: string };
        if (id === own) {
          appended[index] = { status: 'queued', id };
          continue;
        }
        const key = (jobs[index] as NewJob<T>).key as string;
        duplicates.push(
          this.#duplicate(id, key).then((duplicate) => {
            if (duplicate === undefined) gone.push(index);
            else appended[index] = duplicate;
          }),
        );
      }
      await Promise.all(duplicates);
      // Their first job failed for good between the two questions, which freed the key.
      pending = gone.sort((a, b) => a - b);
    }
    return appended;
  }

  async #add(
    jobs: readonly NewJob<T>[],
    items: readonly string[],
    pending: readonly number[],
  ): Promise<{ own: string; id: string }[]> {
    const nowMs = this.#clock.now();
    const timestamp = Math.floor(nowMs);
    const entries = pending.map((index) => {
      const { priority, key, deadlineMs } = jobs[index] as NewJob<T>;
      const id = this.#nextId(nowMs);
      const opts: Record<string, unknown> = { priority: Math.min(priority, MAX_PRIORITY) + 1 };
      if (key !== undefined) opts['deduplication'] = { id: key };
      // Not an option of BullMQ's; it keeps what it does not know.
      if (deadlineMs !== undefined) opts['expiresMs'] = Math.ceil(nowMs + deadlineMs);
      const job = { id, name: JOB_NAME, data: items[index] as string, opts, timestamp };
      return { job: key === undefined ? job : { ...job, deduplicationId: key }, jobId: id };
    });
    try {
      // What Queue.addBulk does after it has made an instance of its Job class for each.
      const ids = await this.#backend.addJobs(
        entries as unknown as Parameters<RedisQueueBackend['addJobs']>[0],
      );
      return ids.map((id, i) => ({ own: (entries[i] as { jobId: string }).jobId, id }));
    } catch (cause) {
      await Promise.allSettled(entries.map(({ jobId }) => this.#queue.remove(jobId)));
      throw cause;
    }
  }

  #nextId(nowMs: number): string {
    const ms = Math.max(Math.floor(nowMs), this.#lastIdMs);
    if (ms > this.#lastIdMs) {
      this.#lastIdMs = ms;
      this.#idsOfThatMs = 0;
    }
    const counter = this.#idsOfThatMs++;
    return `j${ms.toString(36).padStart(9, '0')}${counter.toString(36).padStart(5, '0')}${this.#name}`;
  }

  async #duplicate(id: string, key: string): Promise<Appended | undefined> {
    const [first, result] = await this.#redis.perfDuplicate(
      ...this.#keysOf(id, key),
      this.#token,
      id,
      this.#name,
    );
    if (first === 'gone') return undefined;
    return {
      status: 'duplicate',
      id,
      first,
      result: result === '' ? undefined : JSON.parse(result),
    };
  }

  /** Job, lock, key, result. */
  #keysOf(id: string, key: string | undefined): [string, string, string, string] {
    const job = `${this.#keys['']}${id}`;
    return [job, `${job}:lock`, `${this.#keys.de}:${key ?? ''}`, `${job}:result`];
  }

  // -- Claiming -----------------------------------------------------------------------------------------------------

  async #claim(maxJobs: number): Promise<StoredJob<T>[]> {
    let isShort = true;
    try {
      const { wait, prioritized } = this.#keys;
      const claimable = await this.#redis.perfClaimable(wait, prioritized, this.#keys['']);
      const jobs = await this.#next(Math.min(maxJobs, claimable));
      isShort = jobs.length < maxJobs;
      this.#claimFailed = false;
      return jobs;
    } catch (error) {
      this.#claimFailed = true;
      throw error;
    } finally {
      if (isShort) void this.#waitForWork();
    }
  }

  /** All requests go out at once and are answered in order: one round trip. */
  async #next(count: number): Promise<StoredJob<T>[]> {
    const options = { block: false };
    const answers = await Promise.allSettled(
      Array.from({ length: count }, () => this.#worker.getNextJob(this.#token, options) as Promise<HeldJob>),
    );
    const claimed: HeldJob[] = [];
    let failure: PromiseRejectedResult | undefined;
    for (const answer of answers) {
      if (answer.status === 'rejected') failure ??= answer;
      else if ((answer.value as HeldJob | undefined) !== undefined) claimed.push(answer.value);
    }
    for (const job of claimed) this.#held.set(job.id as string, job);
    if (failure !== undefined) {
      await Promise.allSettled(
        claimed.map(({ id }) => this.#settleOne({ id: id as string, kind: 'release' }, undefined)),
      );
      throw failure.reason;
    }
    const nowMs = this.#clock.now();
    const runnable: StoredJob<T>[] = [];
    for (const job of claimed) {
      if (job.deferredFailure === undefined) runnable.push(describeJob<T>(job, nowMs));
      else await this.#bury(job);
    }
    return runnable;
  }

  /** Abandoned more than `maxStalls` times. */
  async #bury(job: HeldJob): Promise<void> {
    const error = new Error(job.deferredFailure);
    await this.#settleOne(
      { id: job.id as string, kind: 'dead', attempts: job.attemptsMade, error },
      undefined,
    );
  }

  /** One blocking request, as BullMQ's own workers make it, while nothing is left to claim. */
  async #waitForWork(): Promise<void> {
    if (this.#waiting || this.#wakes.size === 0) return;
    this.#waiting = true;
    let dueMs = Infinity;
    while (this.#closing === undefined) {
      try {
        const seconds = Math.min(WAIT_S, Math.max(0.002, (dueMs - Date.now()) / 1000));
        const marker = await this.#backend.waitForJob(seconds);
        if (marker === null) {
          if (!this.#claimFailed && dueMs > Date.now()) continue;
        } else if (marker.score > Date.now()) {
          // A delayed job of a native producer.
          dueMs = marker.score;
          continue;
        }
        break;
      } catch (error) {
        if (this.#closing !== undefined) break;
        this.#failed(error as Error);
        await this.#reconnectWaiting();
      }
    }
    this.#waiting = false;
    if (this.#closing !== undefined) return;
    this.#hasMarker = true;
    for (const wake of this.#wakes) wake();
    // A Batcher claims in this turn unless it is full; then the others shall know that there is work.
    setImmediate(() => {
      if (this.#hasMarker && this.#closing === undefined) this.#mark().catch((error) => this.#failed(error));
    });
  }

  async #reconnectWaiting(): Promise<void> {
    try {
      await this.#backend.reconnectBlocking();
    } catch (error) {
      this.#failed(error as Error);
    }
    await pause(RECONNECT_MS);
  }

  /** Wakes one waiting worker, of this class or BullMQ's. */
  async #mark(): Promise<void> {
    this.#hasMarker = false;
    await this.#redis.zadd(this.#keys.marker, 0, '0');
  }

  // -- Settling -----------------------------------------------------------------------------------------------------

  /** JSON of a result that somebody may ask for; '' when nobody will. */
  #resultToKeep(settlement: Settlement): string {
    if (settlement.kind !== 'done' || settlement.result === undefined) return '';
    const job = this.#held.get(settlement.id);
    if (job === undefined || !this.#isOfInterest(job)) return '';
    return serialise(settlement.result);
  }

  #isOfInterest(job: HeldJob): boolean {
    return job.deduplicationId !== undefined || producerOf(job.id as string) !== this.#name;
  }

  async #settleOne(settlement: Settlement, result: string | undefined): Promise<boolean> {
    const job = this.#held.get(settlement.id);
    if (job === undefined) return false;
    if (settlement.kind === 'retry') {
      return (await this.#beforeSettling(job, settlement.attempts, '', '')) === 1;
    }
    this.#held.delete(settlement.id);
    try {
      await this.#move(job, settlement, result ?? '');
      return true;
    } catch (error) {
      if (error instanceof Error && 'code' in error && LEASE_LOST.has(error.code)) return false;
      throw error;
    }
  }

  async #move(
    job: HeldJob,
    settlement: Exclude<Settlement, { kind: 'retry' }>,
    result: string,
  ): Promise<void> {
    const id = job.id as string;
    if (settlement.kind === 'release') {
      await job.moveToWait(this.#token);
    } else if (settlement.kind === 'done') {
      if (!this.#isOfInterest(job)) return void (await job.moveToCompleted(undefined, this.#token, false));
      const outcome = result === '' ? `{"id":"${id}"}` : `{"id":"${id}","value":${result}}`;
      const before = this.#beforeSettling(job, undefined, result, outcome);
      // On the same connection, so it runs after the script without waiting for its answer.
      await Promise.all([before, job.moveToCompleted(undefined, this.#token, false)]);
    } else {
      const description = describeError(settlement.error);
      const failure = new UnrecoverableError(description);
      if (settlement.error instanceof Error) failure.stack = settlement.error.stack ?? description;
      const outcome = this.#isOfInterest(job) ? JSON.stringify({ id, error: description }) : '';
      // BullMQ counts the attempt that ends the job.
      const before = this.#beforeSettling(job, settlement.attempts - 1, '', outcome);
      await Promise.all([before, job.moveToFailed(failure, this.#token, false)]);
    }
  }

  #beforeSettling(
    job: HeldJob,
    attempts: number | undefined,
    result: string,
    outcome: string,
  ): Promise<number> {
    const id = job.id as string;
    const keepsKey = outcome !== '' && attempts === undefined && job.deduplicationId !== undefined;
    return this.#redis.perfBeforeSettling(
      ...this.#keysOf(id, job.deduplicationId),
      this.#token,
      id,
      this.#visibilityTimeoutMs,
      attempts ?? '',
      keepsKey && this.#keyTtlMs > 0 ? this.#keyTtlMs : '',
      result,
      outcome,
      producerOf(id) ?? '',
      this.#name,
      `${this.#keys['']}outcomes-`,
      OUTCOME_TTL_MS,
    );
  }

  async #reviveOne(id: string): Promise<boolean> {
    const job = (await this.#queue.getJob(id)) as HeldJob | undefined;
    if (job === undefined) return false;
    try {
      await job.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true });
    } catch (error) {
      if (error instanceof Error && 'code' in error && LEASE_LOST.has(error.code)) return false;
      throw error;
    }
    // BullMQ appends it to its priority; it is older than what waits there.
    const front = job.priority * 2 ** 32;
    await Promise.all([
      job.priority > 0 ? this.#redis.zadd(this.#keys.prioritized, 'XX', front, id) : undefined,
      this.#redis.hdel(`${this.#keys['']}${id}`, 'stc'),
    ]);
    return true;
  }

  // -- Leases, outcomes, connections --------------------------------------------------------------------------------

  async #extendLeases(): Promise<void> {
    const ids = [...this.#held.keys()];
    try {
      for (let from = 0; from < ids.length; from += CHUNK) {
        const some = ids.slice(from, from + CHUNK);
        const tokens = some.map(() => this.#token);
        // Those that were lost are found out when they are settled.
        await this.#worker.extendJobLocks(some, tokens, this.#visibilityTimeoutMs);
      }
    } catch (error) {
      this.#failed(error as Error);
    }
  }

  async #readOutcomes(outcomes: Redis): Promise<void> {
    const stream = `${this.#keys['']}outcomes-${this.#name}`;
    let last = '0';
    while (this.#closing === undefined) {
      try {
        const read = await outcomes.xread('COUNT', CHUNK, 'BLOCK', WAIT_S * 1000, 'STREAMS', stream, last);
        const entries = read?.[0]?.[1] ?? [];
        for (const [entryId, [, outcome]] of entries) {
          last = entryId;
          this.#outcomeCame(JSON.parse(outcome as string) as WireOutcome);
        }
        // What has been read is not needed again; only what is not yet read takes up room.
        if (entries.length > 0) await outcomes.xtrim(stream, 'MINID', last);
      } catch (error) {
        if (this.#closing !== undefined) return;
        this.#failed(error as Error);
        await pause(RECONNECT_MS);
      }
    }
  }

  #outcomeCame(outcome: WireOutcome): void {
    if (this.#appends.size === 0) this.#tell(outcome);
    else this.#early.push({ after: this.#lastAppend, outcome });
  }

  #appendEnded(append: number): void {
    this.#appends.delete(append);
    const [oldest = Infinity] = this.#appends;
    const ripe = this.#early.findIndex(({ after }) => after >= oldest);
    for (const { outcome } of this.#early.splice(0, ripe === -1 ? this.#early.length : ripe))
      this.#tell(outcome);
  }

  #tell({ id, value, error }: WireOutcome): void {
    const outcome: JobOutcome =
      error === undefined ? { ok: true, value } : { ok: false, error: new Error(error) };
    for (const listener of this.#outcomeListeners) {
      try {
        listener(id, outcome);
      } catch (thrown) {
        this.#failed(thrown as Error);
      }
    }
  }

  #enter(): void {
    if (this.#closing !== undefined) throw closedError();
  }

  #failed(error: Error): void {
    if (this.#closing === undefined) this.#onError?.(error);
  }

  async #close(): Promise<void> {
    clearInterval(this.#heartbeat);
    this.#outcomes?.disconnect();
    const isConnected = this.#redis.status === 'ready';
    // A connection that is lost now may take for ever to come back; the leases do not.
    const timeout = pause(this.#visibilityTimeoutMs);
    if (isConnected) await Promise.race([this.#giveBack(), timeout]);
    await Promise.race([Promise.allSettled([this.#worker.close(true), this.#queue.close()]), timeout]);
    this.#redis.disconnect();
  }

  async #giveBack(): Promise<void> {
    await Promise.allSettled(this.#claims);
    const ids = [...this.#held.keys()];
    if (ids.length === 0) return;
    await Promise.allSettled(ids.map((id) => this.#settleOne({ id, kind: 'release' }, undefined)));
    await this.#mark();
  }
}

function checkOptions(options: BullMqJobStoreOptions): void {
  if (typeof options.queueName !== 'string')
    throw new TypeError(`queueName must be a string, got ${typeof options.queueName}`);
  if (options.queueName === '' || options.queueName.includes(':')) {
    throw new RangeError(
      `queueName must be a name without a colon, got ${JSON.stringify(options.queueName)}`,
    );
  }
  if (typeof options.connection !== 'object' || options.connection === null) {
    throw new TypeError('connection must be an object of ioredis options');
  }
  numberOption('visibilityTimeoutMs', options.visibilityTimeoutMs ?? 30_000, 100, DAY_MS);
  numberOption('keyTtlMs', options.keyTtlMs ?? DAY_MS, 0, Number.MAX_SAFE_INTEGER);
  integerOption('maxJobs', options.maxJobs ?? 1_000_000, 1);
  integerOption('maxDead', options.maxDead ?? 10_000, 1);
  integerOption('maxStalls', options.maxStalls ?? 10, 0);
  if (options.onError !== undefined) functionOption('onError', options.onError);
}

function describeJob<T>(job: HeldJob, nowMs: number): StoredJob<T> {
  const expiresMs = (job.opts as { expiresMs?: number }).expiresMs;
  return {
    id: job.id as string,
    item: job.data as T,
    priority: Math.max(0, job.priority - 1),
    key: job.deduplicationId,
    attempts: job.attemptsMade,
    deadlineMs: expiresMs === undefined ? undefined : expiresMs - nowMs,
  };
}

/** The store that made the id; undefined for jobs of native producers. */
function producerOf(id: string): string | undefined {
  return ID.exec(id)?.[1];
}

function serialise(value: unknown): string {
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined) throw new TypeError('an item must have a JSON form');
  return text;
}

/** Does not keep the process alive. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}

function closedError(): BatchError {
  return new BatchError('ERR_PERF_BATCH_CLOSED', 'the job store is closed');
}
