// Buffers in classes of powers of two. Allocating a large Buffer means zeroing it and, sooner or later, a collection of
// external memory; a pooled one costs neither. Idle memory is bounded; what exceeds the bound is left to the collector.
import { MemoryError } from './errors.ts';
import { checkedCount } from './option-checks.ts';

/** A buffer lent by a {@link BufferPool}. After release its bytes belong to somebody else. */
export interface Lease extends Disposable {
  /**
   * Exactly as many bytes as asked for.
   * @throws {MemoryError} ERR_PERF_MEMORY_RELEASED after release.
   */
  readonly buffer: Uint8Array;
  /** @throws {MemoryError} ERR_PERF_MEMORY_RELEASED when it was released before. */
  release(): void;
}

export interface BufferPoolOptions {
  /** Bytes kept for reuse. Default 64 MiB. */
  readonly maxIdleBytes?: number;
  /** Larger requests are served but not kept. Default 16 MiB. */
  readonly maxBufferBytes?: number;
  /** Zero a reused buffer before it is lent, so that nobody reads what another wrote. Default true. */
  readonly zeroFill?: boolean;
}

export interface BufferPoolStats {
  readonly idleBytes: number;
  readonly leasedBytes: number;
  readonly leases: number;
  /** Leases served from idle buffers. */
  readonly reused: number;
  /** Leases that needed a new buffer. */
  readonly allocated: number;
}

const DEFAULT_MAX_IDLE_BYTES = 64 * 1024 * 1024;
const DEFAULT_MAX_BUFFER_BYTES = 16 * 1024 * 1024;
/** Smaller requests take a buffer of this size; below it, allocation is cheap enough. */
const SMALLEST_CLASS_BYTES = 1024;

export class BufferPool {
  readonly #maxIdleBytes: number;
  readonly #maxBufferBytes: number;
  readonly #zeroFill: boolean;
  /** Idle buffers by class: index n holds those of 2^n bytes. */
  readonly #classes: Uint8Array[][] = Array.from({ length: 31 }, () => []);
  #idleBytes = 0;
  #leasedBytes = 0;
  #leases = 0;
  #reused = 0;
  #allocated = 0;

  constructor(options: BufferPoolOptions = {}) {
    this.#maxIdleBytes = checkedCount('maxIdleBytes', options.maxIdleBytes ?? DEFAULT_MAX_IDLE_BYTES, 0);
    this.#maxBufferBytes = checkedCount('maxBufferBytes', options.maxBufferBytes ?? DEFAULT_MAX_BUFFER_BYTES);
    if (this.#maxBufferBytes > 2 ** 30) throw new RangeError('maxBufferBytes must be at most 1 GiB');
    const { zeroFill = true } = options;
    if (typeof zeroFill !== 'boolean') throw new TypeError('zeroFill must be a boolean');
    this.#zeroFill = zeroFill;
  }

  /** Lends a buffer of `bytes` bytes. */
  acquire(bytes: number): Lease {
    checkedCount('bytes', bytes, 0);
    const poolable = bytes <= this.#maxBufferBytes;
    const sizeBytes = poolable ? classOf(bytes) : bytes;
    const idle = poolable ? this.#classes[Math.log2(sizeBytes)]?.pop() : undefined;
    const whole = idle ?? new Uint8Array(sizeBytes);
    if (idle === undefined) {
      this.#allocated++;
    } else {
      this.#reused++;
      this.#idleBytes -= sizeBytes;
      if (this.#zeroFill) idle.fill(0, 0, bytes);
    }
    this.#leases++;
    this.#leasedBytes += sizeBytes;
    return new LentBuffer(whole.subarray(0, bytes), () => {
      this.#leases--;
      this.#leasedBytes -= sizeBytes;
      if (poolable) this.#keep(whole);
    });
  }

  /** Shrinks the idle memory to at most `targetBytes`, the largest buffers first; returns the bytes given up. */
  trim(targetBytes = 0): number {
    checkedCount('targetBytes', targetBytes, 0);
    const before = this.#idleBytes;
    for (let n = this.#classes.length - 1; n >= 0; n--) {
      const idle = this.#classes[n];
      while (this.#idleBytes > targetBytes && idle?.pop() !== undefined) this.#idleBytes -= 2 ** n;
    }
    return before - this.#idleBytes;
  }

  stats(): BufferPoolStats {
    return {
      idleBytes: this.#idleBytes,
      leasedBytes: this.#leasedBytes,
      leases: this.#leases,
      reused: this.#reused,
      allocated: this.#allocated,
    };
  }

  #keep(whole: Uint8Array): void {
    if (this.#idleBytes + whole.length > this.#maxIdleBytes) return;
    this.#idleBytes += whole.length;
    this.#classes[Math.log2(whole.length)]?.push(whole);
  }
}

function classOf(bytes: number): number {
  const atLeast = Math.max(bytes, SMALLEST_CLASS_BYTES);
  return 2 ** (32 - Math.clz32(atLeast - 1));
}

class LentBuffer implements Lease {
  #buffer: Uint8Array | undefined;
  readonly #giveBack: () => void;

  constructor(buffer: Uint8Array, giveBack: () => void) {
    this.#buffer = buffer;
    this.#giveBack = giveBack;
  }

  get buffer(): Uint8Array {
    if (this.#buffer === undefined) throw released();
    return this.#buffer;
  }

  release(): void {
    if (this.#buffer === undefined) throw released();
    this.#buffer = undefined;
    this.#giveBack();
  }

  [Symbol.dispose](): void {
    if (this.#buffer !== undefined) this.release();
  }
}

function released(): MemoryError {
  return new MemoryError('ERR_PERF_MEMORY_RELEASED', 'the buffer was released before');
}
