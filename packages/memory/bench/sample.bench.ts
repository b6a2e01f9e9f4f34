// What watching costs: one sample of the pressure monitor, one verdict of the leak detector.
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { BenchCase, Measurement } from '@perf/bench';
import { measureCase } from '@perf/bench';
import { LeakDetector, PressureMonitor } from '@perf/memory';

const SAMPLES = 2000;
const VERDICTS = 200;
/** Data lies beside the harness; the fixture is copied to where a real root has it. */
const FIXTURES = join(import.meta.dirname, '../../../bench/data/batch-memory/cgroup-v2-fixtures');

function microseconds(rounds: number, run: () => unknown): number {
  for (let i = 0; i < rounds / 10; i++) run();
  const start = performance.now();
  for (let i = 0; i < rounds; i++) run();
  return ((performance.now() - start) / rounds) * 1000;
}

export const cases: BenchCase[] = [
  measureCase({
    name: 'pressure-sample',
    about: 'One sample() of cgroup (a pod below a slice), PSI and heap, from files on disk.',
    measure(context): readonly Measurement[] {
      const root = join(context.scratchDir, 'root');
      mkdirSync(join(root, 'proc/self'), { recursive: true });
      mkdirSync(join(root, 'sys/fs'), { recursive: true });
      cpSync(join(FIXTURES, '05-nested'), join(root, 'sys/fs/cgroup'), { recursive: true });
      cpSync(join(FIXTURES, '05-nested/proc-self-cgroup'), join(root, 'proc/self/cgroup'));
      using monitor = new PressureMonitor({ root, intervalMs: Infinity });
      if (monitor.sample().sources.length !== 3) throw new Error('a source is silent');
      return [
        {
          name: 'sample',
          value: microseconds(SAMPLES, () => monitor.sample()),
          unit: 'us',
          target: { atMost: 1000 },
        },
      ];
    },
  }),
  measureCase({
    name: 'leak-verdict',
    about: 'One verdict() over five minutes of samples, two a second, of a recorded heap leak.',
    measure(context): readonly Measurement[] {
      const [, ...rows] = context
        .data('batch-memory/memory-series/leak-heap-8.csv.gz')
        .toString()
        .trim()
        .split('\n');
      const detector = new LeakDetector();
      for (const row of rows) {
        const [atMs = 0, rssBytes = 0, , heapUsedBytes = 0, externalBytes = 0] = row.split(',').map(Number);
        detector.add({ atMs, rssBytes, heapUsedBytes, externalBytes });
      }
      if (!detector.verdict().leak) throw new Error('the leak was not found');
      return [
        {
          name: 'verdict',
          value: microseconds(VERDICTS, () => detector.verdict()),
          unit: 'us',
          target: { atMost: 5000 },
        },
      ];
    },
  }),
];
