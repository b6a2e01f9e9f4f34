/** The face of chunking: options, chunks, and what each chunk is called. */
import { hash } from 'node:crypto';
import { nextCut } from './chunker.ts';
import type { ChunkLimits } from './chunker.ts';
import { canonicalLanguage, hasGrammar } from './language.ts';
import { outlineOf } from './syntax-tree.ts';
import type { Item, Outline } from './syntax-tree.ts';
import { countTokens } from './tokens.ts';

export interface ChunkLimitOptions {
  /** UTF-16 units in a chunk at most, 2 or more. Default 4000, or no limit but `maxTokens` when that is given. */
  readonly maxChars?: number;
  /** o200k_base tokens in a chunk at most, 16 or more. Default: no limit. */
  readonly maxTokens?: number;
}

export interface ChunkOptions extends ChunkLimitOptions {
  /** A name or a file extension; one that is not known is plain text. */
  readonly language: string;
}

export interface Chunk {
  /** From kind, name, path and text; the same chunk has the same id after edits elsewhere. Unique in its document. */
  readonly id: string;
  readonly text: string;
  /** UTF-16 offsets in the document; `end` is exclusive. */
  readonly start: number;
  readonly end: number;
  /** Lines of its first and last character, from 1. */
  readonly startLine: number;
  readonly endLine: number;
  /**
   * What it is, or is part of: `'function' | 'method' | 'class' | 'interface' | 'type' | 'struct' | 'impl' | 'enum' |
   * 'module' | 'variable' | 'import' | 'comment' | 'code'`, `'block'` for several different things, `'text'` for plain
   * text, `'unparsed'` for a language whose grammar is not loaded and which was therefore cut as text.
   */
  readonly kind: string;
  /** Of the declaration it is or is part of. */
  readonly name?: string;
  /** Names of the declarations around that one, outermost first. */
  readonly path: readonly string[];
  /** o200k_base tokens; counted when first read. */
  readonly tokens: number;
}

/** A chunk may span at most this many units per token when only `maxTokens` limits it. */
const MAX_CHARS_PER_TOKEN = 16;

/** @throws {TypeError | RangeError} naming the option that is wrong. */
export function checkLimits(options: ChunkLimitOptions): ChunkLimits {
  const { maxTokens } = options;
  if (maxTokens !== undefined && (!Number.isSafeInteger(maxTokens) || maxTokens < 16)) {
    throw new RangeError('maxTokens must be an integer, 16 or more');
  }
  const maxChars = options.maxChars ?? (maxTokens === undefined ? 4000 : maxTokens * MAX_CHARS_PER_TOKEN);
  if (!Number.isSafeInteger(maxChars) || maxChars < 2) {
    throw new RangeError('maxChars must be an integer, 2 or more');
  }
  return { maxChars, maxTokens };
}

/**
 * Cuts a text into chunks that, joined, are the text exactly. Where the language's grammar is loaded (`loadLanguage`),
 * between and inside declarations; elsewhere between paragraphs and lines.
 * @throws {TypeError | RangeError} when an option is wrong.
 */
export function chunkText(text: string, options: ChunkOptions): Chunk[] {
  if (typeof text !== 'string') throw new TypeError('text must be a string');
  const language = canonicalLanguage(options?.language);
  const limits = checkLimits(options);
  const outline = outlineOf(text, language, limits.maxChars);
  const builder = new ChunkBuilder(textKind(language), outline);
  const chunks: Chunk[] = [];
  for (let from = 0; from < text.length;) {
    const cut = nextCut(text, from, limits, outline);
    chunks.push(builder.next(text.slice(from, cut)));
    from = cut;
  }
  return chunks;
}

/** The kind of chunks cut as text. */
export function textKind(language: string): 'text' | 'unparsed' {
  return hasGrammar(language) ? 'unparsed' : 'text';
}

/** Makes chunks of consecutive pieces of one document. */
export class ChunkBuilder {
  readonly #kind: string;
  readonly #outline: Outline | undefined;
  readonly #seen = new Map<string, number>();
  #start = 0;
  #line = 1;

  constructor(kind: string, outline: Outline | undefined) {
    this.#kind = kind;
    this.#outline = outline;
  }

  next(text: string): SourceChunk {
    const start = this.#start;
    const end = start + text.length;
    const startLine = this.#line;
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) this.#line++;
    const endLine = text.endsWith('\n') ? this.#line - 1 : this.#line;
    this.#start = end;
    const label =
      this.#outline === undefined
        ? { kind: this.#kind, name: undefined, path: [] }
        : labelOf(this.#outline, text, start);
    const contentId = hash('sha256', JSON.stringify([label.kind, label.name, label.path]) + text).slice(
      0,
      24,
    );
    const nth = this.#seen.get(contentId) ?? 0;
    this.#seen.set(contentId, nth + 1);
    return new SourceChunk(contentId, nth, text, { start, end, startLine, endLine }, label);
  }
}

interface Label {
  readonly kind: string;
  readonly name: string | undefined;
  readonly path: readonly string[];
}

interface Place {
  readonly start: number;
  readonly end: number;
  readonly startLine: number;
  readonly endLine: number;
}

export class SourceChunk implements Chunk {
  readonly id: string;
  readonly text: string;
  readonly start: number;
  readonly end: number;
  readonly startLine: number;
  readonly endLine: number;
  readonly kind: string;
  declare readonly name?: string;
  readonly path: readonly string[];
  readonly #contentId: string;
  #tokens: number | undefined;

  constructor(contentId: string, nth: number, text: string, place: Place, label: Label) {
    this.id = nth === 0 ? contentId : `${contentId}-${nth}`;
    this.text = text;
    this.start = place.start;
    this.end = place.end;
    this.startLine = place.startLine;
    this.endLine = place.endLine;
    this.kind = label.kind;
    this.path = label.path;
    if (label.name !== undefined) this.name = label.name;
    this.#contentId = contentId;
  }

  get tokens(): number {
    this.#tokens ??= countTokens(this.text);
    return this.#tokens;
  }

  /** The id without what tells equal chunks of one document apart. */
  static contentIdOf(chunk: SourceChunk): string {
    return chunk.#contentId;
  }

  /** Takes over what an equal chunk has counted. */
  static adoptTokens(chunk: SourceChunk, from: SourceChunk): void {
    chunk.#tokens ??= from.#tokens;
  }

  toJSON(): Chunk {
    const { id, text, start, end, startLine, endLine, kind, name, path, tokens } = this;
    const known = { id, text, start, end, startLine, endLine, kind, path, tokens };
    return name === undefined ? known : { ...known, name };
  }
}

/** Blanks and closing brackets at the end. */
const CLOSERS = /[\s\])};,]+$/;

/** The innermost item that holds all of the chunk but blanks and closing brackets, else what the items in it have in common. */
function labelOf(outline: Outline, text: string, start: number): Label {
  const from = start + (text.length - text.trimStart().length);
  // The bracket that closes a class after its last method does not make the chunk more than that method.
  const to = start + text.replace(CLOSERS, '').length;
  let items: readonly Item[] = outline.items;
  let best: Item | undefined;
  for (;;) {
    const inside: Item | undefined = items[indexOfLastStart(items, from)];
    if (inside === undefined || inside.end < to) break;
    if (inside.kind !== 'code' || best === undefined) best = inside;
    items = inside.children;
  }
  if (best !== undefined) return { kind: best.kind, name: best.name, path: best.path };
  const kinds = new Set<string>();
  for (let i = Math.max(0, indexOfLastStart(outline.items, from)); i < outline.items.length; i++) {
    const item = outline.items[i] as Item;
    if (item.start >= to) break;
    if (item.end > from) kinds.add(item.kind);
    if (kinds.size > 1) break;
  }
  const [only] = kinds;
  return { kind: kinds.size === 1 && only !== undefined ? only : 'block', name: undefined, path: [] };
}

function indexOfLastStart(items: readonly Item[], offset: number): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((items[middle] as Item).start <= offset) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
