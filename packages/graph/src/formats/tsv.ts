// Edge lists: source, type, target and optionally weight, validFromMs, validToMs, separated by tabs. Tabs, line ends
// and backslashes inside a field are written as \t, \n, \r and \\. Nodes come with their edges; those without, and
// what nodes carry, are left out.

import { GraphError } from '../errors.ts';
import type { GraphEdge } from '../inputs.ts';
import { LineReader, numberIn } from './format.ts';
import type { Format, Item } from './format.ts';

export const tsv: Format = {
  *write(graph) {
    for (const edge of graph.edges()) yield `${fieldsOf(edge).map(escaped).join('\t')}\n`;
  },
  reader: () => new LineReader(itemsOf),
};

/** The columns of an edge; empty ones at the end are left out. */
export function fieldsOf({ source, type, target, weight, validFromMs, validToMs }: GraphEdge): string[] {
  const isPlain = weight === 1 && validFromMs === undefined && validToMs === undefined;
  if (isPlain) return [source, type, target];
  return [source, type, target, String(weight), String(validFromMs ?? ''), String(validToMs ?? '')];
}

/** @throws {GraphError} ERR_PERF_GRAPH_FORMAT when there are too few fields. */
export function edgeOf(fields: readonly string[], number: number): Item {
  const [source, type, target, weight, validFromMs, validToMs] = fields;
  if (source === undefined || type === undefined || target === undefined) {
    throw new GraphError(
      'ERR_PERF_GRAPH_FORMAT',
      `line ${number} has ${fields.length} fields, an edge has three`,
    );
  }
  return {
    edge: {
      source,
      type,
      target,
      weight: numberIn(weight),
      validFromMs: numberIn(validFromMs),
      validToMs: numberIn(validToMs),
    },
  };
}

function* itemsOf(line: string, number: number): Generator<Item> {
  yield edgeOf(line.split('\t').map(unescaped), number);
}

const ESCAPES: Readonly<Record<string, string>> = { '\t': '\\t', '\n': '\\n', '\r': '\\r', '\\': '\\\\' };
const UNESCAPES: Readonly<Record<string, string>> = { '\\t': '\t', '\\n': '\n', '\\r': '\r', '\\\\': '\\' };

function escaped(field: string): string {
  return field.replace(/[\t\n\r\\]/g, (character) => ESCAPES[character] ?? character);
}

function unescaped(field: string): string {
  return field.includes('\\') ? field.replace(/\\[tnr\\]/g, (escape) => UNESCAPES[escape] ?? escape) : field;
}
