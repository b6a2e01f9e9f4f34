// Trains a dictionary: from samples, picks the substrings that occur in most of them. This is COVER as in Facebook's
// zstd (Liao, Petri, Moffat and Wirth, "Effective Construction of Relative Lempel-Ziv Dictionaries", WWW 2016), with
// the hashed counts of its FastCover variant:
//
//   count    for every d-byte substring (dmer), in how many samples it occurs; hashed into a table
//   select   cut the samples into epochs; from each take the segment of k bytes whose distinct dmers have the largest
//            sum of counts, set those counts to 0 (a substring pays once), repeat until the dictionary is full
//   order    the best segments go last: a codec reaches the end of a dictionary with the shortest distances
//
// k and, with 'auto', the size are chosen by compressing samples that were held out of the training. The newest samples
// as they are compete too, so that training never does worse than that, nor fails when nothing occurs twice.
import { CODEC } from './frame.ts';
import { DEFLATE_WINDOW_BYTES, encodeSync } from './codec.ts';
import type { Dictionary } from './dictionary.ts';
import { dictionaryOf, MAX_DICTIONARY_BYTES } from './dictionary.ts';

export interface TrainOptions {
  /**
   * Largest size of the dictionary. `auto`, the default, takes the smallest of 2 to 32 KiB that is within 2 % of the
   * best on held-out samples; a dictionary is read again for each message, so a smaller one is faster.
   */
  readonly maxBytes?: number | 'auto';
}

/** Samples past this many bytes are not read. */
export const MAX_SAMPLE_BYTES: number = 64 * 1024 * 1024;

const DMER_BYTES = 8;
const TABLE_BITS = 20;
const SEGMENT_SIZES = [64, 256, 1024];
const AUTO_SIZES = [2, 4, 8, 16, 32].map((kib) => kib * 1024);
const MIN_DICTIONARY_BYTES = 64;
/** One sample in so many is held out. */
const HELD_OUT_EVERY = 5;
/** Held-out bytes that are compressed for each candidate. */
const MAX_JUDGED_BYTES = 512 * 1024;
const CLOSE_ENOUGH = 1.02;
const JUDGE = { label: 'deflate-6', codec: CODEC.deflate, level: 6 };

interface Corpus {
  readonly bytes: Uint8Array;
  /** Start of each sample, and the end of the last. */
  readonly starts: readonly number[];
}

/**
 * Trains a dictionary for messages like `samples`: at least two of them, and best some hundred. Takes about a second
 * for 3 MB of samples. The result depends on the samples alone, and its id is a hash of its bytes.
 * @throws {TypeError} for samples that are not bytes, {RangeError} for too few samples or `maxBytes` out of range.
 */
export function trainDictionary(samples: Iterable<Uint8Array>, options: TrainOptions = {}): Dictionary {
  const { maxBytes = 'auto' } = options;
  if (maxBytes !== 'auto') checkSize(maxBytes);
  const { training, heldOut } = split(samples);
  const counts = countDmers(training);
  const sizes = maxBytes === 'auto' ? AUTO_SIZES : [maxBytes];
  const judged = sizes.map((size) => {
    const selected = SEGMENT_SIZES.filter((k) => k <= size).map((k) => select(training, counts, size, k));
    const candidates = [...selected, training.bytes.slice(-size)];
    const costs = candidates.map((candidate) => costOf(candidate, heldOut));
    const cost = Math.min(...costs);
    return { cost, bytes: candidates[costs.indexOf(cost)] ?? new Uint8Array(0) };
  });
  const best = Math.min(...judged.map((one) => one.cost));
  const chosen = judged.find((one) => one.cost <= best * CLOSE_ENOUGH);
  return dictionaryOf(chosen?.bytes ?? new Uint8Array(0));
}

function checkSize(maxBytes: number): void {
  if (typeof maxBytes !== 'number') throw new TypeError("maxBytes must be a number or 'auto'");
  if (!Number.isSafeInteger(maxBytes) || maxBytes < MIN_DICTIONARY_BYTES || maxBytes > MAX_DICTIONARY_BYTES) {
    throw new RangeError(
      `maxBytes must be an integer from ${MIN_DICTIONARY_BYTES} to ${MAX_DICTIONARY_BYTES}`,
    );
  }
}

function split(samples: Iterable<Uint8Array>): { training: Corpus; heldOut: Uint8Array[] } {
  const kept: Uint8Array[] = [];
  let total = 0;
  for (const sample of samples) {
    if (!(sample instanceof Uint8Array)) throw new TypeError('samples must be Uint8Arrays');
    if (total + sample.length > MAX_SAMPLE_BYTES) break;
    total += sample.length;
    kept.push(sample);
  }
  const isHeldOut = (i: number): boolean => Math.imul(i, 0x9e3779b1) >>> 0 < 2 ** 32 / HELD_OUT_EVERY;
  const trained = kept.length < HELD_OUT_EVERY ? kept : kept.filter((_, i) => !isHeldOut(i));
  const judged = kept.length < HELD_OUT_EVERY ? kept : kept.filter((_, i) => isHeldOut(i));
  const training = corpusOf(trained);
  if (kept.length < 2 || training.bytes.length < MIN_DICTIONARY_BYTES) {
    throw new RangeError(
      `samples must be at least two and hold ${MIN_DICTIONARY_BYTES} bytes; one in five is held out`,
    );
  }
  // Spread over all held-out samples, so that the judgement is not that of the first few.
  const step = Math.max(1, Math.ceil(judged.reduce((sum, one) => sum + one.length, 0) / MAX_JUDGED_BYTES));
  return { training, heldOut: judged.filter((_, i) => i % step === 0) };
}

function corpusOf(samples: readonly Uint8Array[]): Corpus {
  const bytes = new Uint8Array(Buffer.concat(samples));
  const starts = [0];
  for (const sample of samples) starts.push((starts.at(-1) ?? 0) + sample.length);
  return { bytes, starts };
}

/** In how many samples each hashed dmer occurs. A dmer that spans two samples is not counted. */
function countDmers(corpus: Corpus): Uint32Array {
  const counts = new Uint32Array(2 ** TABLE_BITS);
  const lastSample = new Uint32Array(2 ** TABLE_BITS);
  for (let sample = 0; sample + 1 < corpus.starts.length; sample++) {
    const end = (corpus.starts[sample + 1] ?? 0) - DMER_BYTES;
    for (let at = corpus.starts[sample] ?? 0; at <= end; at++) {
      const slot = hashAt(corpus.bytes, at);
      if (lastSample[slot] === sample + 1) continue;
      lastSample[slot] = sample + 1;
      counts[slot] = (counts[slot] ?? 0) + 1;
    }
  }
  return counts;
}

/** Multiplicative hash (Knuth, TAOCP 6.4) of the eight bytes as two words. */
function hashAt(bytes: Uint8Array, at: number): number {
  const low = word(bytes, at);
  const high = word(bytes, at + 4);
  return Math.imul(Math.imul(low, 0x9e3779b1) ^ (high >>> 15) ^ high, 0x85ebca6b) >>> (32 - TABLE_BITS);
}

function word(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] ?? 0) |
    ((bytes[at + 1] ?? 0) << 8) |
    ((bytes[at + 2] ?? 0) << 16) |
    ((bytes[at + 3] ?? 0) << 24)
  );
}

function select(corpus: Corpus, allCounts: Uint32Array, size: number, k: number): Uint8Array {
  const { bytes } = corpus;
  const counts = new Uint32Array(allCounts);
  const dictionary = new Uint8Array(size);
  let room = size;
  // As many epochs as segments fit, but long enough that each has a choice.
  const epochs = Math.max(1, Math.min(Math.floor(size / k), Math.floor(bytes.length / (10 * k))));
  const epochBytes = Math.floor(bytes.length / epochs);
  let fruitless = 0;
  for (let epoch = 0; room > 0 && fruitless < epochs; epoch = (epoch + 1) % epochs) {
    const from = epoch * epochBytes;
    const segment = bestSegment(bytes, from, Math.min(bytes.length, from + epochBytes), k, counts);
    const length = segment === undefined ? 0 : Math.min(segment.end - segment.start, room);
    if (segment === undefined || length < DMER_BYTES) {
      fruitless++;
      if (segment !== undefined) break;
      continue;
    }
    fruitless = 0;
    for (let at = segment.start; at + DMER_BYTES <= segment.end; at++) counts[hashAt(bytes, at)] = 0;
    room -= length;
    dictionary.set(bytes.subarray(segment.end - length, segment.end), room);
  }
  return dictionary.slice(room);
}

/**
 * The window of k bytes with the largest sum over its distinct dmers, without the dmers at its ends that count nothing;
 * `undefined` when no dmer in the epoch is worth anything.
 */
function bestSegment(
  bytes: Uint8Array,
  from: number,
  to: number,
  k: number,
  counts: Uint32Array,
): { start: number; end: number } | undefined {
  const dmers = Math.max(1, k - DMER_BYTES + 1);
  const inWindow = new Map<number, number>();
  let score = 0;
  let bestScore = 0;
  let bestStart = -1;
  for (let at = from; at + DMER_BYTES <= to; at++) {
    const entering = hashAt(bytes, at);
    const seen = inWindow.get(entering) ?? 0;
    if (seen === 0) score += worth(counts, entering);
    inWindow.set(entering, seen + 1);
    if (at - from >= dmers) {
      const leaving = hashAt(bytes, at - dmers);
      const left = (inWindow.get(leaving) ?? 1) - 1;
      if (left > 0) inWindow.set(leaving, left);
      else inWindow.delete(leaving);
      if (left === 0) score -= worth(counts, leaving);
    }
    if (score > bestScore) {
      bestScore = score;
      bestStart = Math.max(from, at - dmers + 1);
    }
  }
  if (bestStart < 0) return undefined;
  let start = bestStart;
  let last = Math.min(to - DMER_BYTES, bestStart + dmers - 1);
  while (start < last && worth(counts, hashAt(bytes, start)) === 0) start++;
  while (last > start && worth(counts, hashAt(bytes, last)) === 0) last--;
  return { start, end: last + DMER_BYTES };
}

/** A dmer of one sample only does not come again; it is worth nothing. */
function worth(counts: Uint32Array, slot: number): number {
  const count = counts[slot] ?? 0;
  return count > 1 ? count : 0;
}

function costOf(dictionary: Uint8Array, heldOut: readonly Uint8Array[]): number {
  if (dictionary.length === 0) return Infinity;
  // Past its window deflate sees only the end of a dictionary, which holds the best segments.
  const reference = dictionary.subarray(-DEFLATE_WINDOW_BYTES);
  return heldOut.reduce((sum, sample) => sum + encodeSync(sample, JUDGE, reference).length, 0);
}
