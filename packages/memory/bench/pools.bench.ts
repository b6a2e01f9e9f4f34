// Pools and the ring against what they replace: plain allocation and an array as a queue.
import type { BenchCase } from '@perf/bench';
import { ratioCase } from '@perf/bench';
import { BufferPool, ObjectPool, RingBuffer } from '@perf/memory';

const ROUNDS = 20_000;
const BUFFER_ROUNDS = 500;
const BUFFER_BYTES = 256 * 1024;
const OBJECT_VALUES = 512;

interface Scratch {
  readonly values: Float64Array;
  readonly names: string[];
}

function newScratch(): Scratch {
  return { values: new Float64Array(OBJECT_VALUES), names: [] };
}

/** Touches an object as a user would; the sum keeps the work from being optimised away. */
function work({ values, names }: Scratch, round: number): number {
  values[round % OBJECT_VALUES] = round;
  names.push('a');
  return (values[round % OBJECT_VALUES] ?? 0) + names.length;
}

function expectSum(sum: number): void {
  if (sum !== (ROUNDS * (ROUNDS - 1)) / 2 + ROUNDS) throw new Error(`the sum is ${sum}`);
}

function touched(buffer: Uint8Array, round: number): number {
  buffer[round] = 7;
  return (buffer[round] ?? 0) + buffer.length;
}

export const cases: BenchCase[] = [
  ratioCase({
    name: 'object-pool',
    about: 'Taking, using and giving back an object with a 4 KiB array, against making a new one each time.',
    setup: () => ROUNDS,
    operations: (rounds) => rounds,
    contenders: [
      {
        name: 'ObjectPool',
        ours: true,
        prepare: () => new ObjectPool({ create: newScratch, reset: ({ names }) => void (names.length = 0) }),
        run(pool: ObjectPool<Scratch>, rounds): number {
          let sum = 0;
          for (let i = 0; i < rounds; i++) {
            const scratch = pool.acquire();
            sum += work(scratch, i);
            pool.release(scratch);
          }
          return sum;
        },
      },
      {
        name: 'new object',
        prepare: () => undefined,
        run(_state: undefined, rounds): number {
          let sum = 0;
          for (let i = 0; i < rounds; i++) sum += work(newScratch(), i);
          return sum;
        },
      },
    ],
    validate: expectSum,
  }),
  ratioCase({
    name: 'buffer-pool',
    about: 'Taking and giving back a buffer of 256 KiB, zeroed, against allocating one each time.',
    setup: () => BUFFER_ROUNDS,
    operations: (rounds) => rounds,
    contenders: [
      {
        name: 'BufferPool',
        ours: true,
        prepare: () => new BufferPool(),
        run(pool: BufferPool, rounds): number {
          let sum = 0;
          for (let i = 0; i < rounds; i++) {
            const lease = pool.acquire(BUFFER_BYTES);
            sum += touched(lease.buffer, i);
            lease.release();
          }
          return sum;
        },
      },
      {
        name: 'Buffer.alloc',
        prepare: () => undefined,
        run(_state: undefined, rounds): number {
          let sum = 0;
          for (let i = 0; i < rounds; i++) sum += touched(Buffer.alloc(BUFFER_BYTES), i);
          return sum;
        },
      },
      {
        name: 'Buffer.allocUnsafe',
        prepare: () => undefined,
        run(_state: undefined, rounds): number {
          let sum = 0;
          for (let i = 0; i < rounds; i++) sum += touched(Buffer.allocUnsafe(BUFFER_BYTES), i);
          return sum;
        },
      },
    ],
    validate(sum, rounds) {
      if (sum !== rounds * (BUFFER_BYTES + 7)) throw new Error(`the sum is ${sum}`);
    },
  }),
  ratioCase({
    name: 'ring-buffer',
    about: 'The last 1000 of 20,000 items: a full ring, against an array with push and shift.',
    setup: () => ROUNDS,
    operations: (rounds) => rounds,
    contenders: [
      {
        name: 'RingBuffer',
        ours: true,
        prepare: () => new RingBuffer<number>(1000),
        run(ring: RingBuffer<number>, rounds): number {
          ring.clear();
          for (let i = 0; i < rounds; i++) ring.push(i);
          return ring.at(0) ?? -1;
        },
      },
      {
        name: 'Array push and shift',
        prepare: () => undefined,
        run(_state: undefined, rounds): number {
          const items: number[] = [];
          for (let i = 0; i < rounds; i++) {
            items.push(i);
            if (items.length > 1000) items.shift();
          }
          return items[0] ?? -1;
        },
      },
    ],
    validate(oldest, rounds) {
      if (oldest !== rounds - 1000) throw new Error(`the oldest item is ${oldest}`);
    },
  }),
];
