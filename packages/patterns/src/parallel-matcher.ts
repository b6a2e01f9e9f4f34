/**
 * A pattern set on worker threads, with a time budget for every single run of a pattern.
 *
 *   texts -> batches -> shared memory -> workers -> results in order
 *                          ^ progress |
 *                     watchdog: a pattern that runs longer than its budget is stopped with its worker and quarantined;
 *                     the batch goes on from the same text, without it, on another worker
 *
 * A regex cannot be interrupted, so stopping one costs its worker. There is one worker more than work at a time, which
 * takes over at once. Texts are matched inline instead when that is sure to end soon: see `#canInline`.
 */
import { availableParallelism } from 'node:os';
import { Piscina } from 'piscina';
import { PatternsError } from './errors.ts';
import type { PatternMatch } from './pattern-def.ts';
import {
  packTexts,
  unpackLists,
  PROGRESS_CELLS,
  PROGRESS_PATTERN,
  PROGRESS_SEQUENCE,
  PROGRESS_TEXT,
  type MatcherTask,
} from './parallel-protocol.ts';
import { PatternSet } from './pattern-set.ts';

export interface ParallelMatcherOptions {
  /** Workers at work at a time. Default: the available parallelism. */
  readonly threads?: number;
  /** The longest a pattern may run on one text, in ms. Default 50. */
  readonly budgetMs?: number;
  /** Texts handed to a worker at a time. Default 512. */
  readonly batchSize?: number;
}

export interface MatchOptions {
  readonly signal?: AbortSignal;
}

/** A pattern that was stopped. */
export interface Quarantined {
  readonly id: string;
  /** How long it had run, in ms. */
  readonly ranMs: number;
  /** Units of the text it ran on. */
  readonly textLength: number;
}

const DEFAULT_BUDGET_MS = 50;
const DEFAULT_BATCH_SIZE = 512;
const WATCH_EVERY_MS = 2;
/** Fewer units in all are matched inline: handing them over takes longer. */
const INLINE_UNITS = 16_384;
/** What an inline run may cost by analysis, in steps of a backtracking engine. */
const INLINE_STEPS = 250_000;

export class ParallelMatcher implements AsyncDisposable {
  /** A copy without the quarantined patterns, for what is matched inline. */
  readonly #set: PatternSet;
  /** By the ordinals of the workers, whose sets were serialised without gaps. */
  readonly #ids: readonly string[];
  readonly #pool: Piscina;
  readonly #threads: number;
  readonly #budgetMs: number;
  readonly #batchSize: number;
  readonly #quarantined = new Map<string, Quarantined>();
  #closed = false;

  /**
   * The set is copied; changing it later changes nothing here.
   * @throws {TypeError | RangeError} for an option out of range
   */
  constructor(set: PatternSet, options: ParallelMatcherOptions = {}) {
    const {
      threads = availableThreads(),
      budgetMs = DEFAULT_BUDGET_MS,
      batchSize = DEFAULT_BATCH_SIZE,
    } = options;
    checkPositive('threads', threads);
    checkPositive('batchSize', batchSize);
    if (!(typeof budgetMs === 'number' && budgetMs > 0)) throw new RangeError('budgetMs must be above 0');
    const bytes = set.serialize();
    this.#set = PatternSet.deserialize(bytes);
    this.#ids = set.definitions().map(({ id }) => id);
    this.#threads = threads;
    this.#budgetMs = budgetMs;
    this.#batchSize = batchSize;
    this.#pool = new Piscina({
      filename: import.meta.resolve('#matcher-worker'),
      minThreads: threads + 1,
      maxThreads: threads + 1,
      workerData: { set: bytes },
    });
    // A worker that answers just as it is being stopped makes the pool emit an error; the answer is not wanted.
    this.#pool.on('error', () => {});
  }

  /** For each text what `PatternSet.ids` returns, without the quarantined patterns. */
  async ids(texts: readonly string[], options: MatchOptions = {}): Promise<string[][]> {
    return this.#match('ids', texts, options) as Promise<string[][]>;
  }

  /** For each text what `PatternSet.all` returns, without the quarantined patterns. */
  async all(texts: readonly string[], options: MatchOptions = {}): Promise<PatternMatch[][]> {
    return this.#match('all', texts, options) as Promise<PatternMatch[][]>;
  }

  /** The patterns that were stopped and are no longer run. */
  quarantined(): readonly Quarantined[] {
    return [...this.#quarantined.values()];
  }

  /** Stops the workers; what is being matched is rejected. Calling it again does nothing. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#pool.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #match(kind: 'ids' | 'all', texts: readonly string[], { signal }: MatchOptions): Promise<unknown[]> {
    if (this.#closed) throw new PatternsError('ERR_PERF_PATTERNS_CLOSED', 'the matcher is closed');
    if (!Array.isArray(texts)) throw new TypeError('texts must be an array');
    for (const text of texts) if (typeof text !== 'string') throw new TypeError('texts must be strings');
    signal?.throwIfAborted();
    if (this.#canInline(texts)) return texts.map((text: string) => this.#set[kind](text));
    const results = new Array<unknown>(texts.length);
    let next = 0;
    const goesOn = (): boolean => next < texts.length && signal?.aborted !== true;
    const take = async (): Promise<void> => {
      while (goesOn()) {
        const start = next;
        next = Math.min(texts.length, start + this.#sizeOfBatch(texts.length));
        const found = await this.#matchBatch(kind, texts.slice(start, next));
        for (let i = 0; i < found.length; i++) results[start + i] = found[i];
      }
    };
    await untilAborted(Promise.all(Array.from({ length: this.#threads }, take)), signal);
    return results;
  }

  /** A call's texts are spread over the workers even when they are fewer than their batches. */
  #sizeOfBatch(count: number): number {
    return Math.min(this.#batchSize, Math.max(1, Math.ceil(count / this.#threads)));
  }

  /** Whether the texts are few, and no pattern that is not quarantined can take long on any of them. */
  #canInline(texts: readonly string[]): boolean {
    let units = 0;
    let longest = 0;
    for (const text of texts) {
      units += text.length;
      longest = Math.max(longest, text.length);
    }
    return units <= INLINE_UNITS && this.#set.worstSteps(longest) <= INLINE_STEPS;
  }

  async #matchBatch(kind: 'ids' | 'all', texts: readonly string[]): Promise<unknown[]> {
    const done: unknown[] = [];
    while (done.length < texts.length) {
      const rest = texts.slice(done.length);
      const outcome = await this.#runBatch(kind, rest);
      if (outcome.kind === 'done') done.push(...outcome.results);
      else {
        this.#quarantine(outcome.ordinal, outcome.ranMs, rest[outcome.text] as string);
        // What came before the text that was stopped at is done again by itself, which cannot be stopped at.
        if (outcome.text > 0) done.push(...(await this.#matchBatch(kind, rest.slice(0, outcome.text))));
      }
    }
    return done;
  }

  async #runBatch(kind: 'ids' | 'all', texts: readonly string[]): Promise<Outcome> {
    const progress = new Int32Array(new SharedArrayBuffer(PROGRESS_CELLS * Int32Array.BYTES_PER_ELEMENT));
    const task: MatcherTask = {
      kind,
      ...packTexts(texts),
      quarantined: [...this.#quarantined.keys()],
      progress: progress.buffer,
    };
    const stop = new AbortController();
    const watch = this.#watch(progress, stop);
    try {
      const answer: unknown = await this.#pool.run(task, { signal: stop.signal });
      const results = kind === 'ids' ? unpackLists(answer as Uint32Array, this.#ids) : (answer as unknown[]);
      return { kind: 'done', results };
    } catch (error) {
      const stopped = watch.stopped();
      if (stopped === undefined) throw this.#closed ? closedError(error) : error;
      return stopped;
    } finally {
      watch.end();
    }
  }

  /** Stops the batch when one run of one pattern takes longer than the budget. */
  #watch(progress: Int32Array, stop: AbortController): { stopped(): Stopped | undefined; end(): void } {
    let stopped: Stopped | undefined;
    let sequence = -1;
    let sinceMs = 0;
    const timer = setInterval(() => {
      const pattern = Atomics.load(progress, PROGRESS_PATTERN);
      const current = Atomics.load(progress, PROGRESS_SEQUENCE);
      const nowMs = performance.now();
      if (pattern === 0 || current !== sequence) {
        sequence = current;
        sinceMs = nowMs;
      } else if (nowMs - sinceMs > this.#budgetMs) {
        const text = Atomics.load(progress, PROGRESS_TEXT);
        stopped = { kind: 'stopped', ordinal: pattern - 1, text, ranMs: nowMs - sinceMs };
        stop.abort();
      }
    }, WATCH_EVERY_MS).unref();
    return { stopped: () => stopped, end: () => clearInterval(timer) };
  }

  #quarantine(ordinal: number, ranMs: number, text: string): void {
    const id = this.#ids[ordinal];
    if (id === undefined) return;
    this.#quarantined.set(id, { id, ranMs, textLength: text.length });
    this.#set.remove(id);
  }
}

interface Stopped {
  readonly kind: 'stopped';
  readonly ordinal: number;
  /** Counted within the batch. */
  readonly text: number;
  readonly ranMs: number;
}

type Outcome = Stopped | { readonly kind: 'done'; readonly results: readonly unknown[] };

/** Batches that are with a worker when the signal fires run on, watched, and their results are dropped. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
    work.catch(() => {});
  }
}

function closedError(cause: unknown): PatternsError {
  return new PatternsError('ERR_PERF_PATTERNS_CLOSED', 'the matcher was closed', { cause });
}

function availableThreads(): number {
  return Math.max(1, availableParallelism());
}

function checkPositive(name: string, value: number): void {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number`);
  if (!Number.isInteger(value) || value < 1) throw new RangeError(`${name} must be a positive integer`);
}
