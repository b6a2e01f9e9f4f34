// Vectors in 8, 4 or 1 bits a dimension, searched without being restored.
//
// Each dimension d has an offset and a step, and a code c stands for offset[d] + step[d] * c:
//   8, 4 bits  the range of the dimension, in 256 or 16 even steps
//   1 bit      below or above the mean of the dimension; offset and step make the two codes the means of either side
// Codes are packed into bytes, lowest bits first. The query stays exact (asymmetric distance: Jegou, Douze and Schmid,
// "Product Quantization for Nearest Neighbor Search", PAMI 2011), so every metric needs only sum(query[d] * x[d]),
// which is a constant plus a sum over the code bytes: by multiplication at 8 bits, else by one table look-up a byte.
// The norms of the restored vectors are kept, so that cosine and l2 need no second pass.
//
// `originals` keeps the exact vectors for rescoring; they are counted apart (`originalBytes`).

export type Metric = 'cosine' | 'dot' | 'l2';
export type Bits = 8 | 4 | 1;

export interface FitOptions {
  /** Default 8. */
  readonly bits?: Bits;
  /** Default `cosine`. */
  readonly metric?: Metric;
  /** Keep the exact vectors, so that `search` can rescore. Default true. */
  readonly keepOriginals?: boolean;
}

export interface SearchOptions {
  /** Score `rescore * k` of the best candidates again with the exact vectors. Default 0: none. */
  readonly rescore?: number;
}

/** Best first. `score` is the similarity (`cosine`, `dot`: larger is nearer) or the distance (`l2`: smaller is nearer). */
export interface Hit {
  readonly index: number;
  readonly score: number;
}

const MAX_DIMS = 65_536;
/** Distinct values of a byte. */
const BYTE_VALUES = 256;

export class QuantizedVectors {
  readonly dims: number;
  readonly length: number;
  readonly bits: Bits;
  readonly metric: Metric;
  readonly #codes: Uint8Array;
  readonly #bytesPerVector: number;
  readonly #offsets: Float32Array;
  readonly #steps: Float32Array;
  /** Of the restored vectors. */
  readonly #norms: Float32Array;
  readonly #originals: Float32Array | undefined;

  private constructor(
    vectors: Float32Array,
    dims: number,
    bits: Bits,
    metric: Metric,
    keepOriginals: boolean,
  ) {
    this.dims = dims;
    this.length = vectors.length / dims;
    this.bits = bits;
    this.metric = metric;
    this.#bytesPerVector = Math.ceil((dims * bits) / 8);
    const { offsets, steps } =
      bits === 1 ? splitAtMeans(vectors, dims) : evenSteps(vectors, dims, 2 ** bits - 1);
    this.#offsets = offsets;
    this.#steps = steps;
    this.#codes = new Uint8Array(this.length * this.#bytesPerVector);
    this.#norms = new Float32Array(this.length);
    this.#originals = keepOriginals ? new Float32Array(vectors) : undefined;
    for (let i = 0; i < this.length; i++) {
      this.#encode(i, vectors);
      this.#norms[i] = normOf(this.reconstruct(i));
    }
  }

  /**
   * `vectors` holds one vector after the other, `dims` values each.
   * @throws {TypeError | RangeError} for anything but finite numbers, or a length that is no multiple of `dims`.
   */
  static fit(vectors: Float32Array, dims: number, options: FitOptions = {}): QuantizedVectors {
    const { bits = 8, metric = 'cosine', keepOriginals = true } = options;
    if (!(vectors instanceof Float32Array)) throw new TypeError('vectors must be a Float32Array');
    if (!Number.isSafeInteger(dims) || dims < 1 || dims > MAX_DIMS) {
      throw new RangeError(`dims must be an integer from 1 to ${MAX_DIMS}`);
    }
    if (vectors.length % dims !== 0) throw new RangeError('vectors must hold a multiple of dims values');
    if (bits !== 8 && bits !== 4 && bits !== 1) throw new RangeError('bits must be 8, 4 or 1');
    if (metric !== 'cosine' && metric !== 'dot' && metric !== 'l2') {
      throw new RangeError('metric must be cosine, dot or l2');
    }
    if (typeof keepOriginals !== 'boolean') throw new TypeError('keepOriginals must be a boolean');
    if (!vectors.every(Number.isFinite)) throw new RangeError('vectors must hold finite numbers');
    return new QuantizedVectors(vectors, dims, bits, metric, keepOriginals);
  }

  /** Codes and parameters, in bytes; what is kept for rescoring is not in it. */
  get sizeBytes(): number {
    return (
      this.#codes.byteLength + this.#norms.byteLength + this.#offsets.byteLength + this.#steps.byteLength
    );
  }

  /** Exact vectors kept for rescoring, in bytes. */
  get originalBytes(): number {
    return this.#originals?.byteLength ?? 0;
  }

  /** The vector that the codes of `index` stand for. */
  reconstruct(index: number): Float32Array {
    if (!Number.isSafeInteger(index) || index < 0 || index >= this.length) {
      throw new RangeError(`index must be an integer from 0 to ${this.length - 1}`);
    }
    const restored = new Float32Array(this.dims);
    for (let d = 0; d < this.dims; d++) {
      restored[d] = (this.#offsets[d] ?? 0) + (this.#steps[d] ?? 0) * this.#codeAt(index, d);
    }
    return restored;
  }

  /**
   * The k nearest vectors, nearest first; equal ones by index. O(length * dims * bits / 8) and O(length * log k).
   * @throws {TypeError} when `rescore` is asked for and the originals were not kept.
   */
  search(query: Float32Array, k: number, options: SearchOptions = {}): Hit[] {
    const { rescore = 0 } = options;
    if (!(query instanceof Float32Array)) throw new TypeError('query must be a Float32Array');
    if (query.length !== this.dims) throw new RangeError(`query must hold ${this.dims} values`);
    if (!query.every(Number.isFinite)) throw new RangeError('query must hold finite numbers');
    if (!Number.isSafeInteger(k) || k < 1) throw new RangeError('k must be a positive integer');
    if (typeof rescore !== 'number') throw new TypeError('rescore must be a number');
    if (!(rescore === 0 || (rescore >= 1 && rescore < Infinity))) {
      throw new RangeError('rescore must be 0, or a factor of at least 1');
    }
    if (rescore > 0 && this.#originals === undefined) throw new TypeError('rescore needs keepOriginals');
    const wanted = Math.min(this.length, rescore > 0 ? Math.ceil(k * rescore) : k);
    const nearest = new Nearest(wanted);
    this.#scan(query, nearest);
    const candidates = rescore > 0 ? this.#rescored(query, nearest.indexes()) : nearest;
    return candidates
      .hits()
      .slice(0, k)
      .map(({ index, score }) => ({
        index,
        score: this.metric === 'l2' ? Math.sqrt(Math.max(0, -score)) : score,
      }));
  }

  #encode(index: number, vectors: Float32Array): void {
    const perByte = 8 / this.bits;
    const top = 2 ** this.bits - 1;
    for (let d = 0; d < this.dims; d++) {
      const step = this.#steps[d] ?? 0;
      const value = vectors[index * this.dims + d] ?? 0;
      const code =
        step === 0 ? 0 : Math.min(top, Math.max(0, Math.round((value - (this.#offsets[d] ?? 0)) / step)));
      const at = index * this.#bytesPerVector + Math.floor(d / perByte);
      this.#codes[at] = (this.#codes[at] ?? 0) | (code << ((d % perByte) * this.bits));
    }
  }

  #codeAt(index: number, d: number): number {
    const perByte = 8 / this.bits;
    const byte = this.#codes[index * this.#bytesPerVector + Math.floor(d / perByte)] ?? 0;
    return (byte >> ((d % perByte) * this.bits)) & (2 ** this.bits - 1);
  }

  /** Scores every vector against the query; larger is nearer. */
  #scan(query: Float32Array, nearest: Nearest): void {
    let constant = 0;
    const weights = new Float32Array(this.dims);
    for (let d = 0; d < this.dims; d++) {
      constant += (query[d] ?? 0) * (this.#offsets[d] ?? 0);
      weights[d] = (query[d] ?? 0) * (this.#steps[d] ?? 0);
    }
    const table = this.bits === 8 ? undefined : byteTable(weights, this.bits);
    const queryNorm = normOf(query);
    const codes = this.#codes;
    const width = this.#bytesPerVector;
    for (let i = 0; i < this.length; i++) {
      let dot = constant;
      const at = i * width;
      if (table === undefined) {
        for (let b = 0; b < width; b++) dot += (weights[b] as number) * (codes[at + b] as number);
      } else {
        for (let b = 0; b < width; b++) dot += table[b * BYTE_VALUES + (codes[at + b] as number)] as number;
      }
      nearest.offer(i, this.#score(dot, queryNorm, this.#norms[i] ?? 0));
    }
  }

  #rescored(query: Float32Array, indexes: readonly number[]): Nearest {
    const originals = this.#originals ?? new Float32Array(0);
    const queryNorm = normOf(query);
    const nearest = new Nearest(indexes.length);
    for (const index of indexes) {
      const vector = originals.subarray(index * this.dims, (index + 1) * this.dims);
      let dot = 0;
      let apart = 0;
      for (let d = 0; d < this.dims; d++) {
        dot += (query[d] ?? 0) * (vector[d] ?? 0);
        apart += ((query[d] ?? 0) - (vector[d] ?? 0)) ** 2;
      }
      nearest.offer(index, this.metric === 'l2' ? -apart : this.#score(dot, queryNorm, normOf(vector)));
    }
    return nearest;
  }

  #score(dot: number, queryNorm: number, norm: number): number {
    if (this.metric === 'dot') return dot;
    if (this.metric === 'l2') return 2 * dot - queryNorm * queryNorm - norm * norm;
    return queryNorm === 0 || norm === 0 ? 0 : dot / (queryNorm * norm);
  }
}

/** The k best of a stream of scores: a binary heap whose root is the worst kept. Of equal scores the lower index wins. */
class Nearest {
  readonly #capacity: number;
  readonly #indexes: number[] = [];
  readonly #scores: number[] = [];

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  offer(index: number, score: number): void {
    const size = this.#scores.length;
    if (size < this.#capacity) {
      this.#indexes.push(index);
      this.#scores.push(score);
      this.#rise(size);
    } else if (size > 0 && score > (this.#scores[0] ?? Infinity)) {
      this.#indexes[0] = index;
      this.#scores[0] = score;
      this.#sink();
    }
  }

  indexes(): readonly number[] {
    return this.#indexes;
  }

  hits(): Hit[] {
    const hits = this.#indexes.map((index, i) => ({ index, score: this.#scores[i] ?? 0 }));
    return hits.sort((a, b) => b.score - a.score || a.index - b.index);
  }

  /** Whether the entry at a is worse than that at b. */
  #worse(a: number, b: number): boolean {
    const difference = (this.#scores[a] ?? 0) - (this.#scores[b] ?? 0);
    return difference === 0 ? (this.#indexes[a] ?? 0) > (this.#indexes[b] ?? 0) : difference < 0;
  }

  #rise(from: number): void {
    for (let child = from; child > 0;) {
      const parent = (child - 1) >> 1;
      if (!this.#worse(child, parent)) return;
      this.#swap(child, parent);
      child = parent;
    }
  }

  #sink(): void {
    const size = this.#scores.length;
    for (let parent = 0; ;) {
      const left = 2 * parent + 1;
      const right = left + 1;
      let worst = parent;
      if (left < size && this.#worse(left, worst)) worst = left;
      if (right < size && this.#worse(right, worst)) worst = right;
      if (worst === parent) return;
      this.#swap(parent, worst);
      parent = worst;
    }
  }

  #swap(a: number, b: number): void {
    const index = this.#indexes[a] ?? 0;
    const score = this.#scores[a] ?? 0;
    this.#indexes[a] = this.#indexes[b] ?? 0;
    this.#scores[a] = this.#scores[b] ?? 0;
    this.#indexes[b] = index;
    this.#scores[b] = score;
  }
}

interface Scale {
  readonly offsets: Float32Array;
  readonly steps: Float32Array;
}

function evenSteps(vectors: Float32Array, dims: number, top: number): Scale {
  const least = new Float32Array(dims).fill(Infinity);
  const most = new Float32Array(dims).fill(-Infinity);
  for (let i = 0; i < vectors.length; i++) {
    const d = i % dims;
    const value = vectors[i] ?? 0;
    if (value < (least[d] ?? 0)) least[d] = value;
    if (value > (most[d] ?? 0)) most[d] = value;
  }
  const steps = least.map((low, d) => (vectors.length === 0 ? 0 : (most[d] ?? 0) / top - low / top));
  return { offsets: vectors.length === 0 ? new Float32Array(dims) : least, steps };
}

/** With code 0 at the mean below and 1 at the mean above, rounding sends each value to the nearer of the two. */
function splitAtMeans(vectors: Float32Array, dims: number): Scale {
  const count = Math.max(1, vectors.length / dims);
  const means = new Float64Array(dims);
  for (let i = 0; i < vectors.length; i++)
    means[i % dims] = (means[i % dims] ?? 0) + (vectors[i] ?? 0) / count;
  const sums = [new Float64Array(dims), new Float64Array(dims)] as const;
  const counts = [new Uint32Array(dims), new Uint32Array(dims)] as const;
  for (let i = 0; i < vectors.length; i++) {
    const d = i % dims;
    const side = (vectors[i] ?? 0) > (means[d] ?? 0) ? 1 : 0;
    sums[side][d] = (sums[side][d] ?? 0) + (vectors[i] ?? 0);
    counts[side][d] = (counts[side][d] ?? 0) + 1;
  }
  const meanOf = (side: 0 | 1, d: number): number =>
    (counts[side][d] ?? 0) === 0 ? (means[d] ?? 0) : (sums[side][d] ?? 0) / (counts[side][d] ?? 1);
  const offsets = Float32Array.from(means, (_, d) => meanOf(0, d));
  return { offsets, steps: Float32Array.from(means, (_, d) => meanOf(1, d) - meanOf(0, d)) };
}

/** For each code byte, what each of its 256 values adds to the dot product. */
function byteTable(weights: Float32Array, bits: Bits): Float32Array {
  const perByte = 8 / bits;
  const bytes = Math.ceil(weights.length / perByte);
  const table = new Float32Array(bytes * BYTE_VALUES);
  for (let b = 0; b < bytes; b++) {
    for (let value = 0; value < BYTE_VALUES; value++) {
      let sum = 0;
      for (let slot = 0; slot < perByte; slot++) {
        sum += (weights[b * perByte + slot] ?? 0) * ((value >> (slot * bits)) & (2 ** bits - 1));
      }
      table[b * BYTE_VALUES + value] = sum;
    }
  }
  return table;
}

function normOf(vector: Float32Array): number {
  let squares = 0;
  for (let d = 0; d < vector.length; d++) squares += (vector[d] ?? 0) ** 2;
  return Math.sqrt(squares);
}
