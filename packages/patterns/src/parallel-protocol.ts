/** What a ParallelMatcher and its workers say to each other. */

export interface MatcherWorkerData {
  /** A serialised set. */
  readonly set: Uint8Array;
}

export interface MatcherTask {
  readonly kind: 'ids' | 'all';
  /** UTF-16 units of all texts, one after the other. */
  readonly units: SharedArrayBuffer;
  readonly lengths: Uint32Array;
  /** Ids not to run. */
  readonly quarantined: readonly string[];
  /** Int32 cells by the PROGRESS_ constants. */
  readonly progress: SharedArrayBuffer;
}

/** The text at hand, counted within the batch. */
export const PROGRESS_TEXT = 0;
/** 1 + the ordinal of the pattern that is running; 0 when none is. */
export const PROGRESS_PATTERN = 1;
/** Grows with every pattern that is started. */
export const PROGRESS_SEQUENCE = 2;
export const PROGRESS_CELLS = 3;

const UNIT_BYTES = 2;

export function packTexts(texts: readonly string[]): { units: SharedArrayBuffer; lengths: Uint32Array } {
  const lengths = Uint32Array.from(texts, (text) => text.length);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const units = new SharedArrayBuffer(Math.max(1, total * UNIT_BYTES));
  const bytes = Buffer.from(units);
  let at = 0;
  for (const text of texts) at += bytes.write(text, at, 'utf16le');
  return { units, lengths };
}

export function* textsOf({ units, lengths }: Pick<MatcherTask, 'units' | 'lengths'>): Generator<string> {
  const bytes = Buffer.from(units);
  let at = 0;
  for (const length of lengths) {
    yield bytes.toString('utf16le', at, at + length * UNIT_BYTES);
    at += length * UNIT_BYTES;
  }
}

/** Lists of numbers as one array: for each list its length, then its members. */
export function packLists(lists: readonly (readonly number[])[]): Uint32Array {
  return Uint32Array.from(lists.flatMap((list) => [list.length, ...list]));
}

export function unpackLists<T>(packed: Uint32Array, names: readonly T[]): T[][] {
  const lists: T[][] = [];
  for (let at = 0; at < packed.length;) {
    const stop = at + 1 + (packed[at] as number);
    const list: T[] = [];
    for (at++; at < stop; at++) list.push(names[packed[at] as number] as T);
    lists.push(list);
  }
  return lists;
}
