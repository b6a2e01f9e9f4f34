#!/usr/bin/env node
/** `perf-bench`: runs the bench cases of the package in whose folder it is started. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { parseBenchArguments, type BenchArguments } from './arguments.ts';
import { findCases, type FoundCase } from './case-file.ts';
import { BenchError } from './errors.ts';
import type { BenchEvent } from './event.ts';
import { exitCodeOf } from './exit-code.ts';
import { expectedTimeMs } from './expected-time.ts';
import { describePeers, ensurePeers } from './peers.ts';
import { caseLines, describeMachine, totalsLine } from './report-terminal.ts';
import type { PackageResult } from './result.ts';
import { readPreviousResult, writeResult } from './result-file.ts';
import { forksOf, resultsFolder, runPackage } from './runner.ts';
import { formatDuration } from './units.ts';

const HELP = `perf-bench: races this package against its peers, in fresh processes, answers checked first.

  perf-bench                     every case in bench/*.bench.ts
  perf-bench --filter lookup     cases whose name, or whose file's name, contains "lookup"
  perf-bench --list              what there is and how long it would take; runs nothing
  perf-bench --quick             few and short samples: do the cases work? (numbers mean little)
  perf-bench --forks 15          more fresh processes per case: narrower intervals (default 9)
  perf-bench --rounds 20         more interleaved rounds in each process (default 10)
  perf-bench --json out.json     also write the results here (always: .results/bench.json)
  perf-bench --no-install        take bench/peers as it is
  perf-bench --events            one JSON object per line instead of a report

Reading a line:  lru-cache  31 ns/op [30, 33]  ours is 1.4x [1.3x, 1.5x]  goal 1.2x: pass
  ours took 1/1.4 of lru-cache's time by the median over forks; the brackets hold the true median with 95 %
  probability. "unclear" means that the goal lies inside the brackets: run again with more forks.

Exit code: 0 all goals met; 1 a wrong answer or a crash; 2 the command line is wrong; 3 a goal missed, or something
skipped (a peer that is not installed, data that is not here).
`;

const controller = new AbortController();
process.once('SIGINT', () => controller.abort());
process.once('SIGTERM', () => controller.abort());
process.exitCode = await main(process.argv.slice(2), process.cwd());

async function main(argv: readonly string[], packageDir: string): Promise<number> {
  try {
    const args = parseBenchArguments(argv);
    if (args.packages.length > 0) {
      throw new BenchError('ERR_PERF_BENCH_USAGE', '--package belongs to the workspace command, pnpm bench');
    }
    if (args.help) {
      process.stdout.write(HELP);
      return 0;
    }
    const cases = await findCases(packageDir, args.run.filter);
    return await (args.list ? list(args, packageDir, cases) : run(args, packageDir, cases));
  } catch (error) {
    if (!(error instanceof BenchError)) throw error;
    console.error(`perf-bench: ${error.message}`);
    return error.code === 'ERR_PERF_BENCH_USAGE' ? 2 : 1;
  }
}

function list(args: BenchArguments, packageDir: string, cases: readonly FoundCase[]): number {
  const previous = readPreviousResult(path.join(resultsFolder(packageDir), 'bench.json'));
  const expectedMs = expectedTimeMs(cases, args.run, previous);
  if (args.events) {
    const listed = cases.map((found) => ({
      name: found.definition.name,
      file: path.basename(found.file),
      forks: forksOf(found, args.run),
    }));
    const event: BenchEvent = { event: 'list', package: packageName(packageDir), cases: listed, expectedMs };
    console.log(JSON.stringify(event));
    return 0;
  }
  for (const { definition, file } of cases) {
    console.log(`${definition.name}  (${path.basename(file)})  ${definition.about}`);
  }
  console.log(
    cases.length === 0
      ? noCases(args)
      : `${cases.length} ${cases.length === 1 ? 'case' : 'cases'}, about ${formatDuration(expectedMs)}`,
  );
  return 0;
}

async function run(args: BenchArguments, packageDir: string, cases: readonly FoundCase[]): Promise<number> {
  const name = packageName(packageDir);
  const say = (line: string): void => {
    if (!args.events) console.log(line);
  };
  const tell = (event: BenchEvent): void => {
    if (args.events) console.log(JSON.stringify(event));
  };
  const resultFile = path.join(resultsFolder(packageDir), 'bench.json');
  if (cases.length === 0) {
    say(`${name}: ${noCases(args)}`);
    tell({ event: 'none', package: name });
    return 0;
  }
  if (!args.noInstall && needsPeers(cases)) {
    const status = await ensurePeers(say, { signal: controller.signal });
    for (const line of describePeers(status)) say(line);
  }
  const expectedMs = expectedTimeMs(cases, args.run, readPreviousResult(resultFile));
  say(
    `${name}: ${cases.length} ${cases.length === 1 ? 'case' : 'cases'}, about ${formatDuration(expectedMs)} ` +
      `(a fork is stopped after ${formatDuration(args.run.timeoutMs)})${args.run.quick ? '; quick: not a measurement' : ''}`,
  );
  const result = await runPackage({
    packageName: name,
    packageDir,
    cases,
    options: args.run,
    signal: controller.signal,
    progress: {
      forkDone: (found, fork, forks) => {
        tell({ event: 'fork', package: name, case: found.definition.name, fork, forks });
        if (process.stderr.isTTY && !args.events) {
          process.stderr.write(`\r\u001B[2K${found.definition.name}: fork ${fork}/${forks}`);
        }
      },
      caseDone: (done) => {
        if (process.stderr.isTTY && !args.events) process.stderr.write('\r\u001B[2K');
        tell({ event: 'case', package: name, case: done.name, verdict: done.verdict });
        for (const line of caseLines(done)) say(line);
      },
    },
  });
  return finish(args, result, resultFile, say);
}

function finish(
  args: BenchArguments,
  result: PackageResult,
  resultFile: string,
  say: (line: string) => void,
): number {
  writeResult(resultFile, result);
  if (args.jsonFile !== undefined) {
    mkdirSync(path.dirname(path.resolve(args.jsonFile)), { recursive: true });
    writeFileSync(args.jsonFile, readFileSync(resultFile));
  }
  say(describeMachine(result.machine));
  for (const warning of result.machine.warnings) say(`warning: ${warning}`);
  say(`${totalsLine([result])}; ${formatDuration(result.durationMs)}`);
  if (controller.signal.aborted) {
    console.error('perf-bench: interrupted; the cases after this one did not run');
    return 1;
  }
  return exitCodeOf([result]);
}

function needsPeers(cases: readonly FoundCase[]): boolean {
  return cases.some(({ definition }) =>
    definition.kind === 'measure'
      ? (definition.peers ?? []).length > 0
      : definition.contenders.some((contender) => (contender.peers ?? []).length > 0),
  );
}

function noCases(args: BenchArguments): string {
  return args.run.filter === undefined ? 'no cases' : `no case matches '${args.run.filter}'`;
}

/** The name in package.json, or the folder's when there is none. */
function packageName(packageDir: string): string {
  const file = path.join(packageDir, 'package.json');
  if (!existsSync(file)) return path.basename(packageDir);
  return (JSON.parse(readFileSync(file, 'utf8')) as { name?: string }).name ?? path.basename(packageDir);
}
