/** The command line of `perf-bench` and of `bench`, read and checked in one place. */
import { parseArgs } from 'node:util';

import { BenchError } from './errors.ts';
import type { RunOptions } from './result.ts';

export interface BenchArguments {
  readonly run: RunOptions;
  readonly jsonFile?: string;
  readonly list: boolean;
  readonly help: boolean;
  /** Do not install peers, take them as they are. */
  readonly noInstall: boolean;
  /** One JSON object per line on standard output instead of a report: for the program that started this one. */
  readonly events: boolean;
  /** Only these packages (`bench` alone). */
  readonly packages: readonly string[];
}

/** Nine forks are the fewest whose 95 % interval of the median leaves the extreme forks out. */
const FULL = {
  forks: 9,
  rounds: 10,
  sampleMs: 10,
  warmupMs: 150,
  budgetMs: 10_000,
  timeoutMs: 180_000,
  caseBudgetMs: 180_000,
};
const QUICK = {
  forks: 2,
  rounds: 3,
  sampleMs: 4,
  warmupMs: 20,
  budgetMs: 2000,
  timeoutMs: 60_000,
  caseBudgetMs: 30_000,
};

/** @throws {BenchError} ERR_PERF_BENCH_USAGE with a sentence for the user. */
export function parseBenchArguments(argv: readonly string[]): BenchArguments {
  // pnpm and turbo hand a literal `--` on; it separates nothing here.
  const given = argv.filter((argument) => argument !== '--');
  let values;
  try {
    ({ values } = parseArgs({
      args: given,
      options: {
        filter: { type: 'string' },
        forks: { type: 'string' },
        rounds: { type: 'string' },
        json: { type: 'string' },
        package: { type: 'string', multiple: true },
        list: { type: 'boolean' },
        quick: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
        'no-install': { type: 'boolean' },
        events: { type: 'boolean' },
      },
    }));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new BenchError('ERR_PERF_BENCH_USAGE', reason, { cause: error });
  }
  const quick = values.quick === true;
  const base = quick ? QUICK : FULL;
  return {
    run: {
      ...base,
      forks: countOption('--forks', values.forks, base.forks, 100),
      rounds: countOption('--rounds', values.rounds, base.rounds, 1000),
      quick,
      ...(values.filter === undefined ? {} : { filter: values.filter }),
    },
    ...(values.json === undefined ? {} : { jsonFile: values.json }),
    list: values.list === true,
    help: values.help === true,
    noInstall: values['no-install'] === true,
    events: values.events === true,
    packages: values.package ?? [],
  };
}

function countOption(name: string, text: string | undefined, fallback: number, max: number): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > max) {
    throw new BenchError(
      'ERR_PERF_BENCH_USAGE',
      `${name} must be a whole number from 1 to ${max}, not '${text}'`,
    );
  }
  return value;
}
