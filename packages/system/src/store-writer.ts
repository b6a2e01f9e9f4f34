// The way every write of the system takes: accepted into a bounded queue, grouped, applied in one SQLite transaction a
// group. A write that the database refuses does not take its neighbours with it: the group is rolled back and its writes
// are applied one by one, so that only the faulty ones fail. Failed writes are kept and tried again by the next flush.
import { Batcher } from '@perf/batch';
import type { BatcherStats } from '@perf/batch';
import type { Database } from '@perf/sqlite';
import { SystemError } from './errors.ts';

/** One change of the store. */
export interface StoreWrite {
  /** Held in the queue, for the byte limit. */
  readonly sizeBytes: number;
  /** Runs inside a transaction, perhaps more than once; must be synchronous. */
  apply(): void;
  /** Called once, after the transaction is committed. */
  committed?(): void;
}

export interface StoreWriterOptions {
  readonly db: Database;
  /** Each write waits for its own commit. */
  readonly sync: boolean;
  readonly maxQueuedBytes: number;
  readonly lingerMs: number;
  /** Told of each write that failed. */
  onFailure(error: unknown): void;
}

/** Writes of a transaction at most. */
const MAX_WRITES = 1000;
/** How long a transaction may hold up the event loop; groups shrink and grow to fit. */
const TARGET_TRANSACTION_MS = 8;
/** Failed writes kept for another try, at most. */
const MAX_FAILED = 10_000;

export class StoreWriter {
  readonly #batcher: Batcher<StoreWrite>;
  readonly #sync: boolean;
  readonly #onFailure: (error: unknown) => void;
  #failed: StoreWrite[] = [];
  #lastError: unknown;
  #dropped = 0;

  constructor({ db, sync, maxQueuedBytes, lingerMs, onFailure }: StoreWriterOptions) {
    this.#sync = sync;
    this.#onFailure = onFailure;
    const together = db.transaction((writes: readonly StoreWrite[]) => {
      for (const write of writes) write.apply();
    });
    const commit = (writes: readonly StoreWrite[]): void => {
      together.immediate(writes);
      for (const write of writes) write.committed?.();
    };
    this.#batcher = new Batcher<StoreWrite>({
      maxItems: MAX_WRITES,
      targetBatchMs: TARGET_TRANSACTION_MS,
      lingerMs: sync ? 0 : lingerMs,
      capacity: { bytes: maxQueuedBytes },
      sizeOf: (write) => write.sizeBytes,
      overflow: 'wait',
      process: (writes) => {
        try {
          commit(writes);
          return undefined;
        } catch (error) {
          if (writes.length === 1) throw error;
          return writes.map((write) => {
            try {
              commit([write]);
              return { ok: true as const, value: undefined };
            } catch (reason) {
              return { ok: false as const, error: reason };
            }
          });
        }
      },
      deadLetter: (write, error) => this.#keep(write, error),
    });
  }

  /** Resolves when the write is in the queue, or with `durability: 'sync'` when it is committed. */
  async write(write: StoreWrite): Promise<void> {
    const ticket = this.#batcher.add(write);
    await (this.#sync ? ticket.result : ticket.accepted);
  }

  /**
   * Resolves when everything accepted before is committed.
   * @throws {SystemError} ERR_PERF_SYSTEM_WRITE_FAILED when some of it could not be; it is kept for the next flush.
   */
  async flush(): Promise<void> {
    const again = this.#failed;
    this.#failed = [];
    for (const write of again) {
      // A second failure is kept by `deadLetter` again; here it only must not go unhandled.
      await this.#batcher.add(write).accepted.catch((error: unknown) => this.#keep(write, error));
    }
    await this.#batcher.flush();
    if (this.#failed.length > 0 || this.#dropped > 0) {
      const message = `${this.#failed.length} writes failed and are kept for the next flush, ${this.#dropped} were dropped`;
      throw new SystemError('ERR_PERF_SYSTEM_WRITE_FAILED', message, { cause: this.#lastError });
    }
  }

  stats(): BatcherStats & { readonly failedWrites: number; readonly droppedWrites: number } {
    return { ...this.#batcher.stats(), failedWrites: this.#failed.length, droppedWrites: this.#dropped };
  }

  /** Commits what is queued, then refuses further writes. */
  async close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      await this.#batcher.close();
    }
  }

  #keep(write: StoreWrite, error: unknown): void {
    this.#lastError = error;
    if (this.#failed.length < MAX_FAILED) this.#failed.push(write);
    else this.#dropped += 1;
    this.#onFailure(error);
  }
}
