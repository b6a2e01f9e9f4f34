// GraphML (http://graphml.graphdrawing.org/specification.html): nodes, edges and their data, directed. Reads the part
// of XML that GraphML files use: elements, attributes, text, CDATA, comments, the five named and the numeric entities.
// Hyperedges, ports and nested graphs are not read; data under other keys becomes metadata.

import { GraphError } from '../errors.ts';
import type { GraphEdge, GraphNode, Json } from '../inputs.ts';
import { numberIn } from './format.ts';
import type { Format, Item, ItemReader } from './format.ts';

const NODE_KEYS = ['type', 'content', 'confidence', 'createdAtMs', 'metadata'] as const;
const EDGE_KEYS = ['type', 'weight', 'validFromMs', 'validToMs', 'metadata'] as const;

export const graphml: Format = {
  *write(graph) {
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n';
    for (const [of, keys] of [['node', NODE_KEYS] as const, ['edge', EDGE_KEYS] as const]) {
      for (const key of keys) {
        const type = key.endsWith('Ms') || key === 'weight' || key === 'confidence' ? 'double' : 'string';
        yield `<key id="${of}-${key}" for="${of}" attr.name="${key}" attr.type="${type}"/>\n`;
      }
    }
    yield '<graph edgedefault="directed">\n';
    for (const node of graph.nodes()) yield nodeText(node);
    for (const edge of graph.edges()) yield edgeText(edge);
    yield '</graph>\n</graphml>\n';
  },
  reader: () => new GraphmlReader(),
};

function nodeText(node: GraphNode): string {
  const data = NODE_KEYS.map((key) => dataText('node', key, node[key])).join('');
  return `<node id="${escaped(node.id)}">${data}</node>\n`;
}

function edgeText(edge: GraphEdge): string {
  const data = EDGE_KEYS.map((key) => dataText('edge', key, edge[key])).join('');
  return `<edge source="${escaped(edge.source)}" target="${escaped(edge.target)}">${data}</edge>\n`;
}

function dataText(of: 'node' | 'edge', key: string, value: Json | undefined): string {
  if (value === undefined) return '';
  const text = key !== 'metadata' && typeof value === 'string' ? value : JSON.stringify(value);
  return `<data key="${of}-${key}">${escaped(text)}</data>`;
}

type Attributes = Readonly<Record<string, string>>;

class GraphmlReader implements ItemReader {
  #text = '';
  /** Names of keys by their id. */
  readonly #names = new Map<string, string>();
  #element: { readonly kind: 'node' | 'edge'; readonly attributes: Attributes } | undefined;
  #data: Map<string, string> = new Map();
  #key: string | undefined;
  #value = '';

  *read(text: string): Generator<Item> {
    this.#text += text;
    for (;;) {
      const start = this.#text.indexOf('<');
      const end = start === -1 ? -1 : endOfTag(this.#text, start);
      if (end === -1) return;
      if (this.#key !== undefined) this.#value += unescaped(this.#text.slice(0, start));
      const tag = this.#text.slice(start, end);
      this.#text = this.#text.slice(end);
      yield* this.#tag(tag);
    }
  }

  *end(): Generator<Item> {
    if (this.#text.trim() !== '' || this.#element !== undefined) {
      throw new GraphError('ERR_PERF_GRAPH_FORMAT', 'the GraphML ends inside an element');
    }
    yield* [];
  }

  *#tag(tag: string): Generator<Item> {
    if (tag.startsWith('<![CDATA[')) {
      if (this.#key !== undefined) this.#value += tag.slice(9, -3);
      return;
    }
    if (tag.startsWith('<!') || tag.startsWith('<?')) return;
    const isEnd = tag.startsWith('</');
    const name = /^<\/?(?:[\w.-]+:)?([\w.-]+)/.exec(tag)?.[1];
    if (name === undefined)
      throw new GraphError('ERR_PERF_GRAPH_FORMAT', `not an element: ${tag.slice(0, 80)}`);
    const isEmpty = tag.endsWith('/>');
    if (!isEnd) this.#open(name, attributesOf(tag));
    if (isEnd || isEmpty) yield* this.#close(name);
  }

  #open(name: string, attributes: Attributes): void {
    if (name === 'key')
      this.#names.set(attributes['id'] ?? '', attributes['attr.name'] ?? attributes['id'] ?? '');
    if (name === 'node' || name === 'edge') this.#element = { kind: name, attributes };
    if (name === 'data') {
      this.#key = attributes['key'] ?? '';
      this.#value = '';
    }
  }

  *#close(name: string): Generator<Item> {
    if (name === 'data' && this.#key !== undefined) {
      this.#data.set(this.#names.get(this.#key) ?? this.#key, this.#value);
      this.#key = undefined;
    }
    if ((name !== 'node' && name !== 'edge') || this.#element === undefined) return;
    const { attributes } = this.#element;
    const data = this.#data;
    this.#element = undefined;
    this.#data = new Map();
    yield name === 'node' ? nodeOf(attributes, data) : edgeOf(attributes, data);
  }
}

function nodeOf(attributes: Attributes, data: ReadonlyMap<string, string>): Item {
  return {
    node: {
      id: attributes['id'] ?? '',
      type: data.get('type') ?? '',
      content: data.get('content'),
      confidence: numberIn(data.get('confidence')),
      createdAtMs: numberIn(data.get('createdAtMs')),
      metadata: metadataOf(data, NODE_KEYS),
    },
  };
}

function edgeOf(attributes: Attributes, data: ReadonlyMap<string, string>): Item {
  return {
    edge: {
      source: attributes['source'] ?? '',
      target: attributes['target'] ?? '',
      type: data.get('type') ?? '',
      weight: numberIn(data.get('weight')),
      validFromMs: numberIn(data.get('validFromMs')),
      validToMs: numberIn(data.get('validToMs')),
      metadata: metadataOf(data, EDGE_KEYS),
    },
  };
}

function metadataOf(data: ReadonlyMap<string, string>, known: readonly string[]): Json | undefined {
  const text = data.get('metadata');
  if (text !== undefined) {
    try {
      return JSON.parse(text) as Json;
    } catch {
      // Somebody else's key of that name: text like any other.
      return { metadata: text };
    }
  }
  const others = [...data].filter(([key]) => !known.includes(key));
  return others.length === 0 ? undefined : Object.fromEntries(others);
}

/** Where the tag that begins at `start` ends, or -1 when it is not all there. */
function endOfTag(text: string, start: number): number {
  for (const [opening, closing] of [
    ['<![CDATA[', ']]>'],
    ['<!--', '-->'],
    ['<?', '?>'],
  ] as const) {
    if (text.startsWith(opening, start)) {
      const end = text.indexOf(closing, start + opening.length);
      return end === -1 ? -1 : end + closing.length;
    }
    // The piece may end inside the opening itself.
    if (opening.startsWith(text.slice(start)) && text.length - start < opening.length) return -1;
  }
  let quote = '';
  for (let at = start; at < text.length; at++) {
    const character = text[at];
    if (quote !== '') {
      if (character === quote) quote = '';
    } else if (character === '"' || character === "'") {
      quote = character;
    } else if (character === '>') {
      return at + 1;
    }
  }
  return -1;
}

function attributesOf(tag: string): Attributes {
  const attributes: Record<string, string> = {};
  for (const [, name, double, single] of tag.matchAll(/([\w.:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g)) {
    attributes[name ?? ''] = unescaped(double ?? single ?? '');
  }
  return attributes;
}

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** Line ends and tabs as references: an XML reader would make spaces of them in attributes. */
function escaped(text: string): string {
  return text
    .replace(/[&<>"]/g, (character) => ESCAPES[character] ?? character)
    .replace(/[\t\n\r]/g, (character) => `&#${character.charCodeAt(0)};`);
}

function unescaped(text: string): string {
  return text.replace(/&(?:#x([0-9A-Fa-f]+)|#(\d+)|(\w+));/g, (whole, hex, decimal, name: string) => {
    if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex as string, 16));
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
    return ENTITIES[name] ?? whole;
  });
}
