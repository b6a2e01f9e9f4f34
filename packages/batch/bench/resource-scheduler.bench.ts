import { measureCase, type BenchCase, type CaseContext } from '@perf/bench';
import { ResourceScheduler, type ResourceProfile } from '@perf/batch';
import { VirtualTime } from './virtual-time.ts';

/** Quantile, by interpolation between the columns of the trace. */
interface Distribution {
  readonly at: readonly number[];
  readonly values: readonly number[];
}

interface FunctionProfile {
  readonly profile: ResourceProfile;
  readonly durationMs: Distribution;
  readonly memoryMb: Distribution;
  readonly cpu: number;
}

function rowsOf(csv: string): Record<string, string>[] {
  const [header = '', ...lines] = csv.trim().split('\n');
  const names = header.split(',');
  return lines.map((line) => Object.fromEntries(line.split(',').map((value, i) => [names[i] ?? '', value])));
}

function distribution(row: Record<string, string>, prefix: string): Distribution {
  const columns = Object.keys(row)
    .filter((name) => name.startsWith(prefix))
    .map((name) => [Number(name.slice(prefix.length)), Number(row[name])] as const)
    .sort((a, b) => a[0] - b[0]);
  return { at: columns.map(([percent]) => percent / 100), values: columns.map(([, value]) => value) };
}

function draw({ at, values }: Distribution, p: number): number {
  const above = at.findIndex((each) => each >= p);
  if (above <= 0) return values[Math.max(0, above)] ?? 0;
  const p0 = at[above - 1] ?? 0;
  const p1 = at[above] ?? 1;
  const v0 = values[above - 1] ?? 0;
  const v1 = values[above] ?? 0;
  return v0 + ((v1 - v0) * (p - p0)) / (p1 - p0);
}

const MB = 2 ** 20;
/** The trace says nothing about processors: a quarter, half, one and two cores in turn. */
const CORES = [0.25, 0.5, 1, 2];
const BUDGET = { memoryBytes: 5120 * MB, cpu: 16 };
const TASKS = 3000;
const MAX_WAIT_MS = 20_000;

function functionsOf(context: CaseContext): FunctionProfile[] {
  const memory = rowsOf(context.data('batch-memory/azure-functions-2019-example.memory.csv.gz').toString());
  const durations = rowsOf(
    context.data('batch-memory/azure-functions-2019-example.durations.csv.gz').toString(),
  );
  return durations.map((row, i) => {
    const cpu = CORES[i % CORES.length] ?? 1;
    // Declared far too large, as people do; the scheduler finds out.
    const profile = { name: row['HashFunction'] ?? '', memoryBytes: 1024 * MB, cpu };
    return {
      profile,
      durationMs: distribution(row, 'percentile_Average_'),
      memoryMb: distribution(memory[i] ?? {}, 'AverageAllocatedMb_pct'),
      cpu,
    };
  });
}

interface Outcome {
  readonly overBudget: number;
  /** What the tasks needed of the scarcer resource, as time of the whole budget. */
  readonly boundMs: number;
  readonly makespanMs: number;
  /** Waits of tasks that need nearly all memory. */
  readonly largeWaitsMs: readonly number[];
}

/** @param meanGapMs between arrivals; 0: all at once. */
async function run(
  context: CaseContext,
  meanGapMs: number,
  maxWaitMs: number,
  large: number,
): Promise<Outcome> {
  const functions = functionsOf(context);
  const time = new VirtualTime();
  const clock = { now: () => time.now() };
  const scheduler = new ResourceScheduler({ budget: BUDGET, maxWaitMs, margin: 0.02, clock });
  const used = { memoryBytes: 0, cpu: 0 };
  const needed = { memoryBytes: 0, cpu: 0 };
  const largeWaitsMs: number[] = [];
  let overBudget = 0;
  const submit = (
    profile: ResourceProfile,
    memoryBytes: number,
    cpu: number,
    durationMs: number,
  ): Promise<void> => {
    const submittedAtMs = time.now();
    needed.memoryBytes += memoryBytes * durationMs;
    needed.cpu += cpu * durationMs;
    return scheduler.submit(profile, async ({ report }) => {
      if (profile.name === 'large') largeWaitsMs.push(time.now() - submittedAtMs);
      report({ memoryBytes, cpu });
      used.memoryBytes += memoryBytes;
      used.cpu += cpu;
      if (used.memoryBytes > BUDGET.memoryBytes || used.cpu > BUDGET.cpu + 1e-9) overBudget++;
      await time.sleep(durationMs);
      used.memoryBytes -= memoryBytes;
      used.cpu -= cpu;
    });
  };
  await time.run(async () => {
    const all: Promise<void>[] = [];
    for (let n = 0; n < TASKS; n++) {
      const each = functions[n % functions.length];
      if (each === undefined) throw new Error('the trace has no functions');
      const memoryBytes = draw(each.memoryMb, context.random()) * MB;
      all.push(submit(each.profile, memoryBytes, each.cpu, draw(each.durationMs, context.random()) * 10));
      if (large > 0 && n % Math.floor(TASKS / large) === 0) {
        all.push(submit({ name: 'large', memoryBytes: 3900 * MB, cpu: 1 }, 3900 * MB, 1, 1000));
      }
      if (meanGapMs > 0) await time.sleep(-Math.log(1 - context.random()) * meanGapMs);
    }
    await Promise.all(all);
  });
  const boundMs = Math.max(needed.memoryBytes / BUDGET.memoryBytes, needed.cpu / BUDGET.cpu);
  return { overBudget, boundMs, makespanMs: time.now(), largeWaitsMs };
}

export const cases: readonly BenchCase[] = [
  measureCase({
    name: 'resource-scheduler',
    about: `${TASKS} tasks with the memory and durations of real functions in virtual time: packing a backlog, and large tasks among many small ones.`,
    forks: 1,
    measure: async (context) => {
      const backlog = await run(context, 0, Infinity, 0);
      const stream = await run(context, 165, MAX_WAIT_MS, 12);
      // What ran when a large task became overdue has to end: the longest takes ten times the trace's longest.
      const slackMs = 10_000;
      return [
        {
          name: 'moments over budget',
          value: backlog.overBudget + stream.overBudget,
          unit: 'times',
          target: { atMost: 0 },
        },
        {
          name: 'packing bound over makespan',
          value: backlog.boundMs / backlog.makespanMs,
          unit: 'ratio',
          target: { atLeast: 0.9 },
        },
        {
          name: 'longest wait of a large task beyond the aging bound',
          value: Math.max(0, Math.max(...stream.largeWaitsMs) - MAX_WAIT_MS),
          unit: 'ms',
          target: { atMost: slackMs },
          note: `load ${((100 * stream.boundMs) / stream.makespanMs).toFixed(0)} %, ${stream.largeWaitsMs.length} large tasks`,
        },
      ];
    },
  }),
];
