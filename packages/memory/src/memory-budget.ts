// A budget of bytes that several pools share. A reservation is granted when its pool and the total both have room;
// what has none waits. Grants are made in the order of arrival: within a pool nothing overtakes, and a reservation
// that fits its pool but not the total holds back every later one, so that large ones are not starved by small ones.
import { MemoryError } from './errors.ts';
import { checkedCount } from './option-checks.ts';

/** Bytes granted by a {@link MemoryBudget}. Disposing gives them back; so does `release`, which throws when repeated. */
export interface Reservation extends Disposable {
  readonly pool: string;
  readonly bytes: number;
  /** @throws {MemoryError} ERR_PERF_MEMORY_RELEASED when it was released before. */
  release(): void;
}

export interface ReserveOptions {
  /** Gives up waiting; rejects with `signal.reason`. */
  readonly signal?: AbortSignal;
}

export interface MemoryBudgetOptions {
  /** Reservations that may wait at a time, over all pools. Default 10000. */
  readonly maxWaiting?: number;
}

export interface PoolStats {
  readonly limitBytes: number;
  readonly usedBytes: number;
  readonly waiting: number;
}

export interface MemoryBudgetStats {
  readonly totalBytes: number;
  readonly usedBytes: number;
  readonly waiting: number;
  readonly pools: Readonly<Record<string, PoolStats>>;
}

interface Pool {
  readonly name: string;
  readonly limitBytes: number;
  usedBytes: number;
  waiting: number;
}

interface Waiter {
  readonly pool: Pool;
  readonly bytes: number;
  readonly grant: (reservation: Reservation) => void;
}

const DEFAULT_MAX_WAITING = 10_000;

export class MemoryBudget {
  readonly #totalBytes: number;
  readonly #maxWaiting: number;
  readonly #pools = new Map<string, Pool>();
  /** In the order of arrival. */
  readonly #waiters = new Set<Waiter>();
  #usedBytes = 0;

  /**
   * `shares`: the largest fraction of the total that each pool may hold, in (0, 1]. Shares may add up to more than 1:
   * then pools lend each other what is free, and the total still holds.
   */
  constructor(
    totalBytes: number,
    shares: Readonly<Record<string, number>>,
    options: MemoryBudgetOptions = {},
  ) {
    this.#totalBytes = checkedCount('totalBytes', totalBytes);
    this.#maxWaiting = checkedCount('maxWaiting', options.maxWaiting ?? DEFAULT_MAX_WAITING, 0);
    if (typeof shares !== 'object' || shares === null) throw new TypeError('shares must be an object');
    for (const [name, share] of Object.entries(shares)) {
      if (typeof share !== 'number') throw new TypeError(`shares.${name} must be a number`);
      if (!(share > 0 && share <= 1)) throw new RangeError(`shares.${name} must be in (0, 1]`);
      this.#pools.set(name, { name, limitBytes: Math.floor(totalBytes * share), usedBytes: 0, waiting: 0 });
    }
    if (this.#pools.size === 0) throw new RangeError('shares must name at least one pool');
  }

  /**
   * Resolves when the bytes are free for the pool.
   * @throws {RangeError} (as a rejection) for an unknown pool or more bytes than it may ever hold.
   * @throws {MemoryError} ERR_PERF_MEMORY_QUEUE_FULL when `maxWaiting` reservations wait already.
   */
  async reserve(pool: string, bytes: number, options: ReserveOptions = {}): Promise<Reservation> {
    const { signal } = options;
    signal?.throwIfAborted();
    const owner = this.#pools.get(pool);
    if (owner === undefined) throw new RangeError(`pool ${pool} is not one of the budget's shares`);
    checkedCount('bytes', bytes, 0);
    if (bytes > owner.limitBytes) {
      throw new RangeError(`bytes (${bytes}) is more than pool ${pool} may hold (${owner.limitBytes})`);
    }
    if (owner.waiting === 0 && !this.#totalIsContended() && this.#fits(owner, bytes))
      return this.#take(owner, bytes);
    if (this.#waiters.size >= this.#maxWaiting) {
      throw new MemoryError('ERR_PERF_MEMORY_QUEUE_FULL', `${this.#maxWaiting} reservations wait already`);
    }
    return this.#wait(owner, bytes, signal);
  }

  stats(): MemoryBudgetStats {
    const pools = [...this.#pools.values()].map(
      ({ name, limitBytes, usedBytes, waiting }) => [name, { limitBytes, usedBytes, waiting }] as const,
    );
    return {
      totalBytes: this.#totalBytes,
      usedBytes: this.#usedBytes,
      waiting: this.#waiters.size,
      pools: Object.fromEntries(pools),
    };
  }

  #fits(pool: Pool, bytes: number): boolean {
    return pool.usedBytes + bytes <= pool.limitBytes && this.#usedBytes + bytes <= this.#totalBytes;
  }

  /** Whether somebody waits for the total alone; only then may nobody pass, of whichever pool. */
  #totalIsContended(): boolean {
    const blocked = new Set<Pool>();
    for (const { pool, bytes } of this.#waiters) {
      if (!blocked.has(pool) && pool.usedBytes + bytes <= pool.limitBytes) return true;
      blocked.add(pool);
    }
    return false;
  }

  async #wait(pool: Pool, bytes: number, signal: AbortSignal | undefined): Promise<Reservation> {
    const { promise, resolve, reject } = Promise.withResolvers<Reservation>();
    const waiter: Waiter = { pool, bytes, grant: resolve };
    const onAbort = (): void => {
      if (!this.#waiters.delete(waiter)) return;
      pool.waiting--;
      reject(signal?.reason as Error);
      this.#grantWaiting();
    };
    this.#waiters.add(waiter);
    pool.waiting++;
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      return await promise;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  #take(pool: Pool, bytes: number): Reservation {
    pool.usedBytes += bytes;
    this.#usedBytes += bytes;
    return new GrantedBytes(pool.name, bytes, () => {
      pool.usedBytes -= bytes;
      this.#usedBytes -= bytes;
      this.#grantWaiting();
    });
  }

  #grantWaiting(): void {
    const blocked = new Set<Pool>();
    for (const waiter of this.#waiters) {
      const { pool, bytes } = waiter;
      if (blocked.has(pool)) continue;
      if (this.#fits(pool, bytes)) {
        this.#waiters.delete(waiter);
        pool.waiting--;
        waiter.grant(this.#take(pool, bytes));
      } else if (pool.usedBytes + bytes <= pool.limitBytes) {
        return;
      } else {
        blocked.add(pool);
        if (blocked.size === this.#pools.size) return;
      }
    }
  }
}

class GrantedBytes implements Reservation {
  readonly pool: string;
  readonly bytes: number;
  #giveBack: (() => void) | undefined;

  constructor(pool: string, bytes: number, giveBack: () => void) {
    this.pool = pool;
    this.bytes = bytes;
    this.#giveBack = giveBack;
  }

  release(): void {
    const giveBack = this.#giveBack;
    if (giveBack === undefined) {
      throw new MemoryError('ERR_PERF_MEMORY_RELEASED', 'the reservation was released before');
    }
    this.#giveBack = undefined;
    giveBack();
  }

  [Symbol.dispose](): void {
    if (this.#giveBack !== undefined) this.release();
  }
}
