// One direction of the graph as a compressed sparse row whose rows can move: "slack CSR".
//
//   starts[u] .. ends[u]   the row of node u in the pool
//   words[i]               one edge: (type << nodeBits) | neighbour, so the type costs no byte of its own
//   weights, validFrom,    parallel to words, allocated when the first edge needs them: a graph of plain edges
//   validTo                pays nothing for them
//
// Invariant: a row is strictly ascending. So an edge is found by binary search, a type is one run of the row, and
// the order of a traversal does not depend on the history of inserts.
//
// A freshly built pool is dense: `starts` and `ends` are two views of the same n + 1 offsets. The first change gives
// each its own array ("loosening"). A row without room moves to the end of the pool with twice its length; what it
// leaves behind is garbage until compaction. Traversals read `starts`, `ends` and `words` alone, so a changed row
// costs them nothing but locality: there is no overlay to consult.

const NO_ROOM = 0;

export interface EdgeColumns {
  readonly weight: number;
  readonly validFromMs: number;
  readonly validToMs: number;
}

/** What most edges carry. */
export const PLAIN_EDGE: EdgeColumns = { weight: 1, validFromMs: -Infinity, validToMs: Infinity };

/** What `newOf` says of a node that is left out. */
export const MISSING = 0xffff_ffff;
/** Words copied between two yields of a compaction: some tenths of a millisecond. */
const SLICE_WORDS = 32_768;
const INSERTION_SORT_BELOW = 24;

/** How to copy rows into another numbering. */
export interface RowCopy {
  readonly order: Uint32Array;
  readonly newOf: Uint32Array;
  /** Asked for each row, because the bits of the source may change between slices. */
  readonly fromBits: () => number;
  readonly toBits: number;
  readonly typeCount: number;
  readonly expectedWords: number;
}

export class Adjacency {
  /** Read by the traversal kernels; owned and replaced by this class alone. */
  starts: Uint32Array;
  ends: Uint32Array;
  words: Uint32Array;
  weights: Float64Array | undefined;
  validFrom: Float64Array | undefined;
  validTo: Float64Array | undefined;

  #used: number;
  /** Words of rows that moved or shrank: what compaction gives back. */
  #garbage = 0;
  /** Rows that moved since the pool was built, and so may be larger than they look. */
  #capacityLog2: Uint8Array | undefined;
  #rows: number;
  /** -1: not known yet. */
  #occupiedRows = -1;

  /** Takes ownership of dense offsets (rows + 1) and words. */
  constructor(offsets: Uint32Array, words: Uint32Array, used: number) {
    this.#rows = offsets.length - 1;
    this.starts = offsets.subarray(0, this.#rows);
    this.ends = offsets.subarray(1);
    this.words = words;
    this.#used = used;
  }

  static empty(): Adjacency {
    return new Adjacency(new Uint32Array(1), new Uint32Array(0), 0);
  }

  /** Whether rows are dense, as `offsets` describes them. */
  get isDense(): boolean {
    return this.#capacityLog2 === undefined;
  }

  /** Where each row starts, and the end of the last; only while dense. */
  get offsets(): Uint32Array {
    return new Uint32Array(this.starts.buffer, this.starts.byteOffset, this.#rows + 1);
  }

  /** Rows, one per ordinal. */
  get rows(): number {
    return this.#rows;
  }

  /** Every row from this one on is empty. */
  get occupiedRows(): number {
    if (this.#occupiedRows === -1) {
      let rows = this.#rows;
      while (rows > 0 && this.starts[rows - 1] === this.ends[rows - 1]) rows--;
      this.#occupiedRows = rows;
    }
    return this.#occupiedRows;
  }

  /** Words handed out, garbage included. */
  get usedWords(): number {
    return this.#used;
  }

  get garbageWords(): number {
    return this.#garbage;
  }

  get sizeBytes(): number {
    const rows = this.#capacityLog2 === undefined ? (this.#rows + 1) * 4 : this.starts.length * 9;
    const column = 8 * this.#used;
    return (
      rows +
      4 * this.#used +
      (this.weights === undefined ? 0 : column) +
      (this.validFrom === undefined ? 0 : 2 * column)
    );
  }

  degree(row: number): number {
    return this.ends[row]! - this.starts[row]!;
  }

  /** Adds empty rows up to `count`. */
  ensureRows(count: number): void {
    if (count <= this.#rows) return;
    if (this.#capacityLog2 === undefined || count > this.starts.length) this.#loosen(count);
    this.#rows = count;
  }

  /** Takes back empty rows beyond `count`, as a rollback does. */
  truncateRows(count: number): void {
    for (let row = count; row < this.#rows; row++) {
      const log2 = this.#capacityLog2?.[row] ?? NO_ROOM;
      if (log2 !== NO_ROOM) this.#garbage += 2 ** log2;
      this.starts[row] = 0;
      this.ends[row] = 0;
      if (this.#capacityLog2 !== undefined) this.#capacityLog2[row] = NO_ROOM;
    }
    this.#rows = count;
  }

  /** Index of `word` in the pool, or -1. O(log degree). */
  find(row: number, word: number): number {
    const at = lowerBound(this.words, this.starts[row]!, this.ends[row]!, word);
    return at < this.ends[row]! && this.words[at] === word ? at : -1;
  }

  /** What an edge carries, for undo and for weighted paths. */
  columnsAt(index: number): EdgeColumns {
    if (this.weights === undefined && this.validFrom === undefined) return PLAIN_EDGE;
    return {
      weight: this.weights === undefined ? 1 : this.weights[index]!,
      validFromMs: this.validFrom === undefined ? -Infinity : this.validFrom[index]!,
      validToMs: this.validTo === undefined ? Infinity : this.validTo[index]!,
    };
  }

  /**
   * Inserts or updates one edge; returns what it carried before, undefined when it is new. O(log degree) plus moving
   * the tail of the row.
   */
  put(row: number, word: number, columns: EdgeColumns): EdgeColumns | undefined {
    this.#ensureColumns(columns);
    let at = lowerBound(this.words, this.starts[row]!, this.ends[row]!, word);
    const isNew = at === this.ends[row]! || this.words[at] !== word;
    const before = isNew ? undefined : this.columnsAt(at);
    if (isNew) {
      if (this.#occupiedRows !== -1 && row >= this.#occupiedRows) this.#occupiedRows = row + 1;
      at = this.#openGap(row, at);
      this.words[at] = word;
    }
    if (this.weights !== undefined) this.weights[at] = columns.weight;
    if (this.validFrom !== undefined) this.validFrom[at] = columns.validFromMs;
    if (this.validTo !== undefined) this.validTo[at] = columns.validToMs;
    return before;
  }

  /** Removes one edge; false when there is none. */
  remove(row: number, word: number): boolean {
    const at = this.find(row, word);
    if (at === -1) return false;
    if (this.#capacityLog2 === undefined) this.#loosen(this.#rows);
    const end = this.ends[row]!;
    this.words.copyWithin(at, at + 1, end);
    this.weights?.copyWithin(at, at + 1, end);
    this.validFrom?.copyWithin(at, at + 1, end);
    this.validTo?.copyWithin(at, at + 1, end);
    this.ends[row] = end - 1;
    // A row that still has its first place owns exactly its length; one that moved keeps its slack for later.
    if (this.#capacityLog2![row] === NO_ROOM) this.#garbage++;
    return true;
  }

  /** Empties a row. */
  clear(row: number): void {
    if (this.degree(row) === 0) return;
    if (this.#capacityLog2 === undefined) this.#loosen(this.#rows);
    if (this.#capacityLog2![row] === NO_ROOM) this.#garbage += this.degree(row);
    this.ends[row] = this.starts[row]!;
  }

  /** Restores the order of rows that were filled in another one. */
  sortRows(): void {
    for (let row = 0; row < this.#rows; row++) {
      const start = this.starts[row]!;
      const end = this.ends[row]!;
      for (let i = start + 1; i < end; i++) {
        if (this.words[i - 1]! < this.words[i]!) continue;
        this.#sortRow(start, end);
        break;
      }
    }
  }

  /** Rewrites every word for another split of its 32 bits. The order within rows does not change. */
  reencode(fromBits: number, toBits: number): void {
    const mask = 2 ** fromBits - 1;
    const words = this.words;
    for (let row = 0; row < this.#rows; row++) {
      for (let i = this.starts[row]!, end = this.ends[row]!; i < end; i++) {
        const word = words[i]!;
        words[i] = ((word >>> fromBits) << toBits) | (word & mask);
      }
    }
  }

  /**
   * The same graph in a dense pool, with room for more: row i holds row `order[i]` of this one. Neighbours and rows are
   * renamed by `newOf`; edges to nodes it does not know (`MISSING`) and edges of types from `typeCount` on are left
   * out. Yields between slices of work; rows may change meanwhile, each is copied as it is at that moment.
   */
  *reordered(copy: RowCopy): Generator<void, Adjacency> {
    const { order } = copy;
    const offsets = new Uint32Array(order.length + 1);
    const dense = new Adjacency(offsets, new Uint32Array(0), 0);
    let sliceEnd = SLICE_WORDS;
    for (let row = 0; row < order.length; row++) {
      offsets[row] = dense.#used;
      dense.#reserve(dense.#used + this.degree(order[row]!), copy.expectedWords);
      dense.#matchColumns(this);
      dense.#appendRow(this, order[row]!, copy);
      // An empty row is work too.
      if (dense.#used + row >= sliceEnd) {
        sliceEnd = dense.#used + row + SLICE_WORDS;
        yield;
      }
    }
    offsets[order.length] = dense.#used;
    return dense;
  }

  #appendRow(from: Adjacency, row: number, { newOf, fromBits, toBits, typeCount }: RowCopy): void {
    const bits = fromBits();
    const mask = 2 ** bits - 1;
    const first = this.#used;
    let at = first;
    let sorted = true;
    for (let i = from.starts[row]!, end = from.ends[row]!; i < end; i++) {
      const word = from.words[i]!;
      const neighbour = newOf[word & mask] ?? MISSING;
      const type = word >>> bits;
      if (neighbour === MISSING || type >= typeCount) continue;
      const renamed = ((type << toBits) | neighbour) >>> 0;
      if (at > first && renamed < this.words[at - 1]!) sorted = false;
      this.words[at] = renamed;
      if (this.weights !== undefined) this.weights[at] = from.weights![i]!;
      if (this.validFrom !== undefined) {
        this.validFrom[at] = from.validFrom![i]!;
        this.validTo![at] = from.validTo![i]!;
      }
      at++;
    }
    this.#used = at;
    if (!sorted) this.#sortRow(first, at);
  }

  #sortRow(from: number, to: number): void {
    const { weights, validFrom, validTo } = this;
    if (weights === undefined && validFrom === undefined) {
      if (to - from <= INSERTION_SORT_BELOW) insertionSort(this.words, from, to);
      else this.words.subarray(from, to).sort();
      return;
    }
    const words = this.words.slice(from, to);
    const order = Array.from(words.keys()).sort((a, b) => words[a]! - words[b]!);
    const columns = [weights, validFrom, validTo].map((column) => column?.slice(from, to));
    order.forEach((old, at) => {
      this.words[from + at] = words[old]!;
      if (weights !== undefined) weights[from + at] = columns[0]![old]!;
      if (validFrom !== undefined) validFrom[from + at] = columns[1]![old]!;
      if (validTo !== undefined) validTo[from + at] = columns[2]![old]!;
    });
  }

  #reserve(words: number, atLeast: number): void {
    if (words > this.words.length) this.#growPool(Math.max(words, atLeast));
  }

  /** Allocates the columns that `other` has. */
  #matchColumns(other: Adjacency): void {
    if (other.weights !== undefined) this.weights ??= new Float64Array(this.words.length).fill(1);
    if (other.validFrom !== undefined) {
      this.validFrom ??= new Float64Array(this.words.length).fill(-Infinity);
      this.validTo ??= new Float64Array(this.words.length).fill(Infinity);
    }
  }

  /** Makes room for one word before `at` in `row`; returns where it goes. */
  #openGap(row: number, at: number): number {
    if (this.#capacityLog2 === undefined) this.#loosen(this.#rows);
    const capacities = this.#capacityLog2!;
    const start = this.starts[row]!;
    const length = this.ends[row]! - start;
    const hasRoom = capacities[row] !== NO_ROOM && length < 1 << capacities[row]!;
    if (!hasRoom) {
      this.#moveRow(row, length);
      at += this.starts[row]! - start;
    }
    const end = this.ends[row]!;
    this.words.copyWithin(at + 1, at, end);
    this.weights?.copyWithin(at + 1, at, end);
    this.validFrom?.copyWithin(at + 1, at, end);
    this.validTo?.copyWithin(at + 1, at, end);
    this.ends[row] = end + 1;
    return at;
  }

  #moveRow(row: number, length: number): void {
    const capacities = this.#capacityLog2!;
    const log2 = Math.max(2, 32 - Math.clz32(length));
    const capacity = 2 ** log2;
    if (this.#used + capacity > this.words.length) this.#growPool(this.#used + capacity);
    const from = this.starts[row]!;
    const to = this.#used;
    this.words.copyWithin(to, from, from + length);
    this.weights?.copyWithin(to, from, from + length);
    this.validFrom?.copyWithin(to, from, from + length);
    this.validTo?.copyWithin(to, from, from + length);
    this.#garbage += capacities[row] === NO_ROOM ? length : 2 ** capacities[row]!;
    capacities[row] = log2;
    this.starts[row] = to;
    this.ends[row] = to + length;
    this.#used = to + capacity;
  }

  #growPool(minimum: number): void {
    const length = Math.max(1024, Math.ceil(minimum * 1.25));
    if (length > 0xffff_ffff) throw new RangeError('the adjacency pool is full');
    const words = new Uint32Array(length);
    words.set(this.words.subarray(0, this.#used));
    this.words = words;
    this.weights = grownColumn(this.weights, length, this.#used);
    this.validFrom = grownColumn(this.validFrom, length, this.#used);
    this.validTo = grownColumn(this.validTo, length, this.#used);
  }

  /** Gives starts and ends arrays of their own, with room for more rows. */
  #loosen(count: number): void {
    const length = Math.max(16, Math.ceil(Math.max(count, this.#rows) * 1.5));
    const starts = new Uint32Array(length);
    const ends = new Uint32Array(length);
    const capacities = new Uint8Array(length);
    starts.set(this.starts.subarray(0, this.#rows));
    ends.set(this.ends.subarray(0, this.#rows));
    if (this.#capacityLog2 !== undefined) capacities.set(this.#capacityLog2.subarray(0, this.#rows));
    this.starts = starts;
    this.ends = ends;
    this.#capacityLog2 = capacities;
  }

  #ensureColumns(columns: EdgeColumns): void {
    if (this.weights === undefined && columns.weight !== 1) {
      this.weights = new Float64Array(this.words.length).fill(1);
    }
    if (
      this.validFrom === undefined &&
      (columns.validFromMs !== -Infinity || columns.validToMs !== Infinity)
    ) {
      this.validFrom = new Float64Array(this.words.length).fill(-Infinity);
      this.validTo = new Float64Array(this.words.length).fill(Infinity);
    }
  }
}

/** First index in [from, to) whose word is at least `word`, or `to`. */
export function lowerBound(words: Uint32Array, from: number, to: number, word: number): number {
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (words[middle]! < word) from = middle + 1;
    else to = middle;
  }
  return from;
}

function insertionSort(words: Uint32Array, from: number, to: number): void {
  for (let i = from + 1; i < to; i++) {
    const word = words[i]!;
    let at = i;
    for (; at > from && words[at - 1]! > word; at--) words[at] = words[at - 1]!;
    words[at] = word;
  }
}

function grownColumn(
  column: Float64Array | undefined,
  length: number,
  used: number,
): Float64Array | undefined {
  if (column === undefined) return undefined;
  const larger = new Float64Array(length);
  larger.set(column.subarray(0, used));
  return larger;
}
