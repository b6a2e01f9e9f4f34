import { measureCase, type BenchCase, type Measurement } from '@perf/bench';
import { AdaptiveLimit } from '@perf/batch';
import {
  KnownLimit,
  readAzureTrace,
  readMooncakeTrace,
  simulate,
  type Arrival,
  type ServerModel,
} from './load-simulator.ts';

const FIXED_LIMITS = [16, 24, 32, 48, 64, 80, 96, 128, 160, 192, 256, 384, 512];
const GOALS: Record<number, number> = { 4: 0.95, 8: 0.93, 12: 0.88 };

/** The middle third has half the capacity. */
function model(requests: number): ServerModel {
  const capacity = [
    { fromShare: 0, requests },
    { fromShare: 1 / 3, requests: requests / 2 },
    { fromShare: 2 / 3, requests },
  ];
  return { capacity, thrash: 0.5, sloFactor: 2 };
}

/** Copies of a trace, each shifted by its share of the length: more load with the same round trips. */
function overlay(trace: readonly Arrival[], copies: number): Arrival[] {
  const lengthMs = trace.at(-1)?.atMs ?? 0;
  return Array.from({ length: copies }, (_, copy) =>
    trace.map((arrival) => ({ ...arrival, atMs: (arrival.atMs + (copy * lengthMs) / copies) % lengthMs })),
  )
    .flat()
    .sort((a, b) => a.atMs - b.atMs);
}

function compare(
  name: string,
  load: number,
  trace: readonly Arrival[],
  speedup: number,
  server: ServerModel,
): Measurement[] {
  const oracle = simulate(trace, speedup, server, () => new KnownLimit((capacity) => capacity)).goodput;
  const fixed = FIXED_LIMITS.map(
    (limit) => simulate(trace, speedup, server, () => new KnownLimit(() => limit)).goodput,
  );
  const { goodput } = simulate(trace, speedup, server, () => new AdaptiveLimit());
  const goal = GOALS[load] ?? 0.88;
  return [
    {
      name: `${name} at ${load}x: share of the oracle's goodput`,
      value: goodput / oracle,
      unit: 'ratio',
      target: { atLeast: goal },
      note: `oracle ${oracle.toFixed(3)}; fixed 256 is ${((fixed[10] ?? 0) / oracle).toFixed(2)} of it`,
    },
    {
      name: `${name} at ${load}x: against the best fixed limit`,
      value: goodput / Math.max(...fixed),
      unit: 'ratio',
      target: { atLeast: 0.95 },
    },
  ];
}

export const cases: readonly BenchCase[] = [
  measureCase({
    name: 'adaptive-limit',
    about:
      'Goodput of AdaptiveLimit on replayed LLM arrivals whose server loses half its capacity for a third of the time.',
    forks: 1,
    measure: (context) => {
      const azure = readAzureTrace(context.data('batch-memory/azure-llm-2023-code.csv.gz').toString());
      const mooncake = readMooncakeTrace(context.data('batch-memory/mooncake-synthetic.jsonl.gz').toString());
      return [4, 8, 12].flatMap((load) => [
        ...compare('azure-llm-2023-code', load, azure, load, model(150)),
        ...compare('mooncake-synthetic', load, overlay(mooncake, load), 1, model(400)),
      ]);
    },
  }),
];
