/** The command `perf-gate`: arguments in, text and an exit code out. */
import { parseArgs } from 'node:util';
import { MetricsError } from '../errors.ts';
import { changePoints } from './change-points.ts';
import { compare } from './compare.ts';
import type { Verdict } from './compare.ts';
import { readHistories, readSamples } from './sample-files.ts';

export interface GateOutcome {
  readonly exitCode: 0 | 1 | 2 | 3;
  readonly stdout: string;
  readonly stderr: string;
}

const HELP = `Usage: perf-gate compare <base.json> <head.json> [options]
       perf-gate history <series.json | series.csv> [options]

compare  judges two sets of benchmark runs. A file holds samples as [[fork 1], [fork 2], ...], or an object of these by
         benchmark. Each fork is one process; five forks a side are the least, twenty or more are good.
  --threshold <share>     smallest change that matters (0.03)
  --confidence <share>    of the interval (0.99)
  --paired                fork i of both files ran interleaved in one process
history  finds where a history changed its level, and fails on a change for the worse in its last points. A file holds
         [number, ...], an object of these by benchmark, or CSV with a header line.
  --last <points>         a change this near the end fails (10)
  --min-effect <share>    smallest change that matters (0.03)
  --significance <p>      of a change (0.01)
  --by <column>           of a CSV: the benchmark (bench)
  --value <column>        of a CSV: the result (value)
both
  --higher-is-better      the samples are rates, not times
  --json                  print one JSON object
  --help                  print this

Exit code: 0 no regression, 1 regression, 2 wrong usage or unreadable file, 3 inconclusive or a benchmark is missing.
`;

const OPTIONS = {
  threshold: { type: 'string' },
  confidence: { type: 'string' },
  paired: { type: 'boolean' },
  last: { type: 'string' },
  'min-effect': { type: 'string' },
  significance: { type: 'string' },
  by: { type: 'string' },
  value: { type: 'string' },
  'higher-is-better': { type: 'boolean' },
  json: { type: 'boolean' },
  help: { type: 'boolean' },
} as const;

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS; allowPositionals: true }>>['values'];

/** Never throws for what the user gave. */
export function perfGate(args: readonly string[]): GateOutcome {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
    if (values.help === true) return { exitCode: 0, stdout: HELP, stderr: '' };
    const [command, ...files] = positionals;
    if (command === 'compare' && files.length === 2)
      return compareFiles(files[0] ?? '', files[1] ?? '', values);
    if (command === 'history' && files.length === 1) return judgeHistory(files[0] ?? '', values);
    return { exitCode: 2, stdout: '', stderr: HELP };
  } catch (error) {
    if (error instanceof MetricsError || error instanceof TypeError || error instanceof RangeError) {
      return { exitCode: 2, stdout: '', stderr: `perf-gate: ${error.message}\n` };
    }
    throw error;
  }
}

function compareFiles(baseFile: string, headFile: string, values: Values): GateOutcome {
  const base = readSamples(baseFile);
  const head = readSamples(headFile);
  const options = {
    ...numberOption(values, 'threshold', 'threshold'),
    ...numberOption(values, 'confidence', 'confidence'),
    paired: values.paired === true,
    higherIsBetter: values['higher-is-better'] === true,
  };
  const results: (Verdict & { readonly name: string })[] = [];
  for (const [name, forks] of base) {
    const other = head.get(name);
    if (other !== undefined) results.push({ name, ...compare(forks, other, options) });
  }
  const missing = [...base.keys(), ...head.keys()].filter((name) => !base.has(name) || !head.has(name));
  const has = (verdict: string): boolean => results.some((result) => result.verdict === verdict);
  const exitCode = has('regression') ? 1 : has('inconclusive') || missing.length > 0 ? 3 : 0;
  if (values.json === true) return json(exitCode, { command: 'compare', exitCode, results, missing });
  const lines = results.map(
    (r) =>
      `${r.verdict.padEnd(12)} ${r.name}  head/base ${r.ratio.toFixed(4)} [${r.ci[0].toFixed(4)}, ${r.ci[1].toFixed(4)}]` +
      `  detectable ${percent(r.minimumDetectableEffect)}  p${r.tail.quantile * 100} ${r.tail.ratio.toFixed(4)}\n`,
  );
  lines.push(
    ...missing.map((name) => `missing      ${name}  only in ${base.has(name) ? baseFile : headFile}\n`),
  );
  return { exitCode, stdout: lines.join(''), stderr: '' };
}

function judgeHistory(file: string, values: Values): GateOutcome {
  const { last = 10 } = numberOption(values, 'last', 'last');
  if (!Number.isSafeInteger(last) || last < 1) throw new RangeError('--last must be a positive integer');
  const higherIsBetter = values['higher-is-better'] === true;
  const options = {
    minEffect: 0.03,
    ...numberOption(values, 'min-effect', 'minEffect'),
    ...numberOption(values, 'significance', 'significance'),
  };
  const permutations = Math.max(199, Math.ceil(2 / (options.significance ?? 0.01)) - 1);
  const histories = readHistories(file, { by: values.by ?? 'bench', value: values.value ?? 'value' });
  const results = [...histories].map(([name, series]) => {
    const changes = changePoints(series, { ...options, permutations }).map((change) => ({
      ...change,
      worse: higherIsBetter ? change.ratio < 1 : change.ratio > 1,
      recent: change.index >= series.length - last,
    }));
    return { name, points: series.length, changes };
  });
  const exitCode = results.some(({ changes }) => changes.some(({ worse, recent }) => worse && recent))
    ? 1
    : 0;
  if (values.json === true) return json(exitCode, { command: 'history', exitCode, results });
  const lines = results.flatMap(({ name, points, changes }) => [
    `${name}  ${points} points, ${changes.length} ${changes.length === 1 ? 'change' : 'changes'}\n`,
    ...changes.map(
      ({ index, before, after, ratio, worse, recent }) =>
        `  at ${index}: ${before} -> ${after}  ${ratio > 1 ? '+' : ''}${percent(ratio - 1)}` +
        `${worse ? '  worse' : ''}${worse && recent ? ', recent: regression' : ''}\n`,
    ),
  ]);
  return { exitCode, stdout: lines.join(''), stderr: '' };
}

function numberOption<K extends string>(
  values: Values,
  flag: keyof Values,
  key: K,
): Partial<Record<K, number>> {
  const text = values[flag];
  if (text === undefined) return {};
  const value = Number(text);
  if (text === '' || Number.isNaN(value))
    throw new TypeError(`--${flag} must be a number, not ${String(text)}`);
  return { [key]: value } as Partial<Record<K, number>>;
}

function json(exitCode: 0 | 1 | 3, outcome: object): GateOutcome {
  return { exitCode, stdout: `${JSON.stringify(outcome, undefined, 2)}\n`, stderr: '' };
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
