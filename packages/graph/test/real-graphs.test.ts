import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { Graph } from '@perf/graph';

interface Expected {
  readonly file: string;
  readonly nodes: number;
  readonly edges: number;
  readonly neighbourhoods: readonly {
    readonly start: string;
    readonly direction: 'out' | 'in' | 'both';
    readonly depth: number;
    readonly count: number;
    readonly sha256: string;
    readonly perDepth: readonly number[];
  }[];
  readonly shortestPaths: readonly {
    readonly from: string;
    readonly to: string;
    readonly direction: 'out' | 'both';
    readonly length: number;
  }[];
}

const dataDir = new URL('../../../bench/data/graph/', import.meta.url);
const expected = JSON.parse(
  gunzipSync(readFileSync(new URL('expected.json.gz', dataDir))).toString(),
) as Expected[];

function* edgesOf(file: string): Generator<{ source: string; type: string; target: string }> {
  for (const line of gunzipSync(readFileSync(new URL(file, dataDir)))
    .toString()
    .split('\n')) {
    if (line === '') continue;
    const [source, type, target] = line.split('\t') as [string, string, string];
    yield { source, type, target };
  }
}

// fb15k237 may not be redistributed, so its answers are checked by the bench alone.
describe.each(expected.filter(({ file }) => file !== 'fb15k237.tsv.gz'))('on $file', (graphFile) => {
  it('finds exactly the expected neighbourhoods and path lengths', () => {
    using graph = Graph.open({ path: ':memory:' });
    graph.putEdges(edgesOf(graphFile.file));
    expect(graph.stats()).toMatchObject({ nodes: graphFile.nodes, edges: graphFile.edges });
    for (const { start, direction, depth, count, sha256, perDepth } of graphFile.neighbourhoods) {
      const found = graph.traverse(start, { maxDepth: depth, direction });
      const counts = perDepth.map((_, at) => found.depths.filter((d) => d === at).length);
      const hash = createHash('sha256')
        .update([...found.ids].sort().join('\n'))
        .digest('hex');
      expect({ count: found.size, counts, hash }).toEqual({ count, counts: perDepth, hash: sha256 });
    }
    for (const { from, to, direction, length } of graphFile.shortestPaths) {
      expect(graph.shortestPath(from, to, { direction })?.edges.length ?? -1).toBe(length);
      expect(graph.shortestPath(from, to, { direction, weighted: true })?.cost ?? -1).toBe(length);
    }
  });
});

describe.each(['directed', 'undirected'])('on the %s example of Graphalytics', (kind) => {
  const files = JSON.parse(readFileSync(new URL('graphalytics-example.json', dataDir), 'utf8')) as object;
  const rows = (suffix: string): string[][] => {
    const [, text] =
      Object.entries(files).find(([name]) => name === `example/example-${kind}${suffix}`) ?? [];
    return String(text)
      .trim()
      .split('\n')
      .map((line) => line.split(' '));
  };
  const direction = kind === 'directed' ? 'out' : 'both';

  it('finds the expected depths and weighted distances', () => {
    using graph = Graph.open({ path: ':memory:' });
    for (const [id = ''] of rows('.v')) graph.putNode({ id, type: '' });
    for (const [source = '', target = '', weight] of rows('.e')) {
      graph.putEdge({ source, target, type: 'e', weight: Number(weight) });
    }
    const [start = ''] = rows('-BFS').find(([, depth]) => depth === '0') ?? [];
    const found = graph.traverse(start, { maxDepth: 100, direction });
    const reachable = rows('-BFS').filter(([, depth]) => depth !== '9223372036854775807');
    expect(Object.fromEntries(found.ids.map((id, at) => [id, String(found.depths[at])]))).toEqual(
      Object.fromEntries(reachable),
    );
    for (const [id = '', distance] of rows('-SSSP')) {
      const cost = graph.shortestPath(start, id, { direction, weighted: true })?.cost ?? Infinity;
      expect(cost).toBeCloseTo(Number(distance), 12);
    }
  });
});
