/**
 * Queries on worker threads, for those that would block the event loop.
 *
 *   all() ── free thread? ── yes ──> thread runs it ──> rows
 *               │ no                      │ abort, timeout, death: the thread is ended and another takes its place
 *               └──> queue (bounded, first come first served; an aborted query leaves it)
 *
 * A thread runs one query at a time, and holds a snapshot of the database only while it does. The thread used last is
 * used next, as its caches are warm; threads start when they are first needed and do not keep the process alive.
 *
 * SQLite cannot be stopped from outside in the middle of one step through better-sqlite3 (the progress callback is
 * compiled out). A query that is given up ends at its next row; one that computes without giving rows, such as a
 * count over a large join, goes on in its old thread until that step is over. Its caller and its place in the pool do
 * not wait for it: at most `threads` such threads linger, and only then does a place wait.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { ResourceLimits } from 'node:worker_threads';
import DatabaseConstructor from 'better-sqlite3';
import { SqliteError, toSqliteError } from './errors.ts';
import type { SqliteErrorCode } from './errors.ts';
import type { Answer, Failure, Params, Query, Rows, WorkerSettings } from './read-pool-protocol.ts';

export interface ReadPoolOptions {
  /** The database file; it must exist by the first query. */
  readonly path: string;
  /** 1 to 64; by default one less than the processors, at most 4. */
  readonly threads?: number;
  /** Queries that may wait for a thread; the next one is refused. Default 1,024. */
  readonly maxQueued?: number;
  /** How long a query may run, so that none holds back the log for ever; `Infinity` for no limit. Default 30,000. */
  readonly maxQueryMs?: number;
  /** Rows a query may give. Default 1,000,000. */
  readonly maxRows?: number;
  /** JavaScript heap of a thread; a result that outgrows it ends the thread, not the process. Default 512 MiB. */
  readonly maxThreadHeapBytes?: number;
  /** As in `openDatabase`. */
  readonly mmapBytes?: number;
  /** As in `openDatabase`. */
  readonly busyTimeoutMs?: number;
}

export interface QueryOptions {
  readonly signal?: AbortSignal;
}

export interface ReadPoolStats {
  /** Threads that exist and serve queries. */
  readonly threads: number;
  readonly running: number;
  readonly queued: number;
  readonly completed: number;
  readonly failed: number;
  /** Given up by their signal, queued or running. */
  readonly cancelled: number;
  readonly timedOut: number;
  /** Threads that were told to end and are still inside a step of SQLite. */
  readonly lingering: number;
}

interface Job {
  readonly sql: string;
  readonly params: Params | undefined;
  readonly resolve: (rows: unknown[]) => void;
  readonly reject: (reason: unknown) => void;
  /** Stops listening to the signal. */
  release(): void;
}

interface Thread {
  readonly worker: Worker;
  running: { readonly id: number; readonly job: Job; readonly timer: NodeJS.Timeout | undefined } | undefined;
}

const MIB = 1024 * 1024;
const MAX_THREADS = 64;
const MAX_TIMER_MS = 0x7fffffff;

export class ReadPool implements AsyncDisposable {
  readonly #settings: WorkerSettings;
  readonly #maxThreads: number;
  readonly #maxQueued: number;
  readonly #maxQueryMs: number;
  readonly #resourceLimits: ResourceLimits;
  readonly #threads = new Set<Thread>();
  readonly #idle: Thread[] = [];
  // A Set keeps the order of arrival and lets an aborted job leave from the middle.
  readonly #queue = new Set<Job>();
  readonly #lingering = new Set<Promise<unknown>>();
  #nextId = 1;
  #completed = 0;
  #failed = 0;
  #cancelled = 0;
  #timedOut = 0;
  #closing: Promise<void> | undefined;

  /** Starts no thread and touches no file yet. */
  constructor(options: ReadPoolOptions) {
    const {
      path,
      threads = Math.max(1, Math.min(4, availableParallelism() - 1)),
      maxQueued = 1_024,
      maxQueryMs = 30_000,
      maxRows = 1_000_000,
      maxThreadHeapBytes = 512 * MIB,
      mmapBytes,
      busyTimeoutMs,
    } = options;
    if (typeof path !== 'string' || path === '')
      throw new TypeError('path must be a string that is not empty');
    if (path === ':memory:') throw new TypeError(`path: threads cannot share ':memory:'`);
    checkCount('threads', threads, 1, MAX_THREADS);
    checkCount('maxQueued', maxQueued, 0, Number.MAX_SAFE_INTEGER);
    checkCount('maxRows', maxRows, 1, Number.MAX_SAFE_INTEGER);
    checkCount('maxThreadHeapBytes', maxThreadHeapBytes, 16 * MIB, Number.MAX_SAFE_INTEGER);
    if (maxQueryMs !== Infinity) checkCount('maxQueryMs', maxQueryMs, 1, MAX_TIMER_MS);
    this.#settings = { path, mmapBytes, busyTimeoutMs, maxRows };
    this.#maxThreads = threads;
    this.#maxQueued = maxQueued;
    this.#maxQueryMs = maxQueryMs;
    this.#resourceLimits = { maxOldGenerationSizeMb: Math.floor(maxThreadHeapBytes / MIB) };
  }

  /**
   * All rows of a query, as objects by column name; blobs are Buffers. `params` is an array for `?` or an object for
   * `:name`, `@name`, `$name`; its blobs are copied.
   *
   * @throws {SqliteError} `ERR_PERF_SQLITE_QUEUE_FULL`, `_TIMEOUT`, `_TOO_MANY_ROWS`, `_WORKER`, `_CLOSED`,
   *   `_READONLY` for a statement that writes, and the codes of `openDatabase`
   * @throws what `prepare` and binding throw; the signal's reason when it is aborted
   */
  all<T = unknown>(sql: string, params?: Params, { signal }: QueryOptions = {}): Promise<T[]> {
    return new Promise<unknown[]>((resolve, reject) => {
      if (typeof sql !== 'string') throw new TypeError('sql must be a string');
      if (params !== undefined && (typeof params !== 'object' || params === null)) {
        throw new TypeError('params must be an array or an object');
      }
      signal?.throwIfAborted();
      if (this.#closing !== undefined)
        throw new SqliteError('ERR_PERF_SQLITE_CLOSED', 'the read pool is closed');
      const mayStart = this.#idle.length > 0 || this.#mayAddThread();
      if (!mayStart && this.#queue.size >= this.#maxQueued) {
        throw new SqliteError('ERR_PERF_SQLITE_QUEUE_FULL', `${this.#queue.size} queries wait already`);
      }
      const abort = (): void => this.#cancel(job, signal?.reason);
      const release = (): void => signal?.removeEventListener('abort', abort);
      const job: Job = { sql, params: withOwnBlobs(params), resolve, reject, release };
      signal?.addEventListener('abort', abort, { once: true });
      this.#queue.add(job);
      this.#dispatch();
    }) as Promise<T[]>;
  }

  stats(): ReadPoolStats {
    return {
      threads: this.#threads.size,
      running: this.#threads.size - this.#idle.length,
      queued: this.#queue.size,
      completed: this.#completed,
      failed: this.#failed,
      cancelled: this.#cancelled,
      timedOut: this.#timedOut,
      lingering: this.#lingering.size,
    };
  }

  /**
   * Drops: queries that wait or run are rejected with `ERR_PERF_SQLITE_CLOSED`. Resolves when every thread has ended
   * and its handle on the file is closed, which is after the current step of whatever was running.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const closed = (): SqliteError => new SqliteError('ERR_PERF_SQLITE_CLOSED', 'the read pool was closed');
    for (const job of this.#queue) {
      job.release();
      job.reject(closed());
    }
    this.#queue.clear();
    for (const thread of this.#threads) this.#end(thread, closed());
    await Promise.all(this.#lingering);
  }

  #mayAddThread(): boolean {
    return this.#threads.size < this.#maxThreads && this.#lingering.size < this.#maxThreads;
  }

  #dispatch(): void {
    for (const job of this.#queue) {
      const thread = this.#idle.pop() ?? (this.#mayAddThread() ? this.#start() : undefined);
      if (thread === undefined) return;
      this.#queue.delete(job);
      this.#run(thread, job);
    }
  }

  #start(): Thread {
    const file = new URL(import.meta.resolve('#read-pool-worker'));
    const worker = new Worker(file, {
      workerData: this.#settings,
      resourceLimits: this.#resourceLimits,
      name: 'perf-sqlite-reader',
    });
    const thread: Thread = { worker, running: undefined };
    worker.on('message', (answer: Answer) => this.#answer(thread, answer));
    // A thread ends by itself only when something went badly wrong, such as a heap that is full.
    worker.on('error', (cause) => this.#end(thread, died(cause)));
    worker.on('messageerror', (cause) => this.#end(thread, died(cause)));
    worker.on('exit', () => this.#end(thread, died(undefined)));
    worker.unref();
    this.#threads.add(thread);
    return thread;
  }

  #run(thread: Thread, job: Job): void {
    const id = this.#nextId++;
    const query: Query = { id, sql: job.sql, params: job.params };
    try {
      thread.worker.postMessage(query, []);
    } catch (failure) {
      // A parameter that cannot be sent, such as a function.
      job.release();
      job.reject(
        new TypeError('params can hold strings, numbers, bigints, blobs and null', { cause: failure }),
      );
      this.#failed++;
      this.#idle.push(thread);
      return;
    }
    const timer =
      this.#maxQueryMs === Infinity ? undefined : setTimeout(() => this.#timeOut(thread), this.#maxQueryMs);
    thread.running = { id, job, timer };
    thread.worker.ref();
  }

  #answer(thread: Thread, answer: Answer): void {
    const job = this.#takeJob(thread, answer.id);
    if (job === undefined) return;
    thread.worker.unref();
    this.#idle.push(thread);
    if ('columns' in answer) {
      this.#completed++;
      job.resolve(toObjects(answer));
    } else {
      this.#failed++;
      job.reject(toError(answer));
    }
    this.#dispatch();
  }

  #takeJob(thread: Thread, id?: number): Job | undefined {
    const { running } = thread;
    if (running === undefined || (id !== undefined && running.id !== id)) return undefined;
    thread.running = undefined;
    clearTimeout(running.timer);
    running.job.release();
    return running.job;
  }

  #cancel(job: Job, reason: unknown): void {
    this.#cancelled++;
    if (this.#queue.delete(job)) {
      job.reject(reason);
      return;
    }
    for (const thread of this.#threads) {
      if (thread.running?.job === job) this.#end(thread, reason);
    }
  }

  #timeOut(thread: Thread): void {
    this.#timedOut++;
    this.#end(
      thread,
      new SqliteError('ERR_PERF_SQLITE_TIMEOUT', `the query ran longer than ${this.#maxQueryMs} ms`),
    );
  }

  /** Rejects what the thread runs, ends it, and lets the queue go on with another. */
  #end(thread: Thread, reason: unknown): void {
    if (!this.#threads.delete(thread)) return;
    const position = this.#idle.indexOf(thread);
    if (position !== -1) this.#idle.splice(position, 1);
    const ended = thread.worker.terminate().then(() => {
      this.#lingering.delete(ended);
      this.#dispatch();
    });
    this.#lingering.add(ended);
    const job = this.#takeJob(thread);
    if (job !== undefined) {
      if (reason instanceof SqliteError && reason.code === 'ERR_PERF_SQLITE_WORKER') this.#failed++;
      job.reject(reason);
    }
    if (this.#closing === undefined) this.#dispatch();
  }
}

function died(cause: unknown): SqliteError {
  return new SqliteError('ERR_PERF_SQLITE_WORKER', 'the thread that ran the query died', { cause });
}

function toObjects({ names, columns, count, blobColumns }: Rows): unknown[] {
  // A blob arrives as a plain Uint8Array; callers get what better-sqlite3 would have given them.
  for (const index of blobColumns) {
    const column = columns[index] as unknown[];
    for (let row = 0; row < column.length; row++) {
      const value = column[row];
      if (value instanceof Uint8Array)
        column[row] = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    }
  }
  const rows: Record<string, unknown>[] = [];
  for (let index = 0; index < count; index++) {
    const row: Record<string, unknown> = {};
    for (let column = 0; column < names.length; column++) {
      row[names[column] as string] = columns[column]?.[index];
    }
    rows.push(row);
  }
  return rows;
}

function toError({ className, code, message }: Failure): Error {
  if (code?.startsWith('ERR_PERF_SQLITE_') === true) return new SqliteError(code as SqliteErrorCode, message);
  if (code?.startsWith('SQLITE_') === true) {
    return toSqliteError(new DatabaseConstructor.SqliteError(message, code), 'the query failed') as Error;
  }
  if (className === 'TypeError') return new TypeError(message);
  return className === 'RangeError' ? new RangeError(message) : new Error(message);
}

/** Sending a view sends its whole buffer, which for a small Buffer is a pool shared with strangers. */
function withOwnBlobs(params: Params | undefined): Params | undefined {
  if (params === undefined) return undefined;
  const own = (value: unknown): unknown => (value instanceof Uint8Array ? new Uint8Array(value) : value);
  if (Array.isArray(params)) return params.map(own);
  return Object.fromEntries(Object.entries(params).map(([name, value]) => [name, own(value)]));
}

function checkCount(name: string, value: number, least: number, most: number): void {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number`);
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new RangeError(`${name} must be an integer from ${least} to ${most}, got ${value}`);
  }
}
