/** A text that is edited and kept in chunks; after any edits its chunks are those of a fresh `chunkText`. */
import { SourceChunk, checkLimits, chunkText } from './chunk-text.ts';
import type { Chunk, ChunkLimitOptions } from './chunk-text.ts';
import { canonicalLanguage } from './language.ts';

/** Replaces the units from `start` to `end` (exclusive). */
export interface TextEdit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** `added`, `moved` and `kept` together are the chunks after the edit. */
export interface ChunkDelta {
  readonly added: readonly Chunk[];
  /** Ids. */
  readonly removed: readonly string[];
  /** Chunks whose text is as it was, at another offset. */
  readonly moved: readonly { readonly id: string; readonly from: number; readonly to: number }[];
  /** Chunks that are what and where they were. */
  readonly kept: number;
}

export class SourceDocument {
  readonly language: string;
  readonly #limits: ChunkLimitOptions;
  #text: string;
  #chunks: readonly Chunk[];

  private constructor(text: string, language: string, options: ChunkLimitOptions) {
    checkLimits(options);
    this.language = canonicalLanguage(language);
    this.#limits = { ...options };
    this.#text = text;
    this.#chunks = Object.freeze(chunkText(text, { ...options, language }));
  }

  /** @throws {TypeError | RangeError} when an option is wrong. */
  static open(text: string, language: string, options: ChunkLimitOptions = {}): SourceDocument {
    return new SourceDocument(text, language, options);
  }

  get text(): string {
    return this.#text;
  }

  /** In order; joined they are the text. A new array after each edit. */
  get chunks(): readonly Chunk[] {
    return this.#chunks;
  }

  /**
   * Applies one edit and says what it did to the chunks. Linear in the length of the text: it is cut anew, but chunks
   * that stay the same keep their ids and the tokens they have counted.
   * @throws {TypeError | RangeError} when the edit does not lie in the text; nothing has changed then.
   */
  edit(edit: TextEdit): ChunkDelta {
    const { start, end, text } = edit;
    if (typeof text !== 'string') throw new TypeError('text of an edit must be a string');
    if (
      !Number.isSafeInteger(start) ||
      !Number.isSafeInteger(end) ||
      start < 0 ||
      end < start ||
      end > this.#text.length
    ) {
      throw new RangeError(`start and end must lie in the text, 0 <= start <= end <= ${this.#text.length}`);
    }
    const edited = this.#text.slice(0, start) + text + this.#text.slice(end);
    const chunks = chunkText(edited, { ...this.#limits, language: this.language });
    const before = new Map(this.#chunks.map((chunk) => [chunk.id, chunk]));
    const added: Chunk[] = [];
    const moved: { id: string; from: number; to: number }[] = [];
    let kept = 0;
    for (const chunk of chunks) {
      const old = before.get(chunk.id);
      before.delete(chunk.id);
      if (old === undefined) added.push(chunk);
      else {
        SourceChunk.adoptTokens(chunk as SourceChunk, old as SourceChunk);
        if (old.start === chunk.start) kept++;
        else moved.push({ id: chunk.id, from: old.start, to: chunk.start });
      }
    }
    this.#text = edited;
    this.#chunks = Object.freeze(chunks);
    return { added, removed: [...before.keys()], moved, kept };
  }
}
