// Node ids, both ways: ordinal -> string and string -> ordinal, without a `Map`.
//
//   slots    open addressing, linear probing, power of two, at most half full: ordinal + 1, 0 empty, -1 removed
//   hashes   one 32-bit hash per ordinal: rejects almost every false probe and makes growth free of rehashing
//   text     UTF-8 of the ids of a compacted table, `ends` says where each stops
//   chunks   the strings that were asked for or added since, in arrays of 1,024: no big array to allocate at once
//
// Twelve bytes per node and the text itself instead of the hundred of a `Map`, loaded from a snapshot as they are, and
// no RangeError at 16.7 million entries. An ordinal is never given to another id within one table, so results that
// kept ordinals can name them later, even those of nodes deleted since.

const CHUNK_BITS = 10;
const CHUNK_MASK = (1 << CHUNK_BITS) - 1;
const REMOVED = -1;
/** Ids copied between two yields of a compaction. */
const SLICE = 4_096;

/** The arrays of a compacted table, as a snapshot keeps them. */
export interface IdTableParts {
  readonly hashes: Uint32Array;
  readonly slots: Int32Array;
  readonly ends: Uint32Array;
  readonly text: Buffer;
}

export class IdTable {
  #count = 0;
  /** Slots that are not empty, removed ones included; bounds the length of a probe. */
  #filled = 0;
  #slots: Int32Array = new Int32Array(64);
  #hashes: Uint32Array = new Uint32Array(32);
  #chunks: (string | undefined)[][] = [];
  /** Ordinals below it have their id in `text`. */
  #textCount = 0;
  #text: Buffer = Buffer.alloc(0);
  #ends: Uint32Array = new Uint32Array(0);

  static fromParts({ hashes, slots, ends, text }: IdTableParts): IdTable {
    const table = new IdTable();
    table.#count = ends.length;
    table.#textCount = ends.length;
    table.#filled = ends.length;
    table.#hashes = hashes;
    table.#slots = slots;
    table.#ends = ends;
    table.#text = text;
    return table;
  }

  /** A table in which ordinal i has the id that `order[i]` has here. Yields between slices of work. */
  *reordered(order: Uint32Array): Generator<void, IdTable> {
    const count = order.length;
    const hashes = new Uint32Array(count);
    const ends = new Uint32Array(count);
    let text: Buffer = Buffer.allocUnsafeSlow(
      Math.max(64, this.#text.length + (count - this.#textCount) * 16),
    );
    let used = 0;
    for (let at = 0; at < count; at++) {
      if (at % SLICE === SLICE - 1) yield;
      const ordinal = order[at]!;
      hashes[at] = this.#hashes[ordinal]!;
      const bytes = this.#bytesOf(ordinal);
      if (used + bytes > text.length) {
        const larger = Buffer.allocUnsafeSlow(Math.ceil((used + bytes) * 1.5));
        text.copy(larger, 0, 0, used);
        text = larger;
      }
      used = this.#copyText(ordinal, text, used);
      ends[at] = used;
    }
    const slots = new Int32Array(2 ** Math.max(6, Math.ceil(Math.log2(count * 2 + 1))));
    const mask = slots.length - 1;
    for (let at = 0; at < count; at++) {
      if (at % SLICE === SLICE - 1) yield;
      let slot = hashes[at]! & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = at + 1;
    }
    return IdTable.fromParts({ hashes, slots, ends, text: text.subarray(0, used) });
  }

  /** What a snapshot keeps; only of a table that nothing was added to or removed from. */
  get parts(): IdTableParts {
    return { hashes: this.#hashes, slots: this.#slots, ends: this.#ends, text: this.#text };
  }

  /** Ordinals given so far, removed ones included. */
  get count(): number {
    return this.#count;
  }

  get sizeBytes(): number {
    return this.#slots.byteLength + this.#hashes.byteLength + this.#ends.byteLength + this.#text.length;
  }

  /** The ordinal of `id`, or -1. */
  ordinalOf(id: string): number {
    const hash = hashOf(id);
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const entry = slots[slot]!;
      if (entry === 0) return -1;
      if (entry !== REMOVED && this.#hashes[entry - 1] === hash && this.idOf(entry - 1) === id)
        return entry - 1;
    }
  }

  /** The id an ordinal was given to, also after its removal. */
  idOf(ordinal: number): string {
    const chunk = (this.#chunks[ordinal >>> CHUNK_BITS] ??= []);
    const id = chunk[ordinal & CHUNK_MASK];
    if (id !== undefined) return id;
    if (ordinal >= this.#textCount) throw new RangeError(`no node has the ordinal ${ordinal}`);
    return (chunk[ordinal & CHUNK_MASK] = this.#decode(ordinal));
  }

  /** Gives the next ordinal to `id`, which must not be present. */
  append(id: string): number {
    const ordinal = this.appendHole();
    this.#hashes[ordinal] = hashOf(id);
    const chunk = (this.#chunks[ordinal >>> CHUNK_BITS] ??= []);
    chunk[ordinal & CHUNK_MASK] = id;
    this.restore(ordinal);
    return ordinal;
  }

  /** Gives the next ordinal to nothing: the key was used and deleted before this table saw it. */
  appendHole(): number {
    const ordinal = this.#count;
    if (ordinal >= this.#hashes.length) {
      const larger = new Uint32Array(Math.ceil((ordinal + 16) * 1.5));
      larger.set(this.#hashes);
      this.#hashes = larger;
    }
    this.#count = ordinal + 1;
    return ordinal;
  }

  /** Makes the id unknown; its ordinal keeps the string. */
  remove(ordinal: number): void {
    this.#slots[this.#slotOf(ordinal)] = REMOVED;
  }

  /** Takes a removal back. */
  restore(ordinal: number): void {
    if ((this.#filled + 1) * 2 > this.#slots.length) this.#rehash();
    this.#link(ordinal);
  }

  /** Takes the last `append` back, as a rollback does. */
  removeLast(): void {
    const ordinal = this.#count - 1;
    this.remove(ordinal);
    const chunk = this.#chunks[ordinal >>> CHUNK_BITS];
    if (chunk !== undefined) chunk[ordinal & CHUNK_MASK] = undefined;
    this.#count = ordinal;
  }

  #decode(ordinal: number): string {
    return this.#text.toString('utf8', this.#startOf(ordinal), this.#ends[ordinal]);
  }

  #startOf(ordinal: number): number {
    return ordinal === 0 ? 0 : this.#ends[ordinal - 1]!;
  }

  #bytesOf(ordinal: number): number {
    if (ordinal >= this.#textCount) return Buffer.byteLength(this.idOf(ordinal));
    return this.#ends[ordinal]! - this.#startOf(ordinal);
  }

  /** Writes the id of `ordinal` to `text` at `used`; returns where it ends. */
  #copyText(ordinal: number, text: Buffer, used: number): number {
    if (ordinal >= this.#textCount) return used + text.write(this.idOf(ordinal), used);
    const from = this.#startOf(ordinal);
    for (let i = from, end = this.#ends[ordinal]!; i < end; i++) text[used++] = this.#text[i]!;
    return used;
  }

  #link(ordinal: number): void {
    const mask = this.#slots.length - 1;
    let slot = this.#hashes[ordinal]! & mask;
    while (this.#slots[slot]! > 0) slot = (slot + 1) & mask;
    if (this.#slots[slot] === 0) this.#filled++;
    this.#slots[slot] = ordinal + 1;
  }

  #slotOf(ordinal: number): number {
    const mask = this.#slots.length - 1;
    let slot = this.#hashes[ordinal]! & mask;
    while (this.#slots[slot] !== ordinal + 1) {
      if (this.#slots[slot] === 0) throw new RangeError(`the ordinal ${ordinal} is not in the table`);
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  #rehash(): void {
    const old = this.#slots;
    let live = 0;
    for (const entry of old) if (entry > 0) live++;
    let size = 64;
    while (size < (live + 1) * 4) size *= 2;
    this.#slots = new Int32Array(size);
    this.#filled = 0;
    for (const entry of old) if (entry > 0) this.#link(entry - 1);
  }
}

/** FNV-1a over UTF-16 units with a final mix, so that the low bits of short numeric ids spread. */
export function hashOf(id: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
