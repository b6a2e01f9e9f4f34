/** Key traces for the bench cases, and the recorded hits of other policies on them. */
import type { CaseContext } from '@perf/bench';
import { parseKeyTrace } from '@perf/cache/simulator';

export interface Baseline {
  readonly trace: string;
  readonly accesses: number;
  readonly capacity: number;
  readonly hits: Readonly<
    Record<'lru' | 'sieve' | 's3fifo' | 'arc' | 'wtinylfu1' | 'wtinylfu20' | 'opt', number>
  >;
}

export function readBaselines(context: CaseContext): readonly Baseline[] {
  return JSON.parse(context.data('cache/baselines.json').toString('utf8')) as Baseline[];
}

/** `undefined` for a trace that may not be redistributed and is not at hand. */
export function readTrace(context: CaseContext, name: string): Uint32Array | undefined {
  const path = `cache/${name}.ctr.gz`;
  if (!name.startsWith('arc_')) return parseKeyTrace(context.data(path));
  const bytes = context.sharedData(path);
  return bytes === undefined ? undefined : parseKeyTrace(bytes);
}

export function mustReadTrace(context: CaseContext, name: string): Uint32Array {
  const keys = readTrace(context, name);
  if (keys === undefined) throw new Error(`trace ${name} is not at hand`);
  return keys;
}
