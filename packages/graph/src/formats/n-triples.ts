// N-Triples (https://www.w3.org/TR/n-triples/). An edge is a triple of three IRIs; a node's type is rdf:type, its
// content rdfs:comment; other literals become metadata of their subject, by predicate. Ids and types that are not
// IRIs are written as urn:perf: and percent-encoded, and come back as they were.
//
// A subject is put when the next one begins, so a file sorted by subject keeps everything; weights and validity of
// edges and the confidence of nodes have no place in a triple and are left out.

import { GraphError } from '../errors.ts';
import type { Json } from '../inputs.ts';
import { LineReader } from './format.ts';
import type { Format, Item, ItemReader } from './format.ts';

const RDF_TYPE = 'http://www.w3.org/1999/02/22-rdf-syntax-ns#type';
const RDFS_COMMENT = 'http://www.w3.org/2000/01/rdf-schema#comment';
const OWN = 'urn:perf:';

export const nTriples: Format = {
  *write(graph) {
    for (const { id, type, content } of graph.nodes()) {
      yield `${term(id)} <${RDF_TYPE}> ${term(type)} .\n`;
      if (content !== undefined) yield `${term(id)} <${RDFS_COMMENT}> ${literal(content)} .\n`;
    }
    for (const { source, type, target } of graph.edges()) {
      yield `${term(source)} ${predicateOf(type)} ${term(target)} .\n`;
    }
  },
  reader: () => new TripleReader(),
};

class TripleReader implements ItemReader {
  readonly #lines = new LineReader((line, number) => this.#triple(line, number));
  #subject: string | undefined;
  #type = '';
  #content: string | undefined;
  #metadata: Record<string, Json> = {};
  #isDescribed = false;

  read(text: string): Iterable<Item> {
    return this.#lines.read(text);
  }

  *end(): Generator<Item> {
    yield* this.#lines.end();
    yield* this.#finish();
  }

  *#triple(line: string, number: number): Generator<Item> {
    if (line.trimStart().startsWith('#')) return;
    const match = TRIPLE.exec(line);
    if (match === null) throw new GraphError('ERR_PERF_GRAPH_FORMAT', `line ${number} is not a triple`);
    const [, subjectTerm = '', predicate = '', iri, text] = match;
    const subject = idOf(subjectTerm);
    if (subject !== this.#subject) {
      yield* this.#finish();
      this.#subject = subject;
    }
    if (iri !== undefined && predicate !== `<${RDF_TYPE}>`) {
      yield { edge: { source: subject, type: idOf(predicate), target: idOf(iri) } };
      return;
    }
    this.#isDescribed = true;
    if (iri !== undefined) this.#type = idOf(iri);
    else if (predicate === `<${RDFS_COMMENT}>`) this.#content = unescaped(text ?? '');
    else this.#metadata[idOf(predicate)] = unescaped(text ?? '');
  }

  *#finish(): Generator<Item> {
    if (this.#isDescribed && this.#subject !== undefined) {
      const metadata = Object.keys(this.#metadata).length === 0 ? undefined : this.#metadata;
      yield { node: { id: this.#subject, type: this.#type, content: this.#content, metadata } };
    }
    this.#type = '';
    this.#content = undefined;
    this.#metadata = {};
    this.#isDescribed = false;
  }
}

/** Subject, predicate, then an IRI or blank node, or a literal with its language or type. */
const TRIPLE =
  /^\s*(<[^>]*>|_:\S+)\s+(<[^>]*>)\s+(?:(<[^>]*>|_:\S+)|"((?:[^"\\]|\\.)*)"(?:@[A-Za-z0-9-]+|\^\^<[^>]*>)?)\s*\.\s*(?:#.*)?$/;
const IRI = /^[a-z][a-z0-9+.-]*:[^\s<>"{}|^`\\]*$/i;

function term(name: string): string {
  return /^_:\w+$/.test(name) ? name : iriOf(name);
}

/** Never a blank node, and never the predicate that says what a node is. */
function predicateOf(type: string): string {
  return type === RDF_TYPE ? ownIri(type) : iriOf(type);
}

function iriOf(name: string): string {
  return IRI.test(name) && !name.startsWith(OWN) ? `<${name}>` : ownIri(name);
}

function ownIri(name: string): string {
  return `<${OWN}${encodeURIComponent(name)}>`;
}

function idOf(text: string): string {
  if (text.startsWith('_:')) return text;
  const iri = unescaped(text.slice(1, -1));
  return iri.startsWith(OWN) ? decodeURIComponent(iri.slice(OWN.length)) : iri;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '"': '\\"',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};
const UNESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f' };

function literal(text: string): string {
  return `"${text.replace(/[\\"\n\r\t]/g, (character) => ESCAPES[character] ?? character)}"`;
}

function unescaped(text: string): string {
  return text.replace(/\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))/g, (_, short, long, plain: string) => {
    const code = (short ?? long) as string | undefined;
    return code === undefined ? (UNESCAPES[plain] ?? plain) : String.fromCodePoint(Number.parseInt(code, 16));
  });
}
