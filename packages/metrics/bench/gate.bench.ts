/** How often the gate is wrong, on real runs whose truth is known. */
import { measureCase } from '@perf/bench';
import { changePoints, compare } from '@perf/metrics';

interface Fork {
  readonly variants: readonly string[];
  readonly ms: readonly (readonly number[])[];
}

const TRIALS = 200;
const FORKS = 30;

export const cases = [
  measureCase({
    name: 'gate-error-rates',
    about: `Compares ${FORKS} recorded forks with ${FORKS} others, ${TRIALS} times: false alarms and power.`,
    measure: (context) => {
      const forks = context
        .data('metrics/gate-samples-json-quiet.jsonl.gz')
        .toString()
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Fork);
      const draw = (): Fork[] =>
        Array.from(
          { length: FORKS },
          () => forks[Math.floor(context.random() * forks.length)] ?? { variants: [], ms: [] },
        );
      const rate = (variant: number, paired: boolean, counts: (verdict: string) => boolean): number => {
        let count = 0;
        for (let trial = 0; trial < TRIALS; trial++) {
          const base = draw();
          const head = paired ? base : draw();
          const side = (all: readonly Fork[], column: number): number[][] =>
            all.map((f) => [...(f.ms[column] ?? [])]);
          const { verdict } = compare(side(base, 0), side(head, variant), { paired, resamples: 500 });
          if (counts(verdict)) count++;
        }
        return (100 * count) / TRIALS;
      };
      const changed = (verdict: string): boolean => verdict === 'regression' || verdict === 'improvement';
      const slower = (verdict: string): boolean => verdict === 'regression';
      return [
        {
          name: 'false alarms, other forks',
          value: rate(1, false, changed),
          unit: '%',
          target: { atMost: 2 },
        },
        { name: 'false alarms, paired', value: rate(1, true, changed), unit: '%', target: { atMost: 2 } },
        {
          name: '+5 % found, other forks',
          value: rate(3, false, slower),
          unit: '%',
          target: { atLeast: 85 },
        },
        { name: '+5 % found, paired', value: rate(3, true, slower), unit: '%', target: { atLeast: 95 } },
      ];
    },
    forks: 3,
  }),
  measureCase({
    name: 'change-points',
    about: 'Searches a MongoDB benchmark history of 1211 points with 34 known changes.',
    measure: (context) => {
      const { series, expected } = JSON.parse(
        context.data('metrics/mongodb-profiling-large.json.gz').toString(),
      ) as {
        series: number[];
        expected: number;
      };
      const started = performance.now();
      const found = changePoints(series).length;
      const elapsedMs = performance.now() - started;
      if (found !== expected) throw new Error(`found ${found} changes, not ${expected}`);
      return [{ name: 'search', value: elapsedMs, unit: 'ms' }];
    },
  }),
];
