// Objects that are costly to make, kept for reuse: a stack, so that the one used last, and warm in the CPU's caches, is
// handed out first. Borrowed objects are not tracked: one that is never given back is simply collected.
import { MemoryError } from './errors.ts';
import { checkedCount, checkedFunction } from './option-checks.ts';

export interface ObjectPoolOptions<T extends object> {
  create(): T;
  /** Makes a returned object as good as new, before it is kept. */
  reset?(object: T): void;
  /** Called for an object that is not kept. */
  destroy?(object: T): void;
  /** Objects kept for reuse. Default 256. */
  readonly maxIdle?: number;
}

export interface ObjectPoolStats {
  readonly idle: number;
  readonly created: number;
  readonly reused: number;
  readonly destroyed: number;
}

const DEFAULT_MAX_IDLE = 256;

export class ObjectPool<T extends object> {
  readonly #options: ObjectPoolOptions<T>;
  readonly #maxIdle: number;
  readonly #idle: T[] = [];
  /** The same objects as `#idle`, to find a second release. */
  readonly #idleSet = new Set<T>();
  #created = 0;
  #reused = 0;
  #destroyed = 0;

  constructor(options: ObjectPoolOptions<T>) {
    checkedFunction('create', options?.create);
    if (options.reset !== undefined) checkedFunction('reset', options.reset);
    if (options.destroy !== undefined) checkedFunction('destroy', options.destroy);
    this.#maxIdle = checkedCount('maxIdle', options.maxIdle ?? DEFAULT_MAX_IDLE, 0);
    this.#options = options;
  }

  /** An idle object, or a new one. */
  acquire(): T {
    const object = this.#idle.pop();
    if (object !== undefined) {
      this.#idleSet.delete(object);
      this.#reused++;
      return object;
    }
    const fresh = this.#options.create();
    this.#created++;
    return fresh;
  }

  /** @throws {MemoryError} ERR_PERF_MEMORY_RELEASED when the object is in the pool already. */
  release(object: T): void {
    if (this.#idleSet.has(object)) {
      throw new MemoryError('ERR_PERF_MEMORY_RELEASED', 'the object is in the pool already');
    }
    if (this.#idle.length >= this.#maxIdle) {
      this.#destroyed++;
      this.#options.destroy?.(object);
      return;
    }
    this.#options.reset?.(object);
    this.#idle.push(object);
    this.#idleSet.add(object);
  }

  /** Lends an object to `fn` and takes it back, also when `fn` fails. */
  async use<R>(fn: (object: T) => R | Promise<R>): Promise<R> {
    const object = this.acquire();
    try {
      return await fn(object);
    } finally {
      this.release(object);
    }
  }

  /** Keeps at most `maxIdle` idle objects; returns how many went. */
  trim(maxIdle = 0): number {
    checkedCount('maxIdle', maxIdle, 0);
    const gone = this.#idle.splice(maxIdle);
    for (const object of gone) {
      this.#idleSet.delete(object);
      this.#destroyed++;
      this.#options.destroy?.(object);
    }
    return gone.length;
  }

  stats(): ObjectPoolStats {
    return {
      idle: this.#idle.length,
      created: this.#created,
      reused: this.#reused,
      destroyed: this.#destroyed,
    };
  }
}
