/** Runs the cases of one package: case after case, fork after fork, nothing in parallel. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';

import type { FoundCase } from './case-file.ts';
import type { ForkOutcome, ForkReport } from './fork.ts';
import { runFork, type ForkRequest } from './fork-process.ts';
import { busyBetween, cpuTimes, machineFacts } from './machine.ts';
import { median } from './statistics.ts';
import {
  measureCaseResult,
  ratioCaseResult,
  RESULT_SCHEMA,
  type CaseResult,
  type CaseRun,
  type PackageResult,
  type RunOptions,
} from './result.ts';

export interface RunProgress {
  forkDone?(found: FoundCase, fork: number, forks: number): void;
  caseDone?(result: CaseResult): void;
}

export interface PackageRun {
  readonly packageName: string;
  readonly packageDir: string;
  readonly cases: readonly FoundCase[];
  readonly options: RunOptions;
  readonly signal?: AbortSignal;
  readonly progress?: RunProgress;
}

/** Where a package's results and scratch folders are; git-ignored. */
export function resultsFolder(packageDir: string): string {
  return path.join(packageDir, '.results');
}

export async function runPackage(run: PackageRun): Promise<PackageResult> {
  const startedAt = new Date();
  const folder = resultsFolder(run.packageDir);
  mkdirSync(folder, { recursive: true });
  const machine = await machineFacts(folder);
  const cases: CaseResult[] = [];
  for (const found of run.cases) {
    if (run.signal?.aborted === true) break;
    const result = await runForks(run, found, folder);
    cases.push(result);
    run.progress?.caseDone?.(result);
  }
  return {
    schema: RESULT_SCHEMA,
    package: run.packageName,
    startedAt: startedAt.toISOString(),
    durationMs: Date.now() - startedAt.getTime(),
    options: run.options,
    machine,
    cases,
  };
}

/** How many forks a case gets: its own number when it declares one, but never more than a quick run's. */
export function forksOf(found: FoundCase, options: RunOptions): number {
  const { definition } = found;
  if (definition.kind === 'ratio' || definition.forks === undefined) return options.forks;
  return options.quick ? Math.min(definition.forks, options.forks) : definition.forks;
}

async function runForks(run: PackageRun, found: FoundCase, folder: string): Promise<CaseResult> {
  const { definition, file } = found;
  const started = performance.now();
  const forks = forksOf(found, run.options);
  const reports: ForkReport[] = [];
  const othersCpu: number[] = [];
  for (let fork = 0; fork < forks; fork += 1) {
    const elapsedMs = performance.now() - started;
    if (fork > 0 && elapsedMs * (1 + 1 / fork) > run.options.caseBudgetMs) break;
    const before = cpuTimes();
    const { report, cpuMs } = await runInScratch(folder, (scratchDir) => ({
      file,
      name: definition.name,
      packageDir: run.packageDir,
      timeoutMs: run.options.timeoutMs,
      options: { ...run.options, seed: fork + 1, scratchDir },
      signal: run.signal,
    }));
    reports.push(report);
    othersCpu.push(busyBetween(before, cpuTimes(), cpuMs));
    run.progress?.forkDone?.(found, fork + 1, forks);
    // What one fork cannot do or gets wrong, the others will too.
    if (report.kind === 'failure' || report.kind === 'skip') break;
  }
  const caseRun: CaseRun = {
    file: path.basename(file),
    reports,
    forksPlanned: forks,
    othersCpuFraction: median(othersCpu),
    durationMs: Math.round(performance.now() - started),
  };
  return definition.kind === 'ratio'
    ? ratioCaseResult(definition, caseRun)
    : measureCaseResult(definition, caseRun);
}

/** The folder is made and removed here, so that it goes even when the fork dies. */
async function runInScratch(
  folder: string,
  request: (scratchDir: string) => ForkRequest,
): Promise<ForkOutcome> {
  const scratchDir = mkdtempSync(path.join(folder, 'scratch-'));
  try {
    return await runFork(request(scratchDir));
  } finally {
    rmSync(scratchDir, { recursive: true, force: true });
  }
}
