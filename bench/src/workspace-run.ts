/**
 * `pnpm bench`: every package's cases, one package after the other, and one report over all.
 *
 *   peers installed -> turbo builds -> each package lists its cases -> turbo run bench --concurrency=1 -> aggregate
 *
 * The packages' own `perf-bench` does the measuring and leaves `.results/bench.json`; here results are only collected.
 * A package that listed cases and left no result, or not all of them, is a failure with its name.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';

import { aggregate, aggregateExitCode, type AggregateResult, type Remark } from './aggregate.ts';
import { parseBenchArguments, type BenchArguments } from './arguments.ts';
import { BenchError } from './errors.ts';
import { parseEvent, type BenchEvent } from './event.ts';
import { describePeers, ensurePeers, type PeersStatus } from './peers.ts';
import { Progress, type ProgressOutput } from './progress.ts';
import { markdownReport } from './report-markdown.ts';
import { terminalReport } from './report-terminal.ts';
import type { PackageResult } from './result.ts';
import { readResult, writeAggregate } from './result-file.ts';
import { resultsFolder } from './runner.ts';
import { formatDuration } from './units.ts';

const HELP = `pnpm bench: every package against its peers, one case at a time, and one report over all.

  pnpm bench                          every case of every package
  pnpm bench --filter lookup          cases whose name, or whose file's name, contains "lookup"
  pnpm bench --package cache          one package (again for more): cache or @perf/cache
  pnpm bench --list                   what there is and how long it would take; runs nothing
  pnpm bench --quick                  few and short samples: do the cases work? (numbers mean little)
  pnpm bench --forks 15 --rounds 20   more fresh processes, more rounds in each
  pnpm bench --json out.json          also write the aggregate here
  pnpm bench --no-install             take bench/peers as it is

The report is printed and kept in .results/bench.md and .results/bench.json; each package keeps its own
.results/bench.json. How it is measured: bench/METHODOLOGY.md; whom that favours: bench/BIAS.md.

Exit code: 0 all goals met; 1 a wrong answer, a crash, a failed build; 2 the command line is wrong; 3 a goal missed,
or something skipped.
`;

export interface WorkspaceRun {
  readonly root: string;
  readonly argv: readonly string[];
  readonly output: ProgressOutput;
  readonly signal: AbortSignal;
}

interface BenchPackage {
  readonly name: string;
  readonly dir: string;
}

interface ListedPackage extends BenchPackage {
  readonly listed: Extract<BenchEvent, { event: 'list' }>;
}

interface Listing {
  readonly packages: readonly ListedPackage[];
  readonly withoutCases: readonly string[];
  readonly problems: readonly Remark[];
}

/** The exit code. */
export async function runWorkspace(run: WorkspaceRun): Promise<number> {
  try {
    const args = parseBenchArguments(run.argv);
    if (args.help) {
      run.output.write(HELP);
      return 0;
    }
    return await benchPackages(run, args);
  } catch (error) {
    if (!(error instanceof BenchError)) throw error;
    run.output.write(`bench: ${error.message}\n`);
    return error.code === 'ERR_PERF_BENCH_USAGE' ? 2 : 1;
  }
}

async function benchPackages(run: WorkspaceRun, args: BenchArguments): Promise<number> {
  const say = (line: string): void => void run.output.write(`${line}\n`);
  const startedAt = new Date();
  const packages = await packagesWithBench(run, args.packages);
  const peers: PeersStatus =
    args.noInstall || args.list
      ? { installedNow: false, unusable: {} }
      : await ensurePeers(say, { signal: run.signal });
  for (const line of describePeers(peers)) say(line);
  await build(run, packages);
  const listing = await listCases(run, args, packages);
  announce(listing, args, say);
  if (args.list) return listing.problems.length > 0 ? 1 : 0;
  if (listing.packages.length === 0 && args.run.filter !== undefined && listing.problems.length === 0) {
    throw new BenchError('ERR_PERF_BENCH_USAGE', `no case matches '${args.run.filter}'`);
  }

  for (const { dir } of listing.packages) rmSync(resultFile(dir), { force: true });
  const output = listing.packages.length > 0 ? await bench(run, args, listing) : '';
  const collected = collect(listing);
  if (run.signal.aborted) say('bench: interrupted; this is what was finished');
  const hasNoResult = collected.results.length < listing.packages.length;
  if (hasNoResult && !run.signal.aborted) say(output.split('\n').slice(-40).join('\n'));
  const result = aggregate({
    startedAt: startedAt.toISOString(),
    durationMs: Date.now() - startedAt.getTime(),
    options: args.run,
    packages: collected.results,
    withoutCases: listing.withoutCases,
    problems: [...listing.problems, ...collected.problems],
    peers,
  });
  report(run.root, args, result, say);
  return aggregateExitCode(result);
}

/** The workspace packages that have a `bench` script, or those of them that were asked for. */
async function packagesWithBench(run: WorkspaceRun, wanted: readonly string[]): Promise<BenchPackage[]> {
  const { code, stdout, output } = await turbo(run, ['run', 'bench', '--dry=json']);
  if (code !== 0) throw new BenchError('ERR_PERF_BENCH_USAGE', `turbo cannot read the workspace:\n${output}`);
  interface Task {
    readonly task: string;
    readonly package: string;
    readonly directory: string;
    readonly command: string;
  }
  const plan = JSON.parse(stdout.slice(stdout.indexOf('{'))) as { tasks: Task[] };
  const all = plan.tasks
    .filter(({ task, command }) => task === 'bench' && command !== '<NONEXISTENT>')
    .map((task) => ({ name: task.package, dir: path.join(run.root, task.directory) }));
  const isNamed = (name: string, asked: string): boolean => name === asked || name.endsWith(`/${asked}`);
  for (const asked of wanted) {
    if (!all.some(({ name }) => isNamed(name, asked))) {
      const known = all.map(({ name }) => name).join(', ');
      throw new BenchError('ERR_PERF_BENCH_USAGE', `no package '${asked}' with benches; there are ${known}`);
    }
  }
  return wanted.length === 0 ? all : all.filter(({ name }) => wanted.some((asked) => isNamed(name, asked)));
}

async function build(run: WorkspaceRun, packages: readonly BenchPackage[]): Promise<void> {
  // With turbo's own filter, so that what the package depends on is built too.
  const filters = packages.map(({ name }) => `--filter=${name}...`);
  const { code, output } = await turbo(run, ['run', 'build', '--output-logs=errors-only', ...filters]);
  if (code === 0) return;
  const hint = output.includes('package manager binary') ? '\nstart it as: npx --yes pnpm@12 bench' : '';
  throw new BenchError('ERR_PERF_BENCH_FORK', `the build failed:\n${output.trim()}${hint}`);
}

async function listCases(
  run: WorkspaceRun,
  args: BenchArguments,
  packages: readonly BenchPackage[],
): Promise<Listing> {
  const listed: ListedPackage[] = [];
  const withoutCases: string[] = [];
  const problems: Remark[] = [];
  const cli = path.join(import.meta.dirname, 'cli.ts');
  for (const found of packages) {
    const command = [process.execPath, cli, '--list', '--events', ...forwarded(args)];
    const { code, stdout, output } = await start(command, found.dir, run);
    const event = stdout
      .split('\n')
      .map(parseEvent)
      .find((candidate) => candidate?.event === 'list');
    if (code !== 0 || event?.event !== 'list') {
      problems.push({ package: found.name, case: '*', what: output.trim() });
    } else if (event.cases.length === 0) {
      withoutCases.push(found.name);
    } else {
      listed.push({ ...found, listed: event });
    }
  }
  return { packages: listed, withoutCases, problems };
}

function announce(listing: Listing, args: BenchArguments, say: (line: string) => void): void {
  const nothing = args.run.filter === undefined ? 'no cases' : `no case matches '${args.run.filter}'`;
  for (const name of listing.withoutCases) say(`${name}: ${nothing}`);
  for (const { name, listed } of listing.packages) {
    say(`${name}: ${listed.cases.length} cases, about ${formatDuration(listed.expectedMs)}`);
    if (args.list) for (const found of listed.cases) say(`  ${found.name}  (${found.file})`);
  }
  for (const problem of listing.problems) say(`${problem.package}: ${problem.what}`);
  if (listing.packages.length === 0) return;
  const cases = listing.packages.reduce((sum, { listed }) => sum + listed.cases.length, 0);
  const expectedMs = listing.packages.reduce((sum, { listed }) => sum + listed.expectedMs, 0);
  say(
    `${cases} cases in ${listing.packages.length} packages, about ${formatDuration(expectedMs)}; ` +
      `a case is stopped after ${formatDuration(args.run.caseBudgetMs + args.run.timeoutMs)} at the latest`,
  );
}

/** Resolves to what was printed besides events: the reason, when a package leaves no result. */
async function bench(run: WorkspaceRun, args: BenchArguments, listing: Listing): Promise<string> {
  const totalForks = listing.packages
    .flatMap(({ listed }) => listed.cases)
    .reduce((sum, { forks }) => sum + forks, 0);
  const expectedMs = listing.packages.reduce((sum, { listed }) => sum + listed.expectedMs, 0);
  const progress = new Progress(run.output, totalForks, expectedMs, () => performance.now());
  let forksOfCase = 0;
  const onLine = (line: string): void => {
    const event = parseEvent(line);
    if (event?.event === 'fork') {
      forksOfCase += 1;
      progress.advance(1, `${event.package}: ${event.case}`);
    } else if (event?.event === 'case') {
      const listed = listing.packages.find(({ name }) => name === event.package)?.listed.cases;
      const planned = listed?.find(({ name }) => name === event.case)?.forks ?? forksOfCase;
      progress.advance(planned - forksOfCase, event.case);
      forksOfCase = 0;
      progress.caseDone(`${event.package}: ${event.case}`, event.verdict);
    }
  };
  // Built above; `--continue` because a missed goal in one package must not hide the others' results.
  const { output } = await turbo(
    run,
    [
      'run',
      'bench',
      '--only',
      '--concurrency=1',
      '--continue=always',
      '--output-logs=full',
      '--log-prefix=none',
      '--log-order=stream',
      ...listing.packages.map(({ name }) => `--filter=${name}`),
      '--',
      '--events',
      '--no-install',
      ...forwarded(args),
    ],
    onLine,
  );
  progress.clear();
  return output;
}

/** What each package's `perf-bench` gets of the command line. */
function forwarded(args: BenchArguments): string[] {
  const { quick, forks, rounds, filter } = args.run;
  return [
    ...(quick ? ['--quick'] : []),
    '--forks',
    String(forks),
    '--rounds',
    String(rounds),
    ...(filter === undefined ? [] : ['--filter', filter]),
  ];
}

function collect(listing: Listing): { results: PackageResult[]; problems: Remark[] } {
  const results: PackageResult[] = [];
  const problems: Remark[] = [];
  for (const { name, dir, listed } of listing.packages) {
    let result: PackageResult | undefined;
    try {
      result = readResult(resultFile(dir));
    } catch (error) {
      if (!(error instanceof BenchError)) throw error;
      problems.push({ package: name, case: '*', what: error.message });
      continue;
    }
    if (result !== undefined) results.push(result);
    const done = new Set(result?.cases.map((found) => found.name));
    for (const missing of listed.cases.filter((found) => !done.has(found.name))) {
      problems.push({ package: name, case: missing.name, what: 'did not run to its end' });
    }
  }
  return { results, problems };
}

function report(
  root: string,
  args: BenchArguments,
  result: AggregateResult,
  say: (line: string) => void,
): void {
  const folder = resultsFolder(root);
  mkdirSync(folder, { recursive: true });
  writeAggregate(path.join(folder, 'bench.json'), result);
  writeFileSync(path.join(folder, 'bench.md'), markdownReport(result));
  if (args.jsonFile !== undefined) writeAggregate(path.resolve(args.jsonFile), result);
  for (const line of terminalReport(result)) say(line);
  say('kept in .results/bench.md and .results/bench.json');
}

function resultFile(packageDir: string): string {
  return path.join(resultsFolder(packageDir), 'bench.json');
}

interface Finished {
  readonly code: number;
  readonly stdout: string;
  /** Both streams, as they came. */
  readonly output: string;
}

function turbo(
  run: WorkspaceRun,
  args: readonly string[],
  onLine?: (line: string) => void,
): Promise<Finished> {
  return start(['turbo', ...args], run.root, run, onLine);
}

/** How much output of a program is kept, to be shown when it fails. */
const KEPT_LINES = 20_000;

function start(
  [command = '', ...args]: readonly string[],
  cwd: string,
  { root, signal }: WorkspaceRun,
  onLine?: (line: string) => void,
): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: programEnvironment(root),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const lines: string[] = [];
    const printed: string[] = [];
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (parseEvent(line) === undefined || onLine === undefined) {
        if (lines.length < KEPT_LINES) lines.push(line);
        printed.push(line);
      }
      onLine?.(line);
    });
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (lines.length < KEPT_LINES) lines.push(line);
    });
    // Let it end what it is doing, so that finished cases keep their results.
    const onAbort = (): void => void child.kill('SIGTERM');
    signal.addEventListener('abort', onAbort, { once: true });
    child.on('error', (error) => {
      reject(new BenchError('ERR_PERF_BENCH_FORK', `${command} did not start: ${error.message}`));
    });
    child.on('close', (code) => {
      signal.removeEventListener('abort', onAbort);
      resolve({ code: code ?? 1, stdout: printed.join('\n'), output: lines.join('\n') });
    });
  });
}

/** The workspace's own programs and this Node come first; what only this process was started with stays here. */
function programEnvironment(root: string): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _options, ...env } = process.env;
  const first = [path.join(root, 'node_modules/.bin'), path.dirname(process.execPath)];
  return { ...env, PATH: [...first, env.PATH ?? ''].join(path.delimiter) };
}
