import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { MessageBroker, type DepthAlert } from '@perf/batch';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const settled = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await Promise.resolve();
};

test('every subscription of a topic gets every message, in order', async () => {
  const broker = new MessageBroker<string>();
  const got: string[][] = [[], []];
  for (const list of got) broker.subscribe('news', (message) => void list.push(message));
  broker.subscribe('other', () => expect.unreachable());
  for (const message of ['a', 'b', 'c']) expect(broker.publish('news', message)).toBe(2);
  expect(got).toEqual([[], []]);
  await broker.drain();
  expect(got).toEqual([
    ['a', 'b', 'c'],
    ['a', 'b', 'c'],
  ]);
  expect(broker.publish('nobody', 'x')).toBe(0);
  expect(broker.stats()).toMatchObject({ depth: 0, acknowledged: 6, published: 4 });
});

test('a direct message goes to one handler of its address, and waits for the first to come', async () => {
  const broker = new MessageBroker<number>();
  for (let i = 0; i < 4; i++) broker.send('worker', i);
  await settled();
  expect(broker.stats().depth).toBe(4);
  const got: number[][] = [[], []];
  const gates: (() => void)[] = [];
  for (const list of got) {
    broker.receive('worker', (message) => {
      list.push(message);
      return new Promise<void>((resolve) => gates.push(resolve));
    });
  }
  await settled();
  expect(got.flat().sort((a, b) => a - b)).toEqual([0, 1]);
  gates.shift()?.();
  await settled();
  expect(got.flat().length).toBe(3);
  while (gates.length > 0) {
    gates.shift()?.();
    await settled();
  }
  await broker.drain();
  expect(got.flat().sort((a, b) => a - b)).toEqual([0, 1, 2, 3]);
  expect(got.every((list) => list.length > 0)).toBe(true);
});

test('urgent messages overtake', async () => {
  const broker = new MessageBroker<string>({ priorities: 3 });
  const got: string[] = [];
  broker.subscribe('t', (message) => void got.push(message));
  broker.publish('t', 'low', { priority: 2 });
  broker.publish('t', 'mid');
  broker.publish('t', 'high', { priority: 0 });
  await broker.drain();
  expect(got).toEqual(['high', 'mid', 'low']);
  expect(() => broker.publish('t', 'x', { priority: 3 })).toThrow(RangeError);
});

test('a rejection is redelivered with a growing, jittered delay, then a dead letter', async () => {
  const broker = new MessageBroker<string>({ maxDeliveries: 3, redeliveryDelayMs: 100, random: () => 0.5 });
  const attempts: [number, number][] = [];
  const startMs = performance.now();
  broker.subscribe('t', (_message, { attempt }) => {
    attempts.push([attempt, performance.now() - startMs]);
    throw new Error('cannot');
  });
  broker.publish('t', 'm');
  await vi.advanceTimersByTimeAsync(1000);
  expect(attempts).toEqual([
    [1, 0],
    [2, 50],
    [3, 150],
  ]);
  expect(broker.deadLetters()).toEqual([
    { id: '1', item: { topic: 't', message: 'm' }, error: 'Error: cannot', attempts: 3 },
  ]);
  expect(broker.stats()).toMatchObject({ depth: 0, redelivered: 2, deadLettered: 1 });
});

test('a handler that does not answer in time is told by its signal, and its late answer changes nothing', async () => {
  const broker = new MessageBroker<string>({ maxDeliveries: 2, redeliveryDelayMs: 0 });
  const signals: AbortSignal[] = [];
  const late: (() => void)[] = [];
  broker.subscribe(
    't',
    (_message, delivery) => {
      signals.push(delivery.signal);
      return new Promise((resolve) => late.push(resolve));
    },
    { ackTimeoutMs: 1000 },
  );
  broker.publish('t', 'm');
  await vi.advanceTimersByTimeAsync(1000);
  expect(signals[0]?.aborted).toBe(true);
  await vi.advanceTimersByTimeAsync(1);
  expect(signals).toHaveLength(2);
  late[0]?.();
  await settled();
  expect(broker.stats()).toMatchObject({ acknowledged: 0, inFlight: 1 });
  late[1]?.();
  await broker.drain();
  expect(broker.stats()).toMatchObject({ acknowledged: 1, depth: 0, inFlight: 0 });
});

test('no more than `concurrency` at once per subscription, and a slow one delays nobody else', async () => {
  const broker = new MessageBroker<number>();
  let slow = 0;
  let most = 0;
  const fast: number[] = [];
  broker.subscribe(
    't',
    async () => {
      most = Math.max(most, ++slow);
      await new Promise((resolve) => setTimeout(resolve, 100));
      slow--;
    },
    { concurrency: 3 },
  );
  broker.subscribe('t', (message) => void fast.push(message));
  for (let i = 0; i < 10; i++) broker.publish('t', i);
  await settled();
  await settled();
  expect(fast).toHaveLength(10);
  await vi.advanceTimersByTimeAsync(1000);
  expect(most).toBe(3);
  await broker.close();
});

test('it is bounded: a publication that does not fit everywhere reaches nobody', async () => {
  const broker = new MessageBroker<number>({ maxMessages: 3 });
  const got: number[] = [];
  broker.subscribe('t', (message) => void got.push(message));
  broker.subscribe('t', (message) => void got.push(message));
  broker.publish('t', 1);
  expect(() => broker.publish('t', 2)).toThrow(expect.objectContaining({ code: 'ERR_PERF_BATCH_FULL' }));
  await broker.drain();
  expect(got).toEqual([1, 1]);
  expect(broker.stats().refused).toBe(1);
  broker.publish('t', 3);
  await broker.drain();
});

test('depth alerts fire once per crossing and again after the depth has fallen', async () => {
  const alerts: DepthAlert[] = [];
  const broker = new MessageBroker<number>({ alertDepths: [10, 20], onAlert: (alert) => alerts.push(alert) });
  for (let i = 0; i < 25; i++) broker.send('a', i);
  expect(alerts).toEqual([
    { depth: 10, threshold: 10 },
    { depth: 20, threshold: 20 },
  ]);
  const reader = broker.receive('a', () => undefined);
  await broker.drain();
  await reader.close();
  for (let i = 0; i < 10; i++) broker.send('a', i);
  expect(alerts).toHaveLength(3);
});

test('the default alerts are at 75,000 and 90,000', () => {
  const alerts: number[] = [];
  const broker = new MessageBroker<number>({ onAlert: ({ depth }) => alerts.push(depth) });
  for (let i = 0; i < 95_000; i++) broker.send('a', i);
  expect(alerts).toEqual([75_000, 90_000]);
});

test('closing a subscription waits for what is under way and forgets the rest of its own queue', async () => {
  const broker = new MessageBroker<number>();
  const gate = Promise.withResolvers<void>();
  const subscription = broker.subscribe('t', () => gate.promise);
  for (let i = 0; i < 3; i++) broker.publish('t', i);
  await settled();
  let closed = false;
  const closing = subscription.close().then(() => (closed = true));
  await settled();
  expect(closed).toBe(false);
  expect(broker.stats()).toMatchObject({ depth: 1, inFlight: 1, subscriptions: 0 });
  gate.resolve();
  await closing;
  expect(broker.stats().depth).toBe(0);
  expect(broker.publish('t', 9)).toBe(0);
  await broker.close();
  expect(() => broker.publish('t', 1)).toThrow(expect.objectContaining({ code: 'ERR_PERF_BATCH_CLOSED' }));
});

test('options out of range name themselves', () => {
  expect(() => new MessageBroker({ maxMessages: 0 })).toThrow('maxMessages');
  expect(() => new MessageBroker({ maxDeliveries: 0 })).toThrow('maxDeliveries');
  const broker = new MessageBroker();
  expect(() => broker.subscribe('t', 1 as never)).toThrow('handler');
  expect(() => broker.subscribe('t', () => undefined, { concurrency: 0 })).toThrow('concurrency');
});
