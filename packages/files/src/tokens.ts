/**
 * Token counts under OpenAI's o200k_base encoding, by gpt-tokenizer. The vocabulary (2.4 MB, about 0.1 s to load) is
 * loaded at the first count and not before; no other encoding is.
 */
import { createRequire } from 'node:module';

export interface TokenOptions {
  readonly encoding?: 'o200k_base';
}

interface Encoding {
  countTokens(text: string, options: typeof PLAIN): number;
  encodeGenerator(text: string, options: typeof PLAIN): Iterable<readonly number[]>;
  decode(tokens: Iterable<number>): string;
}

/** Text that looks like a special token ("<|endoftext|>") is text: what is counted comes from files and tools. */
const PLAIN = { disallowedSpecial: new Set<string>() };

// The encoding's own CommonJS file, through `require`, because a synchronous function cannot wait for an import;
// Node keeps the module, so this is a map look-up after the first call.
const require = createRequire(import.meta.url);

function o200k(): Encoding {
  return require('gpt-tokenizer/encoding/o200k_base') as Encoding;
}

function check(text: string, options: TokenOptions): void {
  if (typeof text !== 'string') throw new TypeError('text must be a string');
  if (options.encoding !== undefined && options.encoding !== 'o200k_base') {
    throw new RangeError(`encoding must be 'o200k_base', not ${JSON.stringify(options.encoding)}`);
  }
}

/** Number of tokens of the text. Linear, except in runs of thousands of letters without a break: quadratic in those. */
export function countTokens(text: string, options: TokenOptions = {}): number {
  check(text, options);
  return o200k().countTokens(text, PLAIN);
}

/**
 * The longest beginning found that has at most `maxTokens` tokens and ends between two code points; the text itself when
 * it fits. Reads no further than it must.
 * @throws {RangeError} when `maxTokens` is not an integer, 0 or more.
 */
export function truncateToTokens(text: string, maxTokens: number, options: TokenOptions = {}): string {
  check(text, options);
  if (!Number.isSafeInteger(maxTokens) || maxTokens < 0) {
    throw new RangeError('maxTokens must be an integer, 0 or more');
  }
  const encoding = o200k();
  // The encoder yields the tokens of one word at a time; words are whole code points, tokens need not be.
  const words: (readonly number[])[] = [];
  let tokens = 0;
  let straddling: readonly number[] | undefined;
  for (const word of encoding.encodeGenerator(text, PLAIN)) {
    if (tokens + word.length > maxTokens) {
      straddling = word;
      break;
    }
    words.push(word);
    tokens += word.length;
  }
  if (straddling === undefined) return text;
  let start = encoding.decode(words.flat()).length;
  let end = start + encoding.decode(straddling).length;
  // Part of the word that straddles the limit fits: the longest part, found by halving.
  while (end - start > 1) {
    const middle = start + ((end - start) >>> 1);
    if (encoding.countTokens(text.slice(0, codePointStart(text, middle)), PLAIN) <= maxTokens) start = middle;
    else end = middle;
  }
  start = codePointStart(text, start);
  // Cutting can change how the last words are split; then words are given up until the count holds.
  while (encoding.countTokens(text.slice(0, start), PLAIN) > maxTokens) {
    start = codePointStart(
      text,
      words.length === 0 ? start - 1 : start - encoding.decode(words.pop() ?? []).length,
    );
  }
  return text.slice(0, start);
}

/** `index`, or one less when it is inside a surrogate pair. */
export function codePointStart(text: string, index: number): number {
  const inside = isLow(text.charCodeAt(index)) && isHigh(text.charCodeAt(index - 1));
  return inside ? index - 1 : index;
}

function isHigh(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

function isLow(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}
