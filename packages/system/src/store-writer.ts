// The way every write of the system takes: accepted into a bounded queue, grouped, applied in one SQLite transaction a
// group. A write that the database refuses does not take its neighbours with it: the group is rolled back and its writes
// are applied one by one, so that only the faulty ones fail.
//
// Who is told of a failure: in `sync` mode the caller, whose promise rejects, and nothing is tried again. Otherwise the
// caller has been told "accepted" already, so the write is kept and every flush tries it again and says that it failed.
import { Batcher } from '@perf/batch';
import type { BatcherStats, ItemResult } from '@perf/batch';
import type { Database } from '@perf/sqlite';
import { SystemError } from './errors.ts';

/** One change of the store. */
export interface StoreWrite {
  /** Held in the queue, for the byte limit. */
  readonly sizeBytes: number;
  /** What it changes, for readers who must know whether all of that got through. */
  readonly subject?: string;
  /** Runs inside a transaction, perhaps more than once; must be synchronous. */
  apply(): void;
  /** Called once, after the transaction is committed; must not throw. */
  committed?(): void;
  /** Called once when an accepted write is given up because too many failed; must not throw. */
  dropped?(): void;
}

export interface StoreWriterOptions {
  readonly db: Database;
  /** Each write waits for its own commit. */
  readonly sync: boolean;
  readonly maxQueuedBytes: number;
  readonly lingerMs: number;
  /** Told of each committed write: how long it took from being offered to being committed. Must not throw. */
  onCommit?(durationMs: number): void;
  /** Told when writes begin to fail, and again for every one that is dropped. Must not throw. */
  onFailure(error: unknown): void;
}

interface Queued {
  readonly write: StoreWrite;
  /** When it was offered, by `performance.now()`. */
  readonly sinceMs: number;
}

export interface StoreWriterStats extends BatcherStats {
  /** Kept for the next flush. */
  readonly failedWrites: number;
  /** Given up since the store was opened. */
  readonly droppedWrites: number;
}

/** Writes of a transaction at most. */
const MAX_WRITES = 1000;
/** How long a transaction may hold up the event loop; groups shrink and grow to fit. */
const TARGET_TRANSACTION_MS = 8;
/** Failed writes kept for another try, at most; their bytes are bounded by `maxQueuedBytes`. */
const MAX_FAILED = 10_000;

export class StoreWriter {
  readonly #batcher: Batcher<Queued>;
  readonly #sync: boolean;
  readonly #maxBytes: number;
  readonly #onFailure: (error: unknown) => void;
  #failed: Queued[] = [];
  #failedBytes = 0;
  #lastError: unknown;
  /** Writes fail since the last flush that left none behind; told once. */
  #failing = false;
  #dropped = 0;
  #droppedUntold = 0;

  constructor({ db, sync, maxQueuedBytes, lingerMs, onCommit, onFailure }: StoreWriterOptions) {
    this.#sync = sync;
    this.#maxBytes = maxQueuedBytes;
    this.#onFailure = onFailure;
    const transaction = db.transaction((group: readonly Queued[]) => {
      for (const { write } of group) write.apply();
    });
    const apply = (group: readonly Queued[]): void => {
      transaction.immediate(group);
      const nowMs = performance.now();
      for (const { write, sinceMs } of group) {
        write.committed?.();
        onCommit?.(nowMs - sinceMs);
      }
    };
    this.#batcher = new Batcher<Queued>({
      maxItems: MAX_WRITES,
      targetBatchMs: TARGET_TRANSACTION_MS,
      lingerMs: sync ? 0 : lingerMs,
      capacity: { bytes: maxQueuedBytes },
      // A write larger than the whole queue waits until it is empty, and then goes alone.
      sizeOf: ({ write }) => Math.min(write.sizeBytes, maxQueuedBytes),
      overflow: 'wait',
      process: (group) => applyGroup(apply, group),
      deadLetter: (queued, error) => {
        if (this.#sync) this.#onFailure(error);
        else this.#keep(queued, error);
      },
    });
  }

  /**
   * Resolves when the write is in the queue, or with `durability: 'sync'` when it is committed.
   * @throws {SystemError} ERR_PERF_SYSTEM_QUEUE_FULL, ERR_PERF_SYSTEM_CLOSED; in sync mode also
   *   ERR_PERF_SYSTEM_WRITE_FAILED. Nothing was stored then and nothing will be.
   */
  async write(write: StoreWrite): Promise<void> {
    const ticket = this.#batcher.add({ write, sinceMs: performance.now() });
    try {
      await (this.#sync ? ticket.result : ticket.accepted);
    } catch (cause) {
      throw refusal(cause);
    }
  }

  /**
   * Resolves when everything accepted before is committed.
   * @throws {SystemError} ERR_PERF_SYSTEM_WRITE_FAILED when some of it could not be; what is kept is tried again by the next
   *   flush.
   */
  async flush(): Promise<void> {
    const again = this.#failed;
    this.#failed = [];
    this.#failedBytes = 0;
    // All are added before anything is awaited, so that a flush that comes meanwhile waits for them too.
    const accepted = again.map((queued) =>
      this.#batcher.add(queued).accepted.catch((error: unknown) => this.#keep(queued, error)),
    );
    await this.#batcher.flush();
    await Promise.all(accepted);
    const dropped = this.#droppedUntold;
    this.#droppedUntold = 0;
    this.#failing = this.#failed.length > 0;
    if (this.#failing || dropped > 0) {
      const message = `${this.#failed.length} writes failed and are kept for the next flush, ${dropped} were dropped`;
      throw new SystemError('ERR_PERF_SYSTEM_WRITE_FAILED', message, { cause: this.#lastError });
    }
  }

  /**
   * Resolves when everything accepted before has been tried.
   * @throws {SystemError} ERR_PERF_SYSTEM_WRITE_FAILED when a write of the subject is among the failed ones.
   */
  async settle(subject?: string): Promise<void> {
    await this.#batcher.flush();
    if (subject === undefined || !this.#failed.some(({ write }) => write.subject === subject)) return;
    const message = `not all of ${subject} could be written`;
    throw new SystemError('ERR_PERF_SYSTEM_WRITE_FAILED', message, { cause: this.#lastError });
  }

  stats(): StoreWriterStats {
    return { ...this.#batcher.stats(), failedWrites: this.#failed.length, droppedWrites: this.#dropped };
  }

  /** Commits what is queued, then refuses further writes. @throws as `flush`; it is closed all the same. */
  async close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      await this.#batcher.close();
    }
  }

  #keep(queued: Queued, error: unknown): void {
    const { write } = queued;
    this.#lastError = error;
    const fits = this.#failedBytes + write.sizeBytes <= this.#maxBytes || this.#failed.length === 0;
    if (this.#failed.length < MAX_FAILED && fits) {
      this.#failed.push(queued);
      this.#failedBytes += write.sizeBytes;
      if (!this.#failing) this.#onFailure(error);
      this.#failing = true;
      return;
    }
    this.#dropped += 1;
    this.#droppedUntold += 1;
    write.dropped?.();
    this.#onFailure(error);
  }
}

/** All in one transaction; when that fails, each in its own. */
function applyGroup(
  apply: (group: readonly Queued[]) => void,
  group: readonly Queued[],
): ItemResult<void>[] | undefined {
  try {
    apply(group);
    return undefined;
  } catch (error) {
    // Another process holds the lock: waiting for it once more for every write would hold up the event loop.
    if (group.length === 1 || isLocked(error)) throw error;
  }
  let locked: { readonly error: unknown } | undefined;
  return group.map((queued): ItemResult<void> => {
    if (locked) return { ok: false, error: locked.error };
    try {
      apply([queued]);
      return { ok: true, value: undefined };
    } catch (error) {
      if (isLocked(error)) locked = { error };
      return { ok: false, error };
    }
  });
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

const isLocked = (error: unknown): boolean => /^SQLITE_(BUSY|LOCKED)/.test(codeOf(error));

/** What the caller of `write` is told, in the system's own codes. */
function refusal(cause: unknown): SystemError {
  switch (codeOf(cause)) {
    case 'ERR_PERF_BATCH_FULL':
      return new SystemError('ERR_PERF_SYSTEM_QUEUE_FULL', 'too many writes are waiting', { cause });
    case 'ERR_PERF_BATCH_CLOSED':
      return new SystemError('ERR_PERF_SYSTEM_CLOSED', 'the system is shut down', { cause });
    default:
      return new SystemError('ERR_PERF_SYSTEM_WRITE_FAILED', 'the write could not be committed', { cause });
  }
}
