// The graph's own format: one JSON object per line, `{"node": ...}` or `{"edge": ...}`. Loses nothing.

import { GraphError } from '../errors.ts';
import type { EdgeInput, NodeInput } from '../inputs.ts';
import { LineReader } from './format.ts';
import type { Format, Item } from './format.ts';

export const jsonl: Format = {
  *write(graph) {
    for (const { embedding, ...node } of graph.nodes()) {
      // A float32 is written as the shortest double that is the same float32 when it comes back.
      yield `${JSON.stringify({ node: embedding === undefined ? node : { ...node, embedding: [...embedding] } })}\n`;
    }
    for (const edge of graph.edges()) yield `${JSON.stringify({ edge })}\n`;
  },
  reader: () => new LineReader(itemsOf),
};

function* itemsOf(line: string, number: number): Generator<Item> {
  const { node, edge } = parsed(line, number) as { node?: NodeInput; edge?: EdgeInput };
  if (typeof node === 'object' && node !== null) {
    const embedding = node.embedding as unknown;
    yield {
      node: Array.isArray(embedding)
        ? { ...node, embedding: Float32Array.from(embedding as number[]) }
        : node,
    };
  } else if (typeof edge === 'object' && edge !== null) {
    yield { edge };
  } else {
    throw new GraphError('ERR_PERF_GRAPH_FORMAT', `line ${number} is neither a node nor an edge`);
  }
}

/** @throws {GraphError} ERR_PERF_GRAPH_FORMAT when the line is not a JSON object. */
export function parsed(line: string, number: number): object {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new GraphError('ERR_PERF_GRAPH_FORMAT', `line ${number} is not JSON`, { cause });
  }
  if (typeof value !== 'object' || value === null) {
    throw new GraphError('ERR_PERF_GRAPH_FORMAT', `line ${number} is not a JSON object`);
  }
  return value;
}
