/**
 * Where a text is cut. One rule for all texts: walk from the front, and end each chunk at the best boundary that its
 * limits allow.
 *
 * Boundaries of syntax come first, those between larger wholes before those inside; then blank lines, line ends, blanks,
 * and last any place between two code points. Among equally good ones in the second half of what is allowed, the one
 * whose preceding characters have the lowest hash is taken, not the last: where an edit has shifted everything, two
 * sequences of cuts meet again after a few chunks, as in content-defined chunking (LBFS; Muthitacharoen, Chen, Mazieres,
 * SOSP 2001), and chunks far from the edit stay the same.
 *
 * Invariants: a cut is after `from`, at most `maxChars` units away, never inside a surrogate pair or a CR LF; what follows
 * the cut by more than two units has no say in it, so a stream is cut like the whole.
 */
import type { Outline } from './syntax-tree.ts';
import { codePointStart, countTokens, truncateToTokens } from './tokens.ts';

export interface ChunkLimits {
  readonly maxChars: number;
  readonly maxTokens: number | undefined;
}

/** Units before a boundary that its hash is made of. */
const HASHED_UNITS = 32;

/** End of the chunk that begins at `from`. */
export function nextCut(
  text: string,
  from: number,
  limits: ChunkLimits,
  outline: Outline | undefined,
): number {
  let limit = Math.min(text.length, from + limits.maxChars);
  const { maxTokens } = limits;
  if (maxTokens !== undefined) {
    limit = from + truncateToTokens(text.slice(from, codePointStart(text, limit)), maxTokens).length;
  }
  if (limit >= text.length) return text.length;
  const best = syntaxCut(text, from, limit, outline) ?? textCut(text, from, limit);
  const cut = whole(text, best);
  // A part of a text can have more tokens than the whole, where the cut changes how words are split.
  if (maxTokens !== undefined && countTokens(text.slice(from, cut)) > maxTokens) {
    return whole(text, from + truncateToTokens(text.slice(from, cut), maxTokens).length);
  }
  return cut;
}

/** `cut`, or one less when it would part a surrogate pair or a CR LF. */
function whole(text: string, cut: number): number {
  if (text.charCodeAt(cut) === 10 && text.charCodeAt(cut - 1) === 13) return cut - 1;
  return codePointStart(text, cut);
}

function syntaxCut(
  text: string,
  from: number,
  limit: number,
  outline: Outline | undefined,
): number | undefined {
  if (outline === undefined) return undefined;
  const { offsets, ranks } = outline;
  const half = from + ((limit - from) >>> 1);
  let best: number | undefined;
  let bestRank = Infinity;
  let bestHash = Infinity;
  for (let i = firstAbove(offsets, from); i < offsets.length; i++) {
    const offset = offsets[i] as number;
    if (offset > limit) break;
    const rank = ranks[i] as number;
    if (rank > bestRank) continue;
    // In the first half a later boundary is better; in the second the hash decides.
    const hash = offset < half ? Infinity : boundaryHash(text, from, offset);
    if (rank < bestRank || hash <= bestHash) {
      best = offset;
      bestRank = rank;
      bestHash = hash;
    }
  }
  return best;
}

function firstAbove(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as number) > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

function textCut(text: string, from: number, limit: number): number {
  const half = from + ((limit - from) >>> 1);
  // A slice, so that a search in a text without line ends stops at the limit.
  const window = text.slice(from, limit);
  let line = -1;
  let lineHash = Infinity;
  let paragraph = -1;
  let paragraphHash = Infinity;
  for (let at = window.indexOf('\n', half - from - 1); at !== -1; at = window.indexOf('\n', at + 1)) {
    const offset = from + at + 1;
    const hash = boundaryHash(text, from, offset);
    if (hash <= lineHash) {
      line = offset;
      lineHash = hash;
    }
    if (hash <= paragraphHash && endsParagraph(text, from, offset)) {
      paragraph = offset;
      paragraphHash = hash;
    }
  }
  if (paragraph !== -1) return paragraph;
  if (line !== -1) return line;
  const earlier = window.lastIndexOf('\n');
  if (earlier !== -1) return from + earlier + 1;
  for (let at = limit; at > half; at--) {
    const unit = text.charCodeAt(at - 1);
    if (unit === 32 || unit === 9) return at;
  }
  return limit;
}

/** Whether an empty line ends at `offset` and none begins there. */
function endsParagraph(text: string, from: number, offset: number): boolean {
  const next = text.charCodeAt(offset);
  if (next === 10 || next === 13) return false;
  let at = offset - 2;
  if (at >= from && text.charCodeAt(at) === 13) at--;
  return at >= from && text.charCodeAt(at) === 10;
}

/** FNV-1a of the units before the boundary, not reaching into the chunk before. */
function boundaryHash(text: string, from: number, offset: number): number {
  let hash = 0x811c9dc5;
  for (let i = Math.max(from, offset - HASHED_UNITS); i < offset; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  return hash >>> 0;
}
