/**
 * One item on its way through a Batcher, and at the same time the ticket its producer holds. Both promises are made when
 * first read: an item nobody waits for costs no promise, and one that is refused costs no unhandled rejection.
 */

/** What `Batcher.add` returns. */
export interface Ticket<R> {
  /** Resolves to the job id once the queue has the item, durably when there is a store. */
  readonly accepted: Promise<string>;
  /** Resolves to the item's result, rejects with its final error. Never raises an unhandled rejection. */
  readonly result: Promise<R>;
}

/** What `process` is told about each item, aligned with the items. */
export interface JobInfo {
  readonly id: string;
  readonly key: string | undefined;
  readonly priority: number;
  /** 1 for the first attempt. */
  readonly attempt: number;
}

/** Waiting for room. */
export const OUTSIDE = 0;
/** Let in; the store is writing it down. */
export const APPENDING = 1;
export const QUEUED = 2;
export const RUNNING = 3;
export const BACKING_OFF = 4;
/** Processed; its outcome is being made durable. */
export const SETTLING = 5;
/** In a store that hands it to whichever worker comes first. */
export const REMOTE = 6;
/** Takes the outcome of an earlier job of the same key; holds no room of its own. */
export const FOLLOWING = 7;
export const DONE = 8;
export const FAILED = 9;
/** Never got in. */
export const REFUSED = 10;

interface Deferred<V> {
  readonly promise: Promise<V>;
  resolve(value: V): void;
  reject(reason: unknown): void;
}

function ignore(): void {}

/** Rejects so that a promise nobody listens to stays silent; one that is awaited still throws. */
function rejectQuietly<V>(deferred: Deferred<V>, reason: unknown): void {
  deferred.promise.then(undefined, ignore);
  deferred.reject(reason);
}

function quietRejection<V>(reason: unknown): Promise<V> {
  const promise = Promise.reject<V>(reason);
  promise.then(undefined, ignore);
  return promise;
}

/** What few jobs have, kept apart so that the others stay small. */
export class JobExtras {
  key: string | undefined = undefined;
  signal: AbortSignal | undefined = undefined;
  onAbort: (() => void) | undefined = undefined;
  /** Later adds with the same key: settled with this one. */
  followers: Job<unknown, unknown>[] | undefined = undefined;
}

export class Job<T, R> implements Ticket<R>, JobInfo {
  /** Cleared when settled, so that a kept ticket does not keep the payload. */
  item: T | undefined;
  readonly sequence: number;
  storeId: string | undefined = undefined;
  readonly priority: number;
  readonly sizeBytes: number;
  enqueuedAtMs: number;
  attempt = 0;
  state: number = OUTSIDE;
  wasAccepted = false;
  /** Into the backoff heap while backing off, into the deadline heap before; -1 when in neither. */
  heapHandle = -1;
  extras: JobExtras | undefined = undefined;
  outcome: unknown = undefined;
  #accepted: Deferred<string> | undefined = undefined;
  #result: Deferred<R> | undefined = undefined;

  constructor(item: T, sequence: number, priority: number, sizeBytes: number, enqueuedAtMs: number) {
    this.item = item;
    this.sequence = sequence;
    this.priority = priority;
    this.sizeBytes = sizeBytes;
    this.enqueuedAtMs = enqueuedAtMs;
  }

  get id(): string {
    return this.storeId ?? String(this.sequence);
  }

  get key(): string | undefined {
    return this.extras?.key;
  }

  get accepted(): Promise<string> {
    if (this.#accepted === undefined) {
      if (this.wasAccepted) return Promise.resolve(this.id);
      if (this.state === REFUSED) return quietRejection(this.outcome);
      this.#accepted = Promise.withResolvers<string>();
    }
    return this.#accepted.promise;
  }

  get result(): Promise<R> {
    if (this.#result === undefined) {
      if (this.state === DONE) return Promise.resolve(this.outcome as R);
      if (this.state === FAILED || this.state === REFUSED) return quietRejection(this.outcome);
      this.#result = Promise.withResolvers<R>();
    }
    return this.#result.promise;
  }

  accept(): void {
    this.wasAccepted = true;
    this.#accepted?.resolve(this.id);
  }

  refuse(reason: unknown): void {
    this.#end(REFUSED, reason);
    if (this.#accepted !== undefined) rejectQuietly(this.#accepted, reason);
    if (this.#result !== undefined) rejectQuietly(this.#result, reason);
  }

  complete(value: R): void {
    this.#end(DONE, value);
    this.#result?.resolve(value);
  }

  fail(reason: unknown): void {
    this.#end(FAILED, reason);
    if (this.#result !== undefined) rejectQuietly(this.#result, reason);
  }

  #end(state: number, outcome: unknown): void {
    this.state = state;
    this.outcome = outcome;
    this.item = undefined;
    const extras = this.extras;
    if (extras === undefined) return;
    if (extras.onAbort !== undefined) extras.signal?.removeEventListener('abort', extras.onAbort);
    extras.signal = undefined;
    extras.onAbort = undefined;
  }
}
