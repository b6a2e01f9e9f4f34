import { describe, expect, test } from 'vitest';
import { CircuitBreaker, CircuitOpenError, type CircuitBreakerOptions, type CircuitState } from '@perf/batch';

const ok = (): Promise<string> => Promise.resolve('ok');
const bad = (): Promise<never> => Promise.reject(new Error('bad'));
const rejected = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'fulfilled',
    (error: unknown) => (error instanceof CircuitOpenError ? 'open' : (error as Error).message),
  );

function breaker(options: CircuitBreakerOptions = {}): {
  circuit: CircuitBreaker;
  time: { nowMs: number };
  changes: CircuitState[];
} {
  const time = { nowMs: 0 };
  const changes: CircuitState[] = [];
  const circuit = new CircuitBreaker({
    failureThreshold: 3,
    resetTimeoutMs: 1000,
    clock: { now: () => time.nowMs },
    random: () => 0,
    onStateChange: (state) => changes.push(state),
    ...options,
  });
  return { circuit, time, changes };
}

async function fail(circuit: CircuitBreaker, times: number): Promise<void> {
  for (let i = 0; i < times; i++) await rejected(circuit.execute(bad));
}

describe('opening', () => {
  test('consecutive failures open it; a success in between starts the count again', async () => {
    const { circuit } = breaker();
    await fail(circuit, 2);
    await circuit.execute(ok);
    await fail(circuit, 2);
    expect(circuit.state).toBe('closed');
    await fail(circuit, 1);
    expect(circuit.state).toBe('open');
  });

  test('while open nothing is called, and the error says when to come back and why', async () => {
    const { circuit, time } = breaker();
    await fail(circuit, 3);
    time.nowMs = 400;
    let called = false;
    const error: unknown = await circuit
      .execute(async () => {
        called = true;
      })
      .catch((reason: unknown) => reason);
    expect(called).toBe(false);
    expect(error).toMatchObject({
      code: 'ERR_PERF_BATCH_CIRCUIT_OPEN',
      retryAfterMs: 600,
      cause: new Error('bad'),
    });
    expect(circuit.stats()).toMatchObject({ rejections: 1, failures: 3, retryAfterMs: 600 });
  });

  test('a failure rate over the window opens it once there are enough calls', async () => {
    const { circuit } = breaker({
      failureThreshold: 1000,
      failureRate: 0.5,
      windowCalls: 10,
      minimumCalls: 6,
    });
    for (let i = 0; i < 2; i++) {
      await fail(circuit, 1);
      await circuit.execute(ok);
    }
    expect(circuit.state).toBe('closed');
    await circuit.execute(ok);
    await fail(circuit, 1);
    expect(circuit.state).toBe('open');
  });

  test('the window forgets: old failures do not count', async () => {
    const { circuit } = breaker({
      failureThreshold: 1000,
      failureRate: 0.5,
      windowCalls: 4,
      minimumCalls: 4,
    });
    await circuit.execute(ok);
    await fail(circuit, 1);
    for (let i = 0; i < 4; i++) await circuit.execute(ok);
    await fail(circuit, 1);
    expect(circuit.state).toBe('closed');
    await fail(circuit, 1);
    expect(circuit.state).toBe('open');
  });

  test('slow calls open it', async () => {
    const { circuit, time } = breaker({
      slowCallMs: 100,
      slowCallRate: 0.5,
      windowCalls: 4,
      minimumCalls: 4,
    });
    for (let i = 0; i < 4; i++) {
      await circuit.execute(async () => {
        time.nowMs += i % 2 === 0 ? 50 : 150;
      });
    }
    expect(circuit.state).toBe('open');
    expect(circuit.stats().slowCalls).toBe(2);
  });

  test('a synchronous throw is a failure and comes as a rejection', async () => {
    const { circuit } = breaker({ failureThreshold: 1 });
    const thrown = circuit.execute(() => {
      throw new Error('sync');
    });
    expect(await rejected(thrown)).toBe('sync');
    expect(circuit.state).toBe('open');
  });

  test('errors that are answers do not count', async () => {
    const { circuit } = breaker({ isFailure: (error) => (error as Error).message !== 'not found' });
    for (let i = 0; i < 10; i++)
      await rejected(circuit.execute(() => Promise.reject(new Error('not found'))));
    expect(circuit.state).toBe('closed');
  });
});

describe('half-open', () => {
  test('lets at most halfOpenProbes calls through, and closes after successThreshold successes', async () => {
    const { circuit, time, changes } = breaker({ halfOpenProbes: 2, successThreshold: 2 });
    await fail(circuit, 3);
    time.nowMs = 1000;
    const probes = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const calls = probes.map(({ promise }) => circuit.execute(() => promise));
    expect(circuit.state).toBe('half-open');
    expect(await rejected(circuit.execute(ok))).toBe('open');
    for (const { resolve } of probes) resolve();
    await Promise.all(calls);
    expect(circuit.state).toBe('closed');
    expect(changes).toEqual(['open', 'half-open', 'closed']);
  });

  test('one failure opens it again, for twice as long, up to the maximum', async () => {
    const { circuit, time } = breaker({ maxResetTimeoutMs: 3000 });
    await fail(circuit, 3);
    const waits: number[] = [];
    for (let trial = 0; trial < 4; trial++) {
      waits.push(circuit.stats().retryAfterMs);
      time.nowMs += circuit.stats().retryAfterMs;
      await fail(circuit, 1);
    }
    expect(waits).toEqual([1000, 2000, 3000, 3000]);
    time.nowMs += 3000;
    await circuit.execute(ok);
    await fail(circuit, 3);
    expect(circuit.stats().retryAfterMs).toBe(1000);
  });

  test('jitter only lengthens an open time', async () => {
    const { circuit } = breaker({ random: () => 0.999 });
    await fail(circuit, 3);
    expect(circuit.stats().retryAfterMs).toBeGreaterThan(1000);
    expect(circuit.stats().retryAfterMs).toBeLessThan(1100);
  });

  test('a probe that never ends counts as a failure after probeTimeoutMs', async () => {
    const { circuit, time } = breaker({ probeTimeoutMs: 500 });
    await fail(circuit, 3);
    time.nowMs = 1000;
    void circuit.execute(() => new Promise(() => undefined));
    time.nowMs = 1499;
    expect(await rejected(circuit.execute(ok))).toBe('open');
    expect(circuit.state).toBe('half-open');
    time.nowMs = 1500;
    expect(await rejected(circuit.execute(ok))).toBe('open');
    expect(circuit.state).toBe('open');
    time.nowMs = 1500 + 2000;
    expect(await circuit.execute(ok)).toBe('ok');
    expect(circuit.state).toBe('closed');
  });

  test('calls that began before tell nothing about now', async () => {
    const { circuit, time } = breaker();
    const old = Promise.withResolvers<void>();
    const late = circuit.execute(() => old.promise);
    await fail(circuit, 3);
    time.nowMs = 1000;
    const probe = Promise.withResolvers<void>();
    const probing = circuit.execute(() => probe.promise);
    old.reject(new Error('late'));
    expect(await rejected(late)).toBe('late');
    expect(circuit.state).toBe('half-open');
    probe.resolve();
    await probing;
    expect(circuit.state).toBe('closed');
  });

  test('an aborted probe gives its place back and decides nothing', async () => {
    const { circuit, time } = breaker();
    await fail(circuit, 3);
    time.nowMs = 1000;
    const stop = new AbortController();
    const probe = circuit.execute(
      (signal) =>
        new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error))),
      { signal: stop.signal },
    );
    stop.abort(new Error('enough'));
    expect(await rejected(probe)).toBe('enough');
    expect(circuit.state).toBe('half-open');
    expect(await circuit.execute(ok)).toBe('ok');
    expect(circuit.state).toBe('closed');
  });

  test('a signal that is aborted already rejects with its reason and calls nothing', async () => {
    const { circuit } = breaker();
    const signal = AbortSignal.abort(new Error('before'));
    expect(await rejected(circuit.execute(ok, { signal }))).toBe('before');
    expect(circuit.stats().calls).toBe(0);
  });
});

test('a million random events: never more probes than allowed, never stuck, always the state the rules say', async () => {
  const probes = 3;
  const threshold = 4;
  const probeTimeoutMs = 5_000;
  // A small xorshift, so that the events are the same everywhere.
  let seed = 0x9e3779b9;
  const random = (): number => {
    seed ^= seed << 13;
    seed ^= seed >>> 17;
    seed ^= seed << 5;
    return (seed >>> 0) / 2 ** 32;
  };
  const { circuit, time } = breaker({
    failureThreshold: threshold,
    halfOpenProbes: probes,
    successThreshold: 2,
    maxResetTimeoutMs: 8_000,
    probeTimeoutMs,
  });
  interface Call {
    readonly settle: (fails: boolean) => void;
    readonly probe: boolean;
    readonly opened: number;
  }
  const calls: Call[] = [];
  const transitions = new Set<string>();
  let openFor = 0;
  let events = 0;
  let healthy = 0.5;
  while (events < 1_000_000) {
    // Many events between two turns of the microtask queue, as in a busy program.
    for (let burst = 0; burst < 50; burst++, events++) {
      const before = circuit.state;
      const what = random();
      if (what < 0.45) {
        const gate = Promise.withResolvers<void>();
        let called = false;
        circuit
          .execute(() => {
            called = true;
            return gate.promise;
          })
          .catch(() => undefined);
        const probe = circuit.state === 'half-open' && called;
        if (called) {
          const settle = (fails: boolean): void => (fails ? gate.reject(new Error('x')) : gate.resolve());
          calls.push({ settle, probe, opened: circuit.stats().opened });
        }
        const stats = circuit.stats();
        if (before === 'open' && called && stats.state !== 'half-open')
          throw new Error('an open circuit called');
        if (stats.probesUnderWay > probes)
          throw new Error(`${stats.probesUnderWay} probes at event ${events}`);
        if (stats.state === 'closed' && !called)
          throw new Error(`a closed circuit rejected at event ${events}`);
        openFor = stats.state === 'open' ? openFor : 0;
      } else if (what < 0.9) {
        const index = Math.floor(random() * calls.length);
        const [call] = calls.splice(index, 1);
        call?.settle(random() > healthy);
      } else {
        time.nowMs += random() * 400;
        if (random() < 0.01) healthy = random();
      }
      if (before !== circuit.state) transitions.add(`${before} > ${circuit.state}`);
    }
    const before = circuit.state;
    await Promise.resolve();
    await Promise.resolve();
    await Promise.resolve();
    if (before !== circuit.state) transitions.add(`${before} > ${circuit.state}`);
  }
  expect([...transitions].sort((a, b) => a.localeCompare(b))).toEqual([
    'closed > open',
    'half-open > closed',
    'half-open > open',
    'open > half-open',
  ]);
  // Not stuck: from wherever it is, waiting and succeeding closes it, with every other call still hanging.
  for (let i = 0; i < 5 && circuit.state !== 'closed'; i++) {
    time.nowMs += 10_000;
    await rejected(circuit.execute(ok));
    await rejected(circuit.execute(ok));
  }
  expect(circuit.state).toBe('closed');
});

test.each([
  [{ failureThreshold: 0 }, 'failureThreshold'],
  [{ failureRate: 0 }, 'failureRate'],
  [{ failureRate: 1.1 }, 'failureRate'],
  [{ halfOpenProbes: 0 }, 'halfOpenProbes'],
  [{ resetTimeoutMs: 10, maxResetTimeoutMs: 5 }, 'maxResetTimeoutMs'],
  [{ windowCalls: 10, minimumCalls: 11 }, 'minimumCalls'],
  [{ slowCallMs: Number.NaN }, 'slowCallMs'],
])('an option out of range names itself: %j', (options, name) => {
  expect(() => new CircuitBreaker(options)).toThrow(name);
});
