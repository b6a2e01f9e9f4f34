import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Graph } from '@perf/graph';
import { exportGraph, importGraph } from '@perf/graph/formats';
import type { FormatName } from '@perf/graph/formats';

const name = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }).filter((text) => text.isWellFormed()),
  fc.constantFrom(
    'a',
    'b',
    'http://x.org/a#b',
    'tab\tin',
    'line\nend\r\n',
    '"quo,ted"',
    '\\t',
    '<&>\'"',
    '_:b0',
    ' ',
  ),
);
const json = fc.constantFrom<null | string | number | { a: (string | number)[] }>(null, 'x', 1.5, {
  a: [1, 'é<'],
});

function fill(
  nodes: readonly {
    id: string;
    type: string;
    content: string;
    metadata: ReturnType<typeof json.generate>['value'];
  }[],
  edges: readonly { source: string; target: string; type: string; weight: number; validFromMs: number }[],
): Graph {
  const graph = Graph.open({ path: ':memory:', clock: { now: () => 7 } });
  graph.putNodes(
    nodes.map((node, at) => ({ ...node, confidence: at % 2, embedding: new Float32Array([0.1, at]) })),
  );
  graph.putEdges(
    edges.map((edge, at) => (at % 2 === 0 ? edge : { ...edge, weight: 1, validFromMs: undefined })),
  );
  return graph;
}

async function through(graph: Graph, format: FormatName, cut: number): Promise<Graph> {
  const bytes = Buffer.from([...exportGraph(graph, format)].join(''));
  const copy = Graph.open({ path: ':memory:', clock: { now: () => 7 } });
  const pieces = function* (): Generator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += cut) yield bytes.subarray(at, at + cut);
  };
  await importGraph(copy, format, pieces(), { batchSize: 1_000 });
  return copy;
}

const graphs = fc.tuple(
  fc.uniqueArray(fc.record({ id: name, type: name, content: name, metadata: json }), {
    selector: ({ id }) => id,
    maxLength: 8,
  }),
  fc.array(fc.record({ source: name, target: name, type: name, weight: fc.nat(3), validFromMs: fc.nat(9) }), {
    maxLength: 8,
  }),
);

function everything(graph: Graph): unknown {
  const byText = (a: unknown, b: unknown): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
  return { nodes: [...graph.nodes()].toSorted(byText), edges: [...graph.edges()].toSorted(byText) };
}

/** The graph without what the format has no place for. */
function reduced(graph: Graph, format: FormatName): unknown {
  const copy = Graph.open({ path: ':memory:', clock: { now: () => 7 } });
  if (format === 'tsv' || format === 'csv') {
    copy.putEdges([...graph.edges()].map((edge) => ({ ...edge, metadata: undefined })));
  } else {
    copy.putNodes(
      [...graph.nodes()].map(({ embedding, metadata, confidence, content, ...node }) => {
        if (format === 'jsonl') return { ...node, content, metadata, confidence, embedding };
        if (format === 'graphml') return { ...node, content, metadata, confidence };
        return { id: node.id, type: node.type, content };
      }),
    );
    const isPlain = format === 'n-triples' || format === 'mcp-memory';
    copy.putEdges(
      [...graph.edges()].map(({ source, target, type, ...rest }) => ({
        source,
        target,
        type,
        ...(!isPlain && rest),
      })),
    );
  }
  return everything(copy);
}

describe.each(['jsonl', 'graphml', 'n-triples', 'tsv', 'csv'] as const)('%s', (format) => {
  it('gives back what it was given, however the text is cut', async () => {
    await fc.assert(
      fc.asyncProperty(graphs, fc.integer({ min: 1, max: 50 }), async ([nodes, edges], cut) => {
        using graph = fill(nodes, edges);
        using copy = await through(graph, format, cut);
        expect(everything(copy)).toEqual(reduced(graph, format));
      }),
      { numRuns: 40 },
    );
  });
});

describe('mcp-memory', () => {
  const file = [
    '{"type":"entity","name":"Ann","entityType":"person","observations":["likes tea","two\\nlines"]}',
    '{"type":"entity","name":"Acme","entityType":"company","observations":[]}',
    '{"type":"relation","from":"Ann","to":"Acme","relationType":"works_at"}',
  ];

  it('reads the file of the memory server and writes it again as it was', async () => {
    using graph = Graph.open({ path: ':memory:' });
    expect(await importGraph(graph, 'mcp-memory', [file.join('\n')])).toEqual({ nodes: 2, edges: 1 });
    expect(graph.search('tea').map(({ id }) => id)).toEqual(['Ann']);
    expect(graph.neighbors('Ann', { edgeTypes: ['works_at'] })).toEqual(['Acme']);
    expect([...exportGraph(graph, 'mcp-memory')].join('').trim().split('\n')).toEqual(file);
  });

  it('writes the content of other nodes as observations', () => {
    using graph = Graph.open({ path: ':memory:' });
    graph.putNode({ id: 'a', type: 't', content: 'one\ntwo' });
    expect([...exportGraph(graph, 'mcp-memory')]).toEqual([
      '{"type":"entity","name":"a","entityType":"t","observations":["one","two"]}\n',
    ]);
  });
});

it.each<[FormatName, string]>([
  ['jsonl', 'not json'],
  ['jsonl', '{"neither": 1}'],
  ['jsonl', '7'],
  ['mcp-memory', '{"type":"entity","name":"x"}'],
  ['tsv', 'only\ttwo'],
  ['csv', 'a,b,"open'],
  ['csv', 'a,b'],
  ['n-triples', '<a> <b>'],
  ['graphml', '<graphml><graph><node id="a">'],
  ['graphml', '<graphml><'],
])('%s says that %j is not of its format', async (format, text) => {
  using graph = Graph.open({ path: ':memory:' });
  await expect(importGraph(graph, format, [text])).rejects.toThrow(
    expect.objectContaining({ code: 'ERR_PERF_GRAPH_FORMAT' }),
  );
});

it('reads GraphML and N-Triples that others wrote', async () => {
  using graph = Graph.open({ path: ':memory:' });
  await importGraph(graph, 'graphml', [
    `<?xml version='1.0'?><!-- made > elsewhere --><g:graphml xmlns:g="x"><g:key id='d0' attr.name="weight"/>
     <g:graph><g:node id='n&#x31;'/><g:node id="n2"><g:data key="color"><![CDATA[<red>]]></g:data></g:node>
     <g:edge source="n1" target="n2"><g:data key="d0"> 2.5 </g:data></g:edge></g:graph></g:graphml>`,
  ]);
  expect(graph.getNode('n2')?.metadata).toEqual({ color: '<red>' });
  expect(graph.getEdge('n1', 'n2', '')?.weight).toBe(2.5);
  await importGraph(graph, 'n-triples', [
    '# a comment\n<http://a> <http://p> <http://b> . # after\n<http://a> <http://name> "Zo\\u00eb"@fr .\n_:x <http://p> <http://a> .',
  ]);
  expect(graph.getNode('http://a')?.metadata).toEqual({ 'http://name': 'Zoë' });
  expect(graph.neighbors('_:x')).toEqual(['http://a']);
});

it('refuses bytes that are not UTF-8', async () => {
  using graph = Graph.open({ path: ':memory:' });
  const bytes = [Uint8Array.of(0x61, 0x09, 0xff)];
  await expect(importGraph(graph, 'tsv', bytes)).rejects.toThrow(
    expect.objectContaining({ code: 'ERR_PERF_GRAPH_FORMAT' }),
  );
});

it('refuses a format it does not know, and stops at its signal', async () => {
  using graph = Graph.open({ path: ':memory:' });
  expect(() => exportGraph(graph, 'dot' as FormatName)).toThrow(RangeError);
  const signal = AbortSignal.abort(new Error('enough'));
  await expect(importGraph(graph, 'jsonl', ['{}'], { signal })).rejects.toThrow('enough');
});
