/**
 * What a package's `bench/*.bench.ts` file declares: `export const cases = [ratioCase({...}), measureCase({...})]`.
 * A ratio case compares contenders on the same input; a measure case reports numbers that are not a race (bytes per
 * entry, hit rate against the optimum, event-loop delay). The harness imports the file in fresh processes; importing
 * it does nothing.
 */

/** What a case gets from the harness, in each fork. */
export interface CaseContext {
  /** `import(name)` from `bench/peers`: the module's namespace; a peer that is not installed makes its contender a
   *  named skip. */
  peer<T = unknown>(name: string): Promise<T>;
  /** Reads a file below `bench/data`, gunzipped when its name ends in `.gz`. */
  data(path: string): Buffer;
  /** The same below the optional larger data folder (`PERF_SHARED_DATA`); `undefined` when it is not there. */
  sharedData(path: string): Buffer | undefined;
  /** An empty folder of this fork's own, removed afterwards. */
  readonly scratchDir: string;
  /** Seeded per fork, uniform in [0, 1). */
  random(): number;
  /**
   * Says that the case (from `setup` or `measure`) or the contender (from `prepare`) does not apply here, and why:
   * "needs PERF_SHARED_DATA". It is reported as skipped by name, and the run does not pass.
   */
  skip(reason: string): never;
}

export interface Contender<Input, State, Answer> {
  readonly name: string;
  /** Exactly one contender of a case is ours; ratios read "ours over theirs" in speed, above 1 means ours is faster. */
  readonly ours?: boolean;
  /** Packages of `bench/peers` it needs. */
  readonly peers?: readonly string[];
  /** Untimed, before every timed run. */
  prepare(input: Input, context: CaseContext): State | Promise<State>;
  /** Timed. */
  run(state: State, input: Input): Answer | Promise<Answer>;
  /** Untimed, after every timed run. */
  dispose?(state: State): void | Promise<void>;
}

export interface Goal {
  /** Name of the contender that ours is compared with. */
  readonly versus: string;
  /** Smallest acceptable speed ratio (ours over theirs), judged on the median over forks. */
  readonly atLeast: number;
}

export interface RatioCase<Input = never, State = never, Answer = never> {
  readonly kind: 'ratio';
  /** Unique in the package, kebab-case. */
  readonly name: string;
  /** One sentence: what is timed, on which data. */
  readonly about: string;
  /** Once per fork, untimed. */
  setup(context: CaseContext): Input | Promise<Input>;
  /** How many operations one `run` does, for the per-operation figure. */
  operations(input: Input): number;
  readonly contenders: readonly Contender<Input, State, Answer>[];
  /** Throws when an answer is wrong. Called on every contender's first answer before anything is timed, and again on
   *  its last one in every fork. */
  validate(answer: Answer, input: Input): void;
  readonly goals?: readonly Goal[];
  teardown?(input: Input): void | Promise<void>;
}

export interface Measurement {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly target?: { readonly atLeast: number } | { readonly atMost: number };
  readonly note?: string;
}

export interface MeasureCase {
  readonly kind: 'measure';
  readonly name: string;
  readonly about: string;
  readonly peers?: readonly string[];
  /** Runs in each fork; the harness reports the median over forks and their spread. Throws when an answer is wrong. */
  measure(context: CaseContext): readonly Measurement[] | Promise<readonly Measurement[]>;
  /** Number of forks, when one run is long. Default: the harness's. */
  readonly forks?: number;
}

export type BenchCase = RatioCase | MeasureCase;

/** Declares a ratio case; only checks types. Contenders may keep different states. */
export function ratioCase<Input, Answer>(
  // oxlint-disable-next-line typescript/no-explicit-any -- each contender has a state type of its own
  definition: Omit<RatioCase<Input, any, Answer>, 'kind'>,
): RatioCase {
  return { kind: 'ratio', ...definition } as unknown as RatioCase;
}

/** Declares a measure case; only checks types. */
export function measureCase(definition: Omit<MeasureCase, 'kind'>): MeasureCase {
  return { kind: 'measure', ...definition };
}
