// What a file format is to the graph: a way to write it as text, and a way to read text as nodes and edges.

import type { EdgeInput, GraphEdge, GraphNode, NodeInput } from '../inputs.ts';

/** One thing read from a file. */
export type Item = { readonly node: NodeInput } | { readonly edge: EdgeInput };

/** Everything a format can write. Both can be walked more than once. */
export interface GraphContents {
  nodes(): Iterable<GraphNode>;
  edges(): Iterable<GraphEdge>;
}

export interface Format {
  /** Pieces of text, in order. */
  write(graph: GraphContents): Iterable<string>;
  /** A reader that is fed pieces of text, cut anywhere, and told the end. */
  reader(): ItemReader;
}

export interface ItemReader {
  read(text: string): Iterable<Item>;
  end(): Iterable<Item>;
}

/** A reader of formats whose items are lines. */
export class LineReader implements ItemReader {
  readonly #itemsOf: (line: string, number: number) => Iterable<Item>;
  #rest = '';
  #number = 0;

  constructor(itemsOf: (line: string, number: number) => Iterable<Item>) {
    this.#itemsOf = itemsOf;
  }

  *read(text: string): Generator<Item> {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) yield* this.#line(line);
  }

  *end(): Generator<Item> {
    const last = this.#rest;
    this.#rest = '';
    yield* this.#line(last);
  }

  *#line(line: string): Generator<Item> {
    this.#number++;
    const text = line.endsWith('\r') ? line.slice(0, -1) : line;
    if (text.trim() !== '') yield* this.#itemsOf(text, this.#number);
  }
}

/** The number in a field, or undefined when it is empty. */
export function numberIn(text: string | undefined): number | undefined {
  return text === undefined || text === '' ? undefined : Number(text);
}
