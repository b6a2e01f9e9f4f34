// The real graphs of bench/data/graph with the answers a plain search gave (see PROVENANCE.md there).

import { createHash } from 'node:crypto';
import type { CaseContext } from '@perf/bench';

export interface Edge {
  readonly source: string;
  readonly type: string;
  readonly target: string;
}

export interface Neighbourhood {
  readonly start: string;
  readonly direction: 'out' | 'in' | 'both';
  readonly depth: number;
  readonly count: number;
  readonly sha256: string;
}

interface Expected {
  readonly file: string;
  readonly nodes: number;
  readonly edges: number;
  readonly neighbourhoods: readonly Neighbourhood[];
  readonly shortestPaths: readonly {
    readonly from: string;
    readonly to: string;
    readonly direction: 'out' | 'both';
    /** Hops, -1 when there is no path. */
    readonly length: number;
  }[];
}

export interface RecordedGraph extends Expected {
  readonly list: readonly Edge[];
}

export const GRAPHS = ['snb-sf01-core', 'wn18rr', 'ca-HepPh', 'fb15k237'] as const;

/** fb15k237 may not be redistributed: it is read from the shared folder, and undefined without one. */
export function readGraph(context: CaseContext, name: (typeof GRAPHS)[number]): RecordedGraph | undefined {
  const file = `${name}.tsv.gz`;
  const text = name === 'fb15k237' ? context.sharedData(`graph/${file}`) : context.data(`graph/${file}`);
  if (text === undefined) return undefined;
  const all = JSON.parse(context.data('graph/expected.json.gz').toString()) as Expected[];
  const expected = all.find((graph) => graph.file === file);
  if (expected === undefined) throw new Error(`no expected answers for ${file}`);
  const list: Edge[] = [];
  for (const line of text.toString('utf8').split('\n')) {
    const [source, type, target] = line.split('\t');
    if (source !== undefined && type !== undefined && target !== undefined)
      list.push({ source, type, target });
  }
  if (list.length !== expected.edges) throw new Error(`${file} has ${list.length} edges`);
  return { ...expected, list };
}

/** Throws unless each answer is exactly the expected set. */
export function checkNeighbourhoods(
  answers: readonly (readonly string[])[],
  queries: readonly Neighbourhood[],
): void {
  queries.forEach(({ start, direction, depth, sha256 }, at) => {
    const ids = [...(answers[at] ?? [])].sort();
    if (createHash('sha256').update(ids.join('\n')).digest('hex') !== sha256) {
      throw new Error(`${depth} hops ${direction} of ${start}: a wrong answer of ${ids.length} nodes`);
    }
  });
}
