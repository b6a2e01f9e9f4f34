/** Reads and writes result files; nothing that breaks the schema gets in or out. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { BenchError } from './errors.ts';
import { schemaProblems, type JsonSchema } from './json-schema.ts';
import type { AggregateResult } from './aggregate.ts';
import { RESULT_SCHEMA, type PackageResult } from './result.ts';

const schema = JSON.parse(
  readFileSync(path.join(import.meta.dirname, '../result.schema.json'), 'utf8'),
) as JsonSchema;

/** @throws {BenchError} ERR_PERF_BENCH_SCHEMA when the result does not follow the schema. */
export function writeResult(file: string, result: PackageResult): void {
  writeChecked(file, result);
}

/** @throws {BenchError} ERR_PERF_BENCH_SCHEMA when the result does not follow the schema. */
export function writeAggregate(file: string, result: AggregateResult): void {
  writeChecked(file, result);
}

/**
 * `undefined` when there is no such file.
 * @throws {BenchError} ERR_PERF_BENCH_SCHEMA when the file is not a result of this version.
 */
export function readResult(file: string): PackageResult | undefined {
  if (!existsSync(file)) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new BenchError('ERR_PERF_BENCH_SCHEMA', `${file} is not JSON`, { cause: error });
  }
  requireSchema(parsed, file);
  const result = parsed as PackageResult | AggregateResult;
  if (result.schema !== RESULT_SCHEMA) {
    throw new BenchError('ERR_PERF_BENCH_SCHEMA', `${file} is an aggregate, not the result of a package`);
  }
  return result;
}

/** The last run's result, for estimates only: a file of another version is as good as none. */
export function readPreviousResult(file: string): PackageResult | undefined {
  try {
    return readResult(file);
  } catch (error) {
    if (error instanceof BenchError) return undefined;
    throw error;
  }
}

function requireSchema(value: unknown, file: string): void {
  const problems = schemaProblems(value, schema);
  if (problems.length > 0) {
    const shown = problems.slice(0, 5).join('; ');
    throw new BenchError('ERR_PERF_BENCH_SCHEMA', `${file} does not follow result.schema.json: ${shown}`);
  }
}

function writeChecked(file: string, result: PackageResult | AggregateResult): void {
  requireSchema(result, file);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(result, undefined, 2)}\n`);
}
