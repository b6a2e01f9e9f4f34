// Something costly that is loaded when needed and unloaded when it has lain idle, such as a model or an index.
//
//   absent -> loading (one load, all callers wait for it) -> loaded, in use by n -> idle, timer runs -> unloading -> absent
//
// Invariants: never unloaded while in use; a load and an unload never overlap; a failed load is forgotten, and the next
// use tries again.
import { MemoryError } from './errors.ts';
import { checkedDelay, checkedFunction } from './option-checks.ts';

export interface IdleResourceOptions<T> {
  load(): T | Promise<T>;
  unload(resource: T): void | Promise<void>;
  /** Time without use after which it is unloaded. */
  readonly idleMs: number;
  /** Called when an unload after idling fails; there is no caller to tell. Default: a process warning. */
  readonly onError?: (error: unknown) => void;
}

export class IdleResource<T> implements AsyncDisposable {
  readonly #options: IdleResourceOptions<T>;
  readonly #onError: (error: unknown) => void;
  #loading: Promise<T> | undefined;
  #loaded = false;
  #unloading: Promise<void> = Promise.resolve();
  #users = 0;
  #timer: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;
  #whenUnused: (() => void) | undefined;

  constructor(options: IdleResourceOptions<T>) {
    checkedFunction('load', options?.load);
    checkedFunction('unload', options.unload);
    checkedDelay('idleMs', options.idleMs);
    this.#onError = checkedFunction('onError', options.onError ?? warn);
    this.#options = options;
  }

  /** Whether the resource is in memory now. */
  get loaded(): boolean {
    return this.#loaded;
  }

  /**
   * Loads the resource if need be, and keeps it for as long as `fn` runs. Rejects as `load` or `fn` does.
   * @throws {MemoryError} ERR_PERF_MEMORY_CLOSED after close.
   */
  async use<R>(fn: (resource: T) => R | Promise<R>): Promise<R> {
    if (this.#closing !== undefined)
      throw new MemoryError('ERR_PERF_MEMORY_CLOSED', 'the resource is closed');
    checkedFunction('fn', fn);
    this.#users++;
    clearTimeout(this.#timer);
    try {
      return await fn(await this.#acquire());
    } finally {
      this.#users--;
      if (this.#users === 0) this.#becomeIdle();
    }
  }

  /** Waits until nobody uses the resource, unloads it, and refuses later uses. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #acquire(): Promise<T> {
    this.#loading ??= this.#load();
    return this.#loading;
  }

  async #load(): Promise<T> {
    try {
      await this.#unloading;
      const resource = await this.#options.load();
      this.#loaded = true;
      return resource;
    } catch (error) {
      this.#loading = undefined;
      throw error;
    }
  }

  #becomeIdle(): void {
    this.#whenUnused?.();
    if (!this.#loaded || this.#closing !== undefined || this.#options.idleMs === Infinity) return;
    this.#timer = setTimeout(() => {
      // The unload goes on in `#unloading`, which the next load awaits; its failure is told here.
      this.#unload().catch(this.#onError);
    }, this.#options.idleMs).unref();
  }

  #unload(): Promise<void> {
    const loading = this.#loading;
    if (loading === undefined) return Promise.resolve();
    this.#loading = undefined;
    this.#loaded = false;
    const unloading = loading.then(async (resource) => this.#options.unload(resource));
    this.#unloading = unloading.catch(() => {});
    return unloading;
  }

  async #close(): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#users > 0) await new Promise<void>((resolve) => (this.#whenUnused = resolve));
    await this.#unload();
    await this.#unloading;
  }
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error));
}
