/**
 * Times contenders against each other inside one fork.
 *
 *   first answers validated -> warm-up, which also learns how long a run takes -> rounds -> last answers validated
 *
 * A round takes one sample of every contender, in an order that changes (`interleaving.ts`). A sample is as many runs as
 * it takes to spend `sampleMs` on the clock. Runs are timed in batches long enough that reading the clock does not
 * count (`MIN_BATCH_STEPS` clock steps); the states of a batch are prepared before it and disposed after it, off the
 * clock. Garbage is collected before each sample, so nobody pays for another's.
 *
 * Everything that touches time or chance comes in through `TimingTools`, so the tests run on a clock of their own.
 */
import { BenchError } from './errors.ts';
import { roundOrders } from './interleaving.ts';

export interface TimedContender {
  readonly name: string;
  prepare(): unknown;
  run(state: unknown): unknown;
  dispose?: ((state: unknown) => unknown) | undefined;
  /** Throws when the answer is wrong. */
  validate(answer: unknown): unknown;
}

export interface TimingOptions {
  readonly rounds: number;
  /** Time on the clock that a sample should have. */
  readonly sampleMs: number;
  /** Time on the clock that a contender runs before it counts. */
  readonly warmupMs: number;
  /** Wall time for all rounds, preparation included; fewer rounds are taken when they would take longer. */
  readonly budgetMs: number;
}

export interface TimingTools {
  nowNs(): number;
  collectGarbage(): void;
  random(): number;
  /** Lets work that a contender left behind finish before another is timed. */
  settle(): Promise<void>;
}

export interface ContenderSamples {
  readonly name: string;
  readonly runsPerSample: number;
  /** Nanoseconds per run, one per round. */
  readonly runNs: readonly number[];
}

/** A batch lasts at least this many steps of the clock: reading it costs at most 0.1 %. */
const MIN_BATCH_STEPS = 1000;
/** States that exist at once, at most. */
const MAX_BATCH_RUNS = 4096;
/** Untimed work (prepare, dispose) may take this many times `sampleMs` before a sample is cut short. */
const MAX_SAMPLE_STRETCH = 10;

interface Plan {
  readonly contender: TimedContender;
  readonly isAsync: boolean;
  batchRuns: number;
  batches: number;
  /** The latest answer is kept, so that no run can be optimised away. */
  sink: unknown;
}

/**
 * @throws {BenchError} ERR_PERF_BENCH_WRONG_ANSWER naming the contender whose answer is wrong;
 * ERR_PERF_BENCH_TOO_SHORT when a run cannot be timed.
 */
export async function timeContenders(
  contenders: readonly TimedContender[],
  options: TimingOptions,
  tools: TimingTools,
): Promise<ContenderSamples[]> {
  const plans: Plan[] = [];
  for (const contender of contenders) {
    const isAsync = await runAndCheck(contender, 'first');
    plans.push({ contender, isAsync, batchRuns: 1, batches: 1, sink: undefined });
  }

  const minBatchNs = clockStepNs(tools) * MIN_BATCH_STEPS;
  let roundWallNs = 0;
  for (const plan of plans) {
    await warmUp(plan, options, minBatchNs, tools);
    const start = tools.nowNs();
    await takeSample(plan, tools);
    roundWallNs += tools.nowNs() - start;
  }

  const affordable = Math.floor((options.budgetMs * 1e6) / Math.max(roundWallNs, 1));
  const rounds = Math.max(1, Math.min(options.rounds, affordable));
  const samples = plans.map(() => [] as number[]);
  for (const order of roundOrders(plans.length, rounds, tools.random)) {
    for (const index of order) {
      samples[index]?.push(await takeSample(plans[index] as Plan, tools));
    }
  }

  for (const contender of contenders) await runAndCheck(contender, 'last');
  return plans.map((plan, index) => ({
    name: plan.contender.name,
    runsPerSample: plan.batches * plan.batchRuns,
    runNs: samples[index] as number[],
  }));
}

/** One untimed run whose answer is checked; true when the contender answers with a promise. */
async function runAndCheck(contender: TimedContender, which: 'first' | 'last'): Promise<boolean> {
  const state = await contender.prepare();
  const pending = contender.run(state);
  await checkAnswer(contender, await pending, which);
  await contender.dispose?.(state);
  return isThenable(pending);
}

async function checkAnswer(
  contender: TimedContender,
  answer: unknown,
  which: 'first' | 'last',
): Promise<void> {
  try {
    await contender.validate(answer);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new BenchError(
      'ERR_PERF_BENCH_WRONG_ANSWER',
      `contender '${contender.name}' gave a wrong answer (its ${which} one): ${reason}`,
      { cause: error },
    );
  }
}

/** The smallest step that two readings of the clock show. */
function clockStepNs(tools: TimingTools): number {
  let step = Number.POSITIVE_INFINITY;
  for (let reading = 0; reading < 1000; reading += 1) {
    const start = tools.nowNs();
    let end = tools.nowNs();
    for (let wait = 0; end === start && wait < 1e6; wait += 1) end = tools.nowNs();
    if (end > start) step = Math.min(step, end - start);
  }
  return Number.isFinite(step) ? step : 1;
}

/** Runs the contender until it has had `warmupMs`, doubling the batch until a batch can be timed; then plans samples. */
async function warmUp(
  plan: Plan,
  options: TimingOptions,
  minBatchNs: number,
  tools: TimingTools,
): Promise<void> {
  const wallLimitNs = options.warmupMs * 1e6 * MAX_SAMPLE_STRETCH;
  const started = tools.nowNs();
  let spentNs = 0;
  let batchNs = 0;
  let batchWallNs = 0;
  for (;;) {
    const batchStarted = tools.nowNs();
    batchNs = await timeBatch(plan, tools);
    const now = tools.nowNs();
    batchWallNs = now - batchStarted;
    spentNs += batchNs;
    const isWarm = spentNs >= options.warmupMs * 1e6 || now - started >= wallLimitNs;
    if (batchNs >= minBatchNs) {
      if (isWarm) break;
    } else if (plan.batchRuns < MAX_BATCH_RUNS) {
      plan.batchRuns *= 2;
    } else {
      // Warming up only makes runs shorter.
      throw new BenchError(
        'ERR_PERF_BENCH_TOO_SHORT',
        `contender '${plan.contender.name}': ${MAX_BATCH_RUNS} runs take ${Math.round(batchNs)} ns, too short for ` +
          `the clock (${Math.round(minBatchNs)} ns wanted); do more operations in one run`,
      );
    }
  }
  const wanted = Math.ceil((options.sampleMs * 1e6) / batchNs);
  const affordable = Math.floor((options.sampleMs * 1e6 * MAX_SAMPLE_STRETCH) / batchWallNs);
  plan.batches = Math.max(1, Math.min(wanted, affordable));
}

/** Nanoseconds per run. */
async function takeSample(plan: Plan, tools: TimingTools): Promise<number> {
  await tools.settle();
  tools.collectGarbage();
  let totalNs = 0;
  for (let batch = 0; batch < plan.batches; batch += 1) totalNs += await timeBatch(plan, tools);
  return totalNs / (plan.batches * plan.batchRuns);
}

/** Prepares, times and disposes `batchRuns` runs; returns the nanoseconds of the runs alone. */
async function timeBatch(plan: Plan, tools: TimingTools): Promise<number> {
  const { contender, batchRuns } = plan;
  const states: unknown[] = [];
  for (let run = 0; run < batchRuns; run += 1) states.push(await contender.prepare());
  const elapsedNs = plan.isAsync
    ? await timeAsyncRuns(plan, states, tools)
    : timeSyncRuns(plan, states, tools);
  if (contender.dispose !== undefined) {
    for (const state of states) await contender.dispose(state);
  }
  return elapsedNs;
}

function timeSyncRuns(plan: Plan, states: readonly unknown[], tools: TimingTools): number {
  const { contender } = plan;
  let answer: unknown;
  const start = tools.nowNs();
  for (let run = 0; run < states.length; run += 1) answer = contender.run(states[run]);
  const elapsedNs = tools.nowNs() - start;
  plan.sink = answer;
  return elapsedNs;
}

async function timeAsyncRuns(plan: Plan, states: readonly unknown[], tools: TimingTools): Promise<number> {
  const { contender } = plan;
  let answer: unknown;
  const start = tools.nowNs();
  for (let run = 0; run < states.length; run += 1) answer = await contender.run(states[run]);
  const elapsedNs = tools.nowNs() - start;
  plan.sink = answer;
  return elapsedNs;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
