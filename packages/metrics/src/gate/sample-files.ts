/** What `perf-gate` reads: samples by benchmark from JSON, histories from JSON or CSV. */
import { readFileSync } from 'node:fs';
import { MetricsError } from '../errors.ts';
import type { ForkSamples } from './compare.ts';

/** The name of the only benchmark of a file that names none. */
export const UNNAMED = 'benchmark';

/** Samples of each benchmark: a file holds `forks x samples`, or an object of these by name. */
export function readSamples(file: string): ReadonlyMap<string, ForkSamples> {
  const parsed = parseJson(file);
  const isForks = (value: unknown): value is number[][] =>
    Array.isArray(value) &&
    value.every((fork) => Array.isArray(fork) && fork.every((s) => typeof s === 'number'));
  return byName(file, parsed, isForks, 'forks, each an array of samples');
}

/** Histories by name: a JSON array of numbers, an object of these by name, or CSV with a header line. */
export function readHistories(
  file: string,
  columns: { readonly by: string; readonly value: string },
): ReadonlyMap<string, readonly number[]> {
  if (file.endsWith('.csv')) return readCsv(file, columns);
  const isSeries = (value: unknown): value is number[] =>
    Array.isArray(value) && value.every((point) => typeof point === 'number');
  return byName(file, parseJson(file), isSeries, 'numbers');
}

function byName<T>(
  file: string,
  parsed: unknown,
  is: (value: unknown) => value is T,
  what: string,
): ReadonlyMap<string, T> {
  if (is(parsed)) return new Map([[UNNAMED, parsed]]);
  const out = new Map<string, T>();
  for (const [name, value] of Object.entries(typeof parsed === 'object' && parsed !== null ? parsed : {})) {
    if (!is(value)) throw input(`${file}: ${name} is not ${what}`);
    out.set(name, value);
  }
  if (out.size === 0) throw input(`${file} holds neither ${what} nor an object of them by name`);
  return out;
}

/** Plain CSV: no quoted fields, as benchmark histories are written. */
function readCsv(
  file: string,
  { by, value }: { by: string; value: string },
): ReadonlyMap<string, readonly number[]> {
  const [header = '', ...lines] = readText(file).trimEnd().split(/\r?\n/);
  const names = header.split(',');
  const [byAt, valueAt] = [names.indexOf(by), names.indexOf(value)];
  if (byAt === -1 || valueAt === -1) throw input(`${file} has no column ${byAt === -1 ? by : value}`);
  const out = new Map<string, number[]>();
  for (const [i, line] of lines.entries()) {
    const fields = line.split(',');
    const [name, text] = [fields[byAt], fields[valueAt]];
    const number = Number(text);
    if (name === undefined || text === undefined || text === '' || !Number.isFinite(number)) {
      throw input(`${file}:${i + 2}: no number in column ${value}`);
    }
    const series = out.get(name);
    if (series === undefined) out.set(name, [number]);
    else series.push(number);
  }
  return out;
}

function parseJson(file: string): unknown {
  try {
    return JSON.parse(readText(file)) as unknown;
  } catch (cause) {
    if (cause instanceof MetricsError) throw cause;
    throw input(`${file} is not JSON`, cause);
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw input(`cannot read ${file}`, cause);
  }
}

function input(message: string, cause?: unknown): MetricsError {
  return new MetricsError('ERR_PERF_METRICS_INPUT', message, { cause });
}
