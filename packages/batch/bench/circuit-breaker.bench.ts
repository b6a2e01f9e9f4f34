import { measureCase, ratioCase, type BenchCase } from '@perf/bench';
import { CircuitBreaker } from '@perf/batch';

const CALLS = 200_000;

const work = async (): Promise<number> => 1;

interface CockatielModule {
  circuitBreaker(
    policy: unknown,
    options: { halfOpenAfter: number; breaker: unknown },
  ): {
    execute(fn: () => Promise<number>): Promise<number>;
  };
  readonly handleAll: unknown;
  readonly ConsecutiveBreaker: new (threshold: number) => unknown;
}
interface OpossumModule {
  readonly default: new (fn: () => Promise<number>, options: object) => { fire(): Promise<number> };
}

type Call = () => Promise<number>;

async function callAll(call: Call, count: number): Promise<number> {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += await call();
  return sum;
}

export const cases: readonly BenchCase[] = [
  ratioCase<number, number>({
    name: 'breaker-closed',
    about: `${CALLS} calls of an async function through a closed circuit, one after the other.`,
    setup: () => CALLS,
    operations: (count) => count,
    contenders: [
      {
        name: '@perf/batch',
        ours: true,
        prepare: (): Call => {
          const circuit = new CircuitBreaker();
          return () => circuit.execute(work);
        },
        run: callAll,
      },
      { name: 'bare call', prepare: (): Call => () => work(), run: callAll },
      {
        name: 'cockatiel',
        peers: ['cockatiel'],
        prepare: async (_input, context): Promise<Call> => {
          const peer = await context.peer<CockatielModule>('cockatiel');
          const policy = peer.circuitBreaker(peer.handleAll, {
            halfOpenAfter: 1e4,
            breaker: new peer.ConsecutiveBreaker(5),
          });
          return () => policy.execute(work);
        },
        run: callAll,
      },
      {
        name: 'opossum',
        peers: ['opossum'],
        prepare: async (_input, context): Promise<Call> => {
          const { default: Opossum } = await context.peer<OpossumModule>('opossum');
          const circuit = new Opossum(work, { timeout: false });
          return () => circuit.fire();
        },
        run: callAll,
      },
    ],
    validate: (sum, count) => {
      if (sum !== count) throw new Error(`${sum} of ${count} calls`);
    },
    goals: [
      { versus: 'bare call', atLeast: 0.5 },
      { versus: 'cockatiel', atLeast: 1 },
    ],
  }),
  measureCase({
    name: 'breaker-open',
    about: 'What a rejection by an open circuit costs, the catch of the caller included.',
    measure: async () => {
      const circuit = new CircuitBreaker({ failureThreshold: 1, resetTimeoutMs: 1e9 });
      await circuit.execute(() => Promise.reject(new Error('down'))).catch(() => undefined);
      let rejected = 0;
      const round = async (): Promise<number> => {
        const startedAtMs = performance.now();
        for (let i = 0; i < CALLS; i++) {
          try {
            await circuit.execute(work);
          } catch {
            rejected++;
          }
        }
        return ((performance.now() - startedAtMs) * 1000) / CALLS;
      };
      await round();
      const microseconds = await round();
      if (rejected !== 2 * CALLS) throw new Error('an open circuit let calls through');
      return [{ name: 'rejection', value: microseconds, unit: 'us', target: { atMost: 1.5 } }];
    },
  }),
];
