// Graphs from files and to files, in pieces: neither side is ever whole in memory.

import { GraphError } from '../errors.ts';
import type { Graph } from '../graph.ts';
import type { EdgeInput, NodeInput } from '../inputs.ts';
import { csv } from './csv.ts';
import type { Format, Item } from './format.ts';
import { graphml } from './graphml.ts';
import { jsonl } from './jsonl.ts';
import { mcpMemory } from './mcp-memory.ts';
import { nTriples } from './n-triples.ts';
import { tsv } from './tsv.ts';

/**
 * `jsonl` loses nothing. `graphml` lacks embeddings. `mcp-memory` is the file of the MCP memory server. `n-triples`
 * has ids, types, contents and edges; `tsv` and `csv` have edges.
 */
export type FormatName = 'jsonl' | 'graphml' | 'mcp-memory' | 'n-triples' | 'tsv' | 'csv';

export interface ImportOptions {
  /** Items per transaction. Default 10,000. */
  readonly batchSize?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ImportReport {
  readonly nodes: number;
  readonly edges: number;
}

const FORMATS: Readonly<Record<FormatName, Format>> = {
  jsonl,
  graphml,
  'mcp-memory': mcpMemory,
  'n-triples': nTriples,
  tsv,
  csv,
};

/** The graph as pieces of text, a node or an edge each; writes meanwhile may or may not be in it. */
export function exportGraph(graph: Graph, format: FormatName): Iterable<string> {
  return formatOf(format).write(graph);
}

/**
 * Puts everything a file describes, in transactions of `batchSize` items. What was put before an error stays.
 * @throws {GraphError} ERR_PERF_GRAPH_FORMAT when the text is not of that format.
 */
export async function importGraph(
  graph: Graph,
  format: FormatName,
  source: Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>,
  options: ImportOptions = {},
): Promise<ImportReport> {
  const reader = formatOf(format).reader();
  const { batchSize = 10_000, signal } = options;
  if (typeof batchSize !== 'number') throw new TypeError('batchSize must be a number');
  if (!Number.isInteger(batchSize) || batchSize < 1)
    throw new RangeError('batchSize must be an integer of at least 1');
  const target = new ImportBatch(graph, batchSize);
  const text = new Utf8();
  signal?.throwIfAborted();
  for await (const piece of source) {
    signal?.throwIfAborted();
    target.addAll(reader.read(typeof piece === 'string' ? piece : text.of(piece)));
  }
  signal?.throwIfAborted();
  target.addAll(reader.read(text.end()));
  target.addAll(reader.end());
  target.flush();
  return target.report;
}

/** Bytes to text, across pieces that end inside a character. */
class Utf8 {
  readonly #decoder = new TextDecoder('utf-8', { fatal: true });

  of(bytes: Uint8Array): string {
    return this.#decode(() => this.#decoder.decode(bytes, { stream: true }));
  }

  end(): string {
    return this.#decode(() => this.#decoder.decode());
  }

  #decode(decode: () => string): string {
    try {
      return decode();
    } catch (cause) {
      throw new GraphError('ERR_PERF_GRAPH_FORMAT', 'the bytes are not UTF-8', { cause });
    }
  }
}

class ImportBatch {
  readonly #graph: Graph;
  readonly #size: number;
  #nodes: NodeInput[] = [];
  #edges: EdgeInput[] = [];
  #nodeCount = 0;
  #edgeCount = 0;

  constructor(graph: Graph, size: number) {
    this.#graph = graph;
    this.#size = size;
  }

  get report(): ImportReport {
    return { nodes: this.#nodeCount, edges: this.#edgeCount };
  }

  addAll(items: Iterable<Item>): void {
    for (const item of items) {
      if ('node' in item) this.#nodes.push(item.node);
      else this.#edges.push(item.edge);
      if (this.#nodes.length + this.#edges.length >= this.#size) this.flush();
    }
  }

  /** Nodes before edges: an edge must not make a node that the same batch describes. */
  flush(): void {
    const [nodes, edges] = [this.#nodes, this.#edges];
    this.#nodes = [];
    this.#edges = [];
    this.#graph.transaction(() => {
      this.#graph.putNodes(nodes);
      this.#graph.putEdges(edges);
    });
    this.#nodeCount += nodes.length;
    this.#edgeCount += edges.length;
  }
}

function formatOf(name: FormatName): Format {
  if (!Object.hasOwn(FORMATS, name)) {
    throw new RangeError(`format must be one of ${Object.keys(FORMATS).join(', ')}`);
  }
  return FORMATS[name];
}
