import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryError, PressureMonitor } from '@perf/memory';
import type { PressureEvent, PressureMonitorOptions } from '@perf/memory';
import { afterAll, describe, expect, test, vi } from 'vitest';

const fixtures = join(import.meta.dirname, '../../../bench/data/batch-memory/cgroup-v2-fixtures');
const scratch = mkdtempSync(join(tmpdir(), 'perf-memory-'));
afterAll(() => rmSync(scratch, { recursive: true }));

/** A folder that stands for `/`, made of a fixture. */
function rootOf(fixture: string): string {
  const root = mkdtempSync(join(scratch, 'root-'));
  mkdirSync(join(root, 'proc/self'), { recursive: true });
  cpSync(join(fixtures, fixture), join(root, 'sys/fs/cgroup'), { recursive: true });
  const nested = join(root, 'sys/fs/cgroup/proc-self-cgroup');
  if (fixture === '05-nested') cpSync(nested, join(root, 'proc/self/cgroup'));
  else writeFileSync(join(root, 'proc/self/cgroup'), '0::/\n');
  return root;
}

/** A monitor of one source whose value the test sets. */
function driven(options: PressureMonitorOptions = {}): {
  monitor: PressureMonitor;
  set(value: number): void;
} {
  let value = 0;
  const source = { name: 'test', read: () => ({ value }) };
  const monitor = new PressureMonitor({ sources: [source], intervalMs: Infinity, ...options });
  return {
    monitor,
    set(next) {
      value = next;
      monitor.sample();
    },
  };
}

describe('cgroup v2 and PSI', () => {
  const expected: [string, readonly string[]][] = [
    ['01-unlimited', ['optimal']],
    ['02-512m-page-cache-full', ['optimal']],
    ['03-512m-anon-high', ['high', 'critical']],
    ['04-2g-psi-stall', ['critical', 'emergency']],
    ['05-nested', ['high', 'critical']],
  ];

  test.each(expected)('%s is %j', (fixture, levels) => {
    using monitor = new PressureMonitor({ root: rootOf(fixture), intervalMs: Infinity });
    expect(levels).toContain(monitor.sample().level);
    expect(levels).toContain(monitor.level);
  });

  test('no limit anywhere gives no cgroup reading', () => {
    using monitor = new PressureMonitor({
      root: rootOf('01-unlimited'),
      sources: ['cgroup'],
      intervalMs: Infinity,
    });
    expect(monitor.sample().sources).toStrictEqual([]);
  });

  test('page cache that can be dropped is not in the working set', () => {
    const root = rootOf('02-512m-page-cache-full');
    using monitor = new PressureMonitor({ root, sources: ['cgroup'], intervalMs: Infinity });
    const usedBytes = 535822336 - 314572800;
    expect(monitor.sample().sources).toStrictEqual([
      { name: 'cgroup', level: 'optimal', value: usedBytes / 536870912, usedBytes, limitBytes: 536870912 },
    ]);
  });

  test('stalls alone raise the level', () => {
    using monitor = new PressureMonitor({
      root: rootOf('04-2g-psi-stall'),
      sources: ['psi'],
      intervalMs: Infinity,
    });
    expect(monitor.sample().level).toBe('critical');
  });

  test('memory.high binds when it is tighter than memory.max', () => {
    using monitor = new PressureMonitor({
      root: rootOf('04-2g-psi-stall'),
      sources: ['cgroup'],
      intervalMs: Infinity,
    });
    expect(monitor.sample().sources[0]?.limitBytes).toBe(1610612736);
  });

  test('the limit of an ancestor is judged by what the ancestor holds', () => {
    using monitor = new PressureMonitor({
      root: rootOf('05-nested'),
      sources: ['cgroup'],
      intervalMs: Infinity,
    });
    expect(monitor.sample().sources[0]).toMatchObject({ usedBytes: 739246080, limitBytes: 805306368 });
  });

  test('a machine without cgroup v2 and PSI is watched by its heap alone', () => {
    using monitor = new PressureMonitor({ root: join(scratch, 'nothing-here'), intervalMs: Infinity });
    expect(monitor.sample().sources.map((source) => source.name)).toStrictEqual(['heap']);
  });

  test('without a cgroup of its own, the pressure of the machine counts', () => {
    const root = mkdtempSync(join(scratch, 'root-'));
    mkdirSync(join(root, 'proc/pressure'), { recursive: true });
    writeFileSync(join(root, 'proc/pressure/memory'), 'some avg10=50.00 avg60=0.00 avg300=0.00 total=1\n');
    using monitor = new PressureMonitor({ root, sources: ['psi'], intervalMs: Infinity });
    expect(monitor.sample()).toMatchObject({ level: 'high', sources: [{ value: 0.125 }] });
  });

  test('garbage in kernel files is no reading', () => {
    const root = rootOf('03-512m-anon-high');
    writeFileSync(join(root, 'sys/fs/cgroup/memory.max'), 'lots\n');
    writeFileSync(join(root, 'sys/fs/cgroup/memory.pressure'), 'none');
    using monitor = new PressureMonitor({ root, sources: ['cgroup', 'psi'], intervalMs: Infinity });
    expect(monitor.sample()).toMatchObject({ level: 'optimal', sources: [] });
  });
});

describe('levels', () => {
  test('rise at the threshold and fall only below the margin', () => {
    const { monitor, set } = driven({ hysteresis: 0.1 });
    const seen = [0.84, 0.85, 0.8, 0.766, 0.764, 0.64, 0.62, 0.99, 0].map((value) => {
      set(value);
      return monitor.level;
    });
    expect(seen).toStrictEqual([
      'moderate',
      'high',
      'high',
      'high',
      'moderate',
      'moderate',
      'optimal',
      'emergency',
      'optimal',
    ]);
  });

  test('the worst source decides', () => {
    const source = (name: string, value: number): { name: string; read(): { value: number } } => ({
      name,
      read: () => ({ value }),
    });
    using monitor = new PressureMonitor({
      sources: [source('a', 0.1), source('b', 0.9)],
      intervalMs: Infinity,
    });
    expect(monitor.sample().level).toBe('high');
  });

  test('thresholds can be set', () => {
    const { monitor, set } = driven({ levels: { moderate: 0.2 } });
    set(0.3);
    expect(monitor.level).toBe('moderate');
  });

  test('a change of level is published on perf:memory:level', () => {
    const events: unknown[] = [];
    const listen = (event: unknown): void => void events.push(event);
    subscribe('perf:memory:level', listen);
    const { set } = driven({ clock: { now: () => 7 } });
    for (const value of [0.1, 0.9, 0.9]) set(value);
    unsubscribe('perf:memory:level', listen);
    expect(events).toMatchObject([{ level: 'high', previous: 'optimal', atMs: 7 }]);
  });
});

describe('responses', () => {
  test('fire once per crossing, also when the level jumps above theirs', () => {
    const { monitor, set } = driven();
    const fired: string[] = [];
    monitor.onLevel('moderate', () => void fired.push('moderate'));
    monitor.onLevel('high', (event) => void fired.push(`high from ${event.previous}`));
    monitor.onLevel('emergency', () => void fired.push('emergency'));
    for (const value of [0.1, 0.9, 0.9, 0.95, 0.75, 0.95, 0.1]) set(value);
    expect(fired).toStrictEqual(['moderate', 'high from optimal', 'high from moderate']);
  });

  test('run one after another, the highest priority first', async () => {
    const { monitor, set } = driven();
    const order: string[] = [];
    const first = Promise.withResolvers<void>();
    monitor.onLevel('high', () => void order.push('last'), { priority: -1 });
    monitor.onLevel('high', () => void order.push('middle'));
    monitor.onLevel(
      'high',
      async () => {
        order.push('first begins');
        await first.promise;
        order.push('first ends');
      },
      { priority: 5 },
    );
    set(0.9);
    expect(order).toStrictEqual(['first begins']);
    first.resolve();
    await vi.waitFor(() => expect(order).toHaveLength(4));
    expect(order).toStrictEqual(['first begins', 'first ends', 'middle', 'last']);
  });

  test('one that fails or hangs is reported and does not hold up the rest', async () => {
    vi.useFakeTimers();
    try {
      const errors: unknown[] = [];
      const { monitor, set } = driven({ onError: (error) => void errors.push(error) });
      const failure = new Error('cannot trim');
      let reached = false;
      monitor.onLevel('high', () => {
        throw failure;
      });
      monitor.onLevel('high', async () => Promise.reject(failure));
      monitor.onLevel('high', async () => new Promise(() => {}), { timeoutMs: 50 });
      monitor.onLevel('high', () => void (reached = true));
      set(0.9);
      await vi.advanceTimersByTimeAsync(49);
      expect(reached).toBe(false);
      await vi.advanceTimersByTimeAsync(1);
      expect(reached).toBe(true);
      expect(errors.slice(0, 2)).toStrictEqual([failure, failure]);
      expect(errors[2]).toMatchObject({ code: 'ERR_PERF_MEMORY_TIMEOUT' });
    } finally {
      vi.useRealTimers();
    }
  });

  test('end with their disposer, even while they wait', async () => {
    const { monitor, set } = driven();
    const first = Promise.withResolvers<void>();
    const calls: PressureEvent[] = [];
    monitor.onLevel('high', async () => first.promise, { priority: 1 });
    const dispose = monitor.onLevel('high', (event) => void calls.push(event));
    set(0.9);
    dispose();
    dispose();
    first.resolve();
    await first.promise;
    await Promise.resolve();
    set(0.1);
    set(0.9);
    expect(calls).toStrictEqual([]);
  });

  test('a source that throws is reported and counts as silent', () => {
    const errors: unknown[] = [];
    const broken = {
      name: 'broken',
      read(): never {
        throw new Error('no such device');
      },
    };
    using monitor = new PressureMonitor({
      sources: [broken],
      intervalMs: Infinity,
      onError: (error) => void errors.push(error),
    });
    expect(monitor.sample().sources).toStrictEqual([]);
    expect(errors).toHaveLength(1);
  });
});

describe('life cycle', () => {
  test('the timer samples every interval until close', () => {
    vi.useFakeTimers();
    try {
      let reads = 0;
      const source = { name: 'test', read: () => ({ value: reads++ }) };
      const monitor = new PressureMonitor({ sources: [source], intervalMs: 100 });
      vi.advanceTimersByTime(350);
      expect(reads).toBe(3);
      monitor.close();
      monitor.close();
      vi.advanceTimersByTime(1000);
      expect(reads).toBe(3);
    } finally {
      vi.useRealTimers();
    }
  });

  test('a closed monitor refuses work', () => {
    const { monitor } = driven();
    monitor.close();
    expect(() => monitor.sample()).toThrow(MemoryError);
    expect(() => monitor.onLevel('high', () => {})).toThrow(
      expect.objectContaining({ code: 'ERR_PERF_MEMORY_CLOSED' }),
    );
  });

  test('options out of range or of the wrong type are refused by name', () => {
    const { monitor } = driven();
    expect(() => new PressureMonitor({ intervalMs: 0 })).toThrow(/intervalMs/);
    expect(() => new PressureMonitor({ root: '' })).toThrow(/root/);
    expect(() => new PressureMonitor({ hysteresis: 1 })).toThrow(/hysteresis/);
    expect(() => new PressureMonitor({ levels: { high: 0.5 } })).toThrow(/levels/);
    expect(() => new PressureMonitor({ levels: { high: '1' as unknown as number } })).toThrow(TypeError);
    expect(() => new PressureMonitor({ sources: ['disk' as 'heap'] })).toThrow(/sources/);
    expect(() => new PressureMonitor({ clock: {} as { now(): number } })).toThrow(/clock/);
    expect(() => monitor.onLevel('optimal', () => {})).toThrow(RangeError);
    expect(() => monitor.onLevel('high', 1 as unknown as () => void)).toThrow(/response/);
    expect(() => monitor.onLevel('high', () => {}, { timeoutMs: 0 })).toThrow(/timeoutMs/);
  });
});
