// The same edge lists as CSV (RFC 4180): a header, quotes where they are needed, line ends inside quotes.

import { GraphError } from '../errors.ts';
import type { Format, Item, ItemReader } from './format.ts';
import { edgeOf, fieldsOf } from './tsv.ts';

const HEADER = 'source,type,target,weight,validFromMs,validToMs';

export const csv: Format = {
  *write(graph) {
    yield `${HEADER}\r\n`;
    for (const edge of graph.edges()) yield `${fieldsOf(edge).map(quoted).join(',')}\r\n`;
  },
  reader: () => new CsvReader(),
};

function quoted(field: string): string {
  return /[",\r\n]/.test(field) || field === '' ? `"${field.replaceAll('"', '""')}"` : field;
}

/** A machine of four states, fed character by character, so that a piece of text may end anywhere. */
class CsvReader implements ItemReader {
  #state: 'start' | 'plain' | 'quoted' | 'quote in quoted' = 'start';
  #fields: string[] = [];
  #field = '';
  #number = 0;

  *read(text: string): Generator<Item> {
    for (const character of text) {
      if (this.#state === 'quoted') {
        if (character === '"') this.#state = 'quote in quoted';
        else this.#field += character;
      } else if (this.#state === 'quote in quoted' && character === '"') {
        this.#field += '"';
        this.#state = 'quoted';
      } else if (character === ',') {
        this.#endField();
      } else if (character === '\n') {
        this.#endField();
        yield* this.#endRecord();
      } else if (character === '"' && this.#state === 'start') {
        this.#state = 'quoted';
      } else if (character !== '\r') {
        this.#field += character;
        this.#state = 'plain';
      }
    }
  }

  *end(): Generator<Item> {
    if (this.#state === 'quoted') {
      throw new GraphError(
        'ERR_PERF_GRAPH_FORMAT',
        `the quotes of record ${this.#number + 1} are not closed`,
      );
    }
    if (this.#field === '' && this.#fields.length === 0 && this.#state === 'start') return;
    this.#endField();
    yield* this.#endRecord();
  }

  #endField(): void {
    this.#fields.push(this.#field);
    this.#field = '';
    this.#state = 'start';
  }

  *#endRecord(): Generator<Item> {
    const fields = this.#fields;
    this.#fields = [];
    this.#number++;
    if (fields.length === 1 && fields[0] === '') return;
    if (this.#number === 1 && fields.slice(0, 3).join() === 'source,type,target') return;
    yield edgeOf(fields, this.#number);
  }
}
