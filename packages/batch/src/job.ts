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

function ignore(): void {}

/** A rejection nobody listens to stays silent; one that is awaited still throws. */
function ignoreRejection(promise: Promise<unknown>): void {
  promise.then(undefined, ignore);
}

function quietRejection<V>(reason: unknown): Promise<V> {
  const promise = Promise.reject<V>(reason);
  ignoreRejection(promise);
  return promise;
}

/** A Job, whatever its types. */
export interface Follower {
  readonly state: number;
}

/** What few jobs have, kept apart so that the others stay small. */
export class JobExtras {
  key: string | undefined = undefined;
  signal: AbortSignal | undefined = undefined;
  onAbort: (() => void) | undefined = undefined;
  /** Later adds with the same key: settled with this one. */
  followers: Follower[] | undefined = undefined;
}

/**
 * Fields are few because a queue holds many: a waiting item with its promise is below 300 bytes (bench case
 * `memory-per-item`). The item and, once there is one, the outcome share a field; of the result's promise only the
 * resolve function is kept, which can reject too by resolving to a rejection.
 */
export class Job<T, R> implements Ticket<R>, JobInfo {
  /** The item until the end, so that a kept ticket does not keep the payload; the outcome from then on. */
  #content: unknown;
  readonly sequence: number;
  storeId: string | undefined = undefined;
  readonly priority: number;
  readonly sizeBytes: number;
  readonly enqueuedAtMs: number;
  attempt = 0;
  state: number = OUTSIDE;
  /** Into the backoff heap while backing off, into the deadline heap before; -1 when in neither. */
  heapHandle = -1;
  extras: JobExtras | undefined = undefined;
  #accepted: PromiseWithResolvers<string> | undefined = undefined;
  #result: Promise<R> | undefined = undefined;
  #resolveResult: ((outcome: R | Promise<R>) => void) | undefined = undefined;

  constructor(item: T, sequence: number, priority: number, sizeBytes: number, enqueuedAtMs: number) {
    this.#content = item;
    this.sequence = sequence;
    this.priority = priority;
    this.sizeBytes = sizeBytes;
    this.enqueuedAtMs = enqueuedAtMs;
  }

  get item(): T {
    return this.#content as T;
  }

  set item(item: T) {
    this.#content = item;
  }

  /** Result or error, once it has ended. */
  get outcome(): unknown {
    return this.#content;
  }

  get id(): string {
    return this.storeId ?? String(this.sequence);
  }

  get key(): string | undefined {
    return this.extras?.key;
  }

  get accepted(): Promise<string> {
    if (this.#accepted === undefined) {
      if (this.state === REFUSED) return quietRejection(this.#content);
      if (this.state >= QUEUED) return Promise.resolve(this.id);
      this.#accepted = Promise.withResolvers<string>();
    }
    return this.#accepted.promise;
  }

  get result(): Promise<R> {
    if (this.#result === undefined) {
      if (this.state === DONE) return Promise.resolve(this.#content as R);
      if (this.state === FAILED || this.state === REFUSED) return quietRejection(this.#content);
      this.#result = new Promise((resolve) => {
        this.#resolveResult = resolve;
      });
    }
    return this.#result;
  }

  /** Call when its state says that the queue has it. */
  accept(): void {
    this.#accepted?.resolve(this.id);
  }

  refuse(reason: unknown): void {
    if (this.#accepted !== undefined) {
      ignoreRejection(this.#accepted.promise);
      this.#accepted.reject(reason);
    }
    this.#endBadly(REFUSED, reason);
  }

  complete(value: R): void {
    this.#end(DONE, value);
    this.#resolveResult?.(value);
  }

  fail(reason: unknown): void {
    this.#endBadly(FAILED, reason);
  }

  #endBadly(state: number, reason: unknown): void {
    this.#end(state, reason);
    if (this.#result === undefined) return;
    ignoreRejection(this.#result);
    this.#resolveResult?.(Promise.reject<R>(reason));
  }

  #end(state: number, outcome: unknown): void {
    this.state = state;
    this.#content = outcome;
    const extras = this.extras;
    if (extras === undefined) return;
    if (extras.onAbort !== undefined) extras.signal?.removeEventListener('abort', extras.onAbort);
    extras.signal = undefined;
    extras.onAbort = undefined;
  }
}
