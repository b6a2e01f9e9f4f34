import { BufferPool, ObjectPool, RingBuffer } from '@perf/memory';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

const releasedTwice = expect.objectContaining({ code: 'ERR_PERF_MEMORY_RELEASED' });

describe('ObjectPool', () => {
  test('hands out the object released last, reset', () => {
    const pool = new ObjectPool({ create: () => [] as number[], reset: (list) => void (list.length = 0) });
    const a = pool.acquire();
    const b = pool.acquire();
    a.push(1);
    pool.release(b);
    pool.release(a);
    expect(pool.acquire()).toBe(a);
    expect(a).toStrictEqual([]);
    expect(pool.acquire()).toBe(b);
    expect(pool.stats()).toStrictEqual({ idle: 0, created: 2, reused: 2, destroyed: 0 });
  });

  test('refuses an object that is in the pool already', () => {
    const pool = new ObjectPool({ create: () => ({}) });
    const object = pool.acquire();
    pool.release(object);
    expect(() => pool.release(object)).toThrow(releasedTwice);
    expect(pool.acquire()).not.toBe(pool.acquire());
  });

  test('destroys what exceeds maxIdle and what is trimmed', () => {
    const gone: object[] = [];
    const pool = new ObjectPool({
      create: () => ({}),
      destroy: (object) => void gone.push(object),
      maxIdle: 2,
    });
    const objects = [pool.acquire(), pool.acquire(), pool.acquire()];
    for (const object of objects) pool.release(object);
    expect(gone).toStrictEqual([objects[2]]);
    expect(pool.trim(1)).toBe(1);
    expect(pool.trim()).toBe(1);
    expect(pool.stats()).toMatchObject({ idle: 0, destroyed: 3 });
  });

  test('use takes the object back also when the function fails', async () => {
    const pool = new ObjectPool({ create: () => ({}) });
    await expect(pool.use(() => 'result')).resolves.toBe('result');
    await expect(pool.use(async () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(pool.stats()).toMatchObject({ idle: 1, created: 1, reused: 1 });
  });

  test('options are checked by name', () => {
    expect(() => new ObjectPool({ create: 1 as unknown as () => object })).toThrow(/create/);
    expect(() => new ObjectPool({ create: () => ({}), maxIdle: -1 })).toThrow(/maxIdle/);
    expect(() => new ObjectPool({ create: () => ({}), reset: 1 as unknown as () => void })).toThrow(/reset/);
  });
});

describe('BufferPool', () => {
  test('lends exactly the bytes asked for, zeroed, and reuses the memory', () => {
    const pool = new BufferPool();
    const first = pool.acquire(5000);
    const memory = first.buffer.buffer;
    expect(first.buffer.length).toBe(5000);
    first.buffer.fill(7);
    first.release();
    const second = pool.acquire(4097);
    expect(second.buffer.buffer).toBe(memory);
    expect(second.buffer.length).toBe(4097);
    expect(second.buffer.every((byte) => byte === 0)).toBe(true);
    expect(pool.stats()).toStrictEqual({
      idleBytes: 0,
      leasedBytes: 8192,
      leases: 1,
      reused: 1,
      allocated: 1,
    });
  });

  test('leaves old bytes in place only when told to', () => {
    const pool = new BufferPool({ zeroFill: false });
    const first = pool.acquire(2000);
    first.buffer.fill(7);
    first.release();
    expect(pool.acquire(2000).buffer[0]).toBe(7);
  });

  test('a released lease refuses its buffer and a second release, not dispose', () => {
    const pool = new BufferPool();
    const lease = pool.acquire(10);
    lease.release();
    expect(() => lease.buffer).toThrow(releasedTwice);
    expect(() => lease.release()).toThrow(releasedTwice);
    lease[Symbol.dispose]();
    expect(pool.stats()).toMatchObject({ leases: 0, leasedBytes: 0 });
  });

  test('two leases never share memory, whatever the order of releases', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 9000 }), fc.nat()), { maxLength: 50 }),
        (steps) => {
          const pool = new BufferPool({ maxIdleBytes: 20_000, maxBufferBytes: 8192 });
          const held: ReturnType<BufferPool['acquire']>[] = [];
          for (const [bytes, pick] of steps) {
            held.push(pool.acquire(bytes));
            if (pick % 3 === 0) held.splice(pick % held.length, 1)[0]?.release();
            const memories = held.map((lease) => lease.buffer.buffer);
            expect(new Set(memories).size).toBe(memories.length);
            expect(pool.stats().idleBytes).toBeLessThanOrEqual(20_000);
            expect(pool.stats().leases).toBe(held.length);
          }
          for (const lease of held) lease.release();
          expect(pool.stats().leasedBytes).toBe(0);
          const { idleBytes } = pool.stats();
          expect(pool.trim()).toBe(idleBytes);
          expect(pool.stats().idleBytes).toBe(0);
        },
      ),
    );
  });

  test('sizes at and around powers of two are served', () => {
    const pool = new BufferPool({ maxBufferBytes: 4096 });
    for (const bytes of [0, 1, 1023, 1024, 1025, 2048, 4096, 4097, 10_000]) {
      using lease = pool.acquire(bytes);
      expect(lease.buffer.length).toBe(bytes);
    }
    expect(() => pool.acquire(-1)).toThrow(/bytes/);
    expect(() => new BufferPool({ maxIdleBytes: -1 })).toThrow(/maxIdleBytes/);
    expect(() => new BufferPool({ maxBufferBytes: 2 ** 31 })).toThrow(/maxBufferBytes/);
    expect(() => new BufferPool({ zeroFill: 1 as unknown as boolean })).toThrow(/zeroFill/);
  });
});

type RingStep = { readonly push: number } | 'shift' | 'clear';

function apply(ring: RingBuffer<number>, step: RingStep): number | undefined {
  if (step === 'shift') return ring.shift();
  if (step !== 'clear') return ring.push(step.push);
  ring.clear();
  return undefined;
}

function applyToModel(model: number[], capacity: number, step: RingStep): number | undefined {
  if (step === 'shift') return model.shift();
  if (step === 'clear') {
    model.length = 0;
    return undefined;
  }
  return model.push(step.push) > capacity ? model.shift() : undefined;
}

describe('RingBuffer', () => {
  test('behaves like an array of the last items', () => {
    const operation: fc.Arbitrary<RingStep> = fc.oneof(
      { weight: 9, arbitrary: fc.record({ push: fc.nat(99) }) },
      { weight: 5, arbitrary: fc.constant<RingStep>('shift') },
      { weight: 1, arbitrary: fc.constant<RingStep>('clear') },
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9 }),
        fc.array(operation, { maxLength: 80 }),
        (capacity, operations) => {
          const ring = new RingBuffer<number>(capacity);
          const model: number[] = [];
          for (const step of operations) {
            expect(apply(ring, step)).toBe(applyToModel(model, capacity, step));
            expect(ring.toArray()).toStrictEqual(model);
            expect([...ring]).toStrictEqual(model);
            expect(ring.length).toBe(model.length);
            for (let i = -capacity - 1; i <= capacity; i++) expect(ring.at(i)).toBe(model.at(i));
          }
        },
      ),
    );
  });

  test('holds on to nothing it does not contain', async () => {
    const ring = new RingBuffer<object>(4);
    let object: object | undefined = { large: new Uint8Array(1000) };
    const reference = new WeakRef(object);
    ring.push(object);
    ring.shift();
    object = undefined;
    await new Promise((resolve) => setImmediate(resolve));
    (globalThis as unknown as { gc(): void }).gc();
    expect(reference.deref()).toBeUndefined();
  });

  test('capacity is checked', () => {
    expect(() => new RingBuffer(0)).toThrow(RangeError);
    expect(() => new RingBuffer(1.5)).toThrow(/capacity/);
    expect(() => new RingBuffer(2 ** 25)).toThrow(RangeError);
    expect(new RingBuffer(5).capacity).toBe(5);
  });
});
