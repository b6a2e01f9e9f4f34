/**
 * One fork: `node --expose-gc fork.ts <file> <case> <options as JSON>`, started with an IPC channel. Runs one case once
 * in this fresh process and sends one `ForkReport`. Everything that is measured happens here; everything that is
 * decided (medians, verdicts) happens in the parent.
 */
import type { BenchCase, CaseContext, Measurement, MeasureCase, RatioCase } from './case.ts';
import { loadCases } from './case-file.ts';
import { createContext } from './context.ts';
import { BenchError, skipReason } from './errors.ts';
import { timeContenders, type TimedContender, type TimingOptions } from './timing.ts';

export interface ForkOptions extends TimingOptions {
  readonly seed: number;
  readonly scratchDir: string;
}

export interface SkippedContender {
  readonly name: string;
  readonly reason: string;
}

export interface MeasuredContender {
  readonly name: string;
  readonly runsPerSample: number;
  /** Nanoseconds per operation, one per round. */
  readonly operationNs: readonly number[];
}

export type ForkReport =
  | {
      readonly kind: 'ratio';
      readonly operations: number;
      readonly measured: readonly MeasuredContender[];
      readonly skipped: readonly SkippedContender[];
    }
  | { readonly kind: 'measure'; readonly measurements: readonly Measurement[] }
  | { readonly kind: 'skip'; readonly reason: string }
  | { readonly kind: 'failure'; readonly message: string; readonly detail: string };

/** What a fork sends: its report, and the CPU time it took, so that the parent can tell what others took. */
export interface ForkOutcome {
  readonly report: ForkReport;
  readonly cpuMs: number;
}

/** Never throws: what went wrong is a report too. */
export async function runCase(
  file: string,
  name: string,
  options: ForkOptions,
  sharedDataDir: string | undefined,
): Promise<ForkReport> {
  try {
    const definition = (await loadCases(file)).find((candidate) => candidate.name === name);
    if (definition === undefined) {
      throw new BenchError('ERR_PERF_BENCH_CASE', `${file} has no case '${name}'`);
    }
    const context = createContext({ seed: options.seed, scratchDir: options.scratchDir, sharedDataDir });
    return await reportOf(definition, context, options);
  } catch (error) {
    const reason = skipReason(error);
    if (reason !== undefined) return { kind: 'skip', reason };
    const message = error instanceof Error ? error.message : String(error);
    return { kind: 'failure', message, detail: error instanceof Error ? (error.stack ?? '') : '' };
  }
}

function reportOf(definition: BenchCase, context: CaseContext, options: ForkOptions): Promise<ForkReport> {
  return definition.kind === 'ratio'
    ? race(definition, context, options)
    : takeMeasurements(definition, context);
}

async function takeMeasurements(definition: MeasureCase, context: CaseContext): Promise<ForkReport> {
  for (const peer of definition.peers ?? []) await context.peer(peer);
  const measurements = await definition.measure(context);
  for (const { name, value } of measurements) {
    if (!Number.isFinite(value)) {
      throw new BenchError('ERR_PERF_BENCH_WRONG_ANSWER', `measurement '${name}' is ${value}`);
    }
  }
  return { kind: 'measure', measurements };
}

/** The types of input, state and answer are the case's own; here they are only passed on. */
type Opaque = never;

async function race(definition: RatioCase, context: CaseContext, options: ForkOptions): Promise<ForkReport> {
  const input: Opaque = await definition.setup(context);
  try {
    const operations = definition.operations(input);
    if (!(Number.isFinite(operations) && operations > 0)) {
      throw new BenchError(
        'ERR_PERF_BENCH_CASE',
        `operations(input) is ${operations}, not a positive number`,
      );
    }
    const skipped: SkippedContender[] = [];
    const runnable: TimedContender[] = [];
    for (const contender of definition.contenders) {
      const timed: TimedContender = {
        name: contender.name,
        prepare: () => contender.prepare(input, context),
        run: (state) => contender.run(state as Opaque, input),
        dispose:
          contender.dispose === undefined ? undefined : (state) => contender.dispose?.(state as Opaque),
        validate: (answer) => definition.validate(answer as Opaque, input),
      };
      const reason = await whyNot(timed, contender.peers ?? [], context);
      if (reason === undefined) runnable.push(timed);
      else skipped.push({ name: contender.name, reason });
    }
    const samples = await timeContenders(runnable, options, {
      nowNs: () => performance.now() * 1e6,
      collectGarbage: requireGc(),
      random: context.random,
      settle: () => new Promise((resolve) => setImmediate(resolve)),
    });
    return {
      kind: 'ratio',
      operations,
      measured: samples.map(({ name, runsPerSample, runNs }) => ({
        name,
        runsPerSample,
        operationNs: runNs.map((ns) => ns / operations),
      })),
      skipped,
    };
  } finally {
    await definition.teardown?.(input);
  }
}

/** Why a contender cannot run here: a peer is missing, or it says so itself when it is prepared. */
async function whyNot(
  contender: TimedContender,
  peers: readonly string[],
  context: CaseContext,
): Promise<string | undefined> {
  try {
    for (const peer of peers) await context.peer(peer);
    const state = await contender.prepare();
    await contender.dispose?.(state);
    return undefined;
  } catch (error) {
    const reason = skipReason(error);
    if (reason === undefined) throw error;
    return reason;
  }
}

function requireGc(): () => void {
  const collect = globalThis.gc;
  if (collect === undefined) throw new BenchError('ERR_PERF_BENCH_FORK', 'a fork needs --expose-gc');
  return () => {
    collect();
  };
}

if (import.meta.main) {
  const [file = '', name = '', optionsJson = '{}'] = process.argv.slice(2);
  const options = JSON.parse(optionsJson) as ForkOptions;
  const report = await runCase(file, name, options, process.env.PERF_SHARED_DATA);
  // Leave at once, whatever timers or sockets a contender left open.
  const { user, system } = process.cpuUsage();
  const outcome: ForkOutcome = { report, cpuMs: (user + system) / 1000 };
  process.send?.(outcome, undefined, undefined, () => process.exit(0));
}
