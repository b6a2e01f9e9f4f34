// The file of the Model Context Protocol's reference memory server: entities with observations, and relations.
// https://github.com/modelcontextprotocol/servers/tree/main/src/memory
//
// An entity is a node; its observations are the lines of the content, and in the metadata as they were, so that they
// come out as they went in. What that format has no place for (weights, validity, embeddings) is left out.

import { GraphError } from '../errors.ts';
import type { GraphNode } from '../inputs.ts';
import { LineReader } from './format.ts';
import type { Format, Item } from './format.ts';
import { parsed } from './jsonl.ts';

export const mcpMemory: Format = {
  *write(graph) {
    for (const node of graph.nodes()) {
      const observations = observationsOf(node);
      yield `${JSON.stringify({ type: 'entity', name: node.id, entityType: node.type, observations })}\n`;
    }
    for (const { source, target, type } of graph.edges()) {
      yield `${JSON.stringify({ type: 'relation', from: source, to: target, relationType: type })}\n`;
    }
  },
  reader: () => new LineReader(itemsOf),
};

function observationsOf({ metadata, content }: GraphNode): readonly string[] {
  if (typeof metadata === 'object' && metadata !== null && 'observations' in metadata) {
    const { observations } = metadata;
    if (isStrings(observations)) return observations;
  }
  return content === undefined ? [] : content.split('\n');
}

function* itemsOf(line: string, number: number): Generator<Item> {
  const { type, name, entityType, observations, from, to, relationType } = parsed(line, number) as Record<
    string,
    unknown
  >;
  if (
    type === 'entity' &&
    typeof name === 'string' &&
    typeof entityType === 'string' &&
    isStrings(observations)
  ) {
    const content = observations.length === 0 ? undefined : observations.join('\n');
    yield { node: { id: name, type: entityType, content, metadata: { observations } } };
  } else if (
    type === 'relation' &&
    typeof from === 'string' &&
    typeof to === 'string' &&
    typeof relationType === 'string'
  ) {
    yield { edge: { source: from, target: to, type: relationType } };
  } else {
    throw new GraphError('ERR_PERF_GRAPH_FORMAT', `line ${number} is neither an entity nor a relation`);
  }
}

function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
