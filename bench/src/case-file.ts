/** Finds `bench/*.bench.ts` of a package and checks what they declare, before anything runs. */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

import type { BenchCase } from './case.ts';
import { BenchError } from './errors.ts';

export interface FoundCase {
  /** Absolute. */
  readonly file: string;
  readonly definition: BenchCase;
}

/** Absolute paths of the package's case files, in the order of their names. */
export function caseFiles(packageDir: string): string[] {
  const folder = path.join(packageDir, 'bench');
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith('.bench.ts'))
    .sort()
    .map((name) => path.join(folder, name));
}

/**
 * The cases of one file.
 * @throws {BenchError} ERR_PERF_BENCH_CASE when the file does not load or a declaration is wrong.
 */
export async function loadCases(file: string): Promise<readonly BenchCase[]> {
  let module: { cases?: unknown };
  try {
    module = (await import(pathToFileURL(file).href)) as { cases?: unknown };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new BenchError('ERR_PERF_BENCH_CASE', `${file} does not load: ${reason}`, { cause: error });
  }
  if (!Array.isArray(module.cases)) {
    throw new BenchError('ERR_PERF_BENCH_CASE', `${file}: 'export const cases = [...]' is missing`);
  }
  const cases = module.cases as readonly BenchCase[];
  for (const definition of cases) {
    const problem = caseProblem(definition);
    if (problem !== undefined) {
      throw new BenchError('ERR_PERF_BENCH_CASE', `${file}: case '${definition.name}': ${problem}`);
    }
  }
  return cases;
}

/**
 * All cases of a package whose name or file name contains `filter`.
 * @throws {BenchError} ERR_PERF_BENCH_CASE also when two cases have the same name.
 */
export async function findCases(packageDir: string, filter?: string): Promise<FoundCase[]> {
  const found: FoundCase[] = [];
  const names = new Set<string>();
  for (const file of caseFiles(packageDir)) {
    for (const definition of await loadCases(file)) {
      if (names.has(definition.name)) {
        throw new BenchError('ERR_PERF_BENCH_CASE', `${file}: a second case is named '${definition.name}'`);
      }
      names.add(definition.name);
      const isWanted =
        filter === undefined || definition.name.includes(filter) || path.basename(file).includes(filter);
      if (isWanted) found.push({ file, definition });
    }
  }
  return found;
}

/** What is wrong with a declaration, or `undefined`. */
export function caseProblem(definition: BenchCase): string | undefined {
  if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(definition.name)) return 'its name must be kebab-case';
  if (definition.about.trim() === '') return "'about' must say what is timed, on which data";
  if (definition.kind === 'measure') {
    const { forks } = definition;
    return forks === undefined || (Number.isInteger(forks) && forks > 0)
      ? undefined
      : "'forks' must be a positive integer";
  }
  const names = definition.contenders.map((contender) => contender.name);
  if (new Set(names).size !== names.length) return 'two contenders have the same name';
  const ours = definition.contenders.filter((contender) => contender.ours === true).map(({ name }) => name);
  if (ours.length !== 1) return `exactly one contender must be ours, not ${ours.length}`;
  for (const goal of definition.goals ?? []) {
    if (!names.includes(goal.versus)) return `a goal is against '${goal.versus}', who is not a contender`;
    if (ours.includes(goal.versus)) return `a goal is against '${goal.versus}', which is ours`;
    if (!(goal.atLeast > 0)) return `the goal against '${goal.versus}' must be above 0`;
  }
  return undefined;
}
