// Node ids, both ways: ordinal -> string and string -> ordinal, without a `Map`.
//
//   slots    open addressing, linear probing, power of two, at most half full: ordinal + 1, 0 empty, -1 removed
//   hashes   one 32-bit hash per ordinal: rejects almost every false probe and makes growth free of rehashing
//   chunks   the strings themselves, in arrays of 1,024 so that a big graph does not need one huge array at once
//
// Four plus eight bytes per node instead of the hundred of a `Map`, and no RangeError at 16.7 million entries. An
// ordinal is never given to another id within one table, so results that kept ordinals can name them later, even
// those of nodes deleted since.

const CHUNK_BITS = 10;
const CHUNK_SIZE = 1 << CHUNK_BITS;
const CHUNK_MASK = CHUNK_SIZE - 1;
const REMOVED = -1;

export class IdTable {
  #count = 0;
  /** Filled slots, removed ones included; bounds the length of a probe. */
  #filled = 0;
  #slots = new Int32Array(64);
  #hashes = new Uint32Array(32);
  #chunks: (string | undefined)[][] = [];

  /** Ordinals given so far, removed ones included. */
  get count(): number {
    return this.#count;
  }

  get sizeBytes(): number {
    return this.#slots.byteLength + this.#hashes.byteLength;
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
    const id = this.#chunks[ordinal >>> CHUNK_BITS]?.[ordinal & CHUNK_MASK];
    if (id === undefined) throw new RangeError(`no node has the ordinal ${ordinal}`);
    return id;
  }

  /** Gives the next ordinal to `id`, which must not be present. */
  append(id: string): number {
    const ordinal = this.#count;
    if (ordinal === this.#hashes.length) this.#hashes = grown(this.#hashes, ordinal * 2);
    if ((this.#filled + 1) * 2 > this.#slots.length) this.#rehash();
    this.#hashes[ordinal] = hashOf(id);
    const chunk = (this.#chunks[ordinal >>> CHUNK_BITS] ??= []);
    chunk[ordinal & CHUNK_MASK] = id;
    this.#count = ordinal + 1;
    this.#link(ordinal);
    return ordinal;
  }

  /** Gives the next ordinal to nothing: the key was used and deleted before this table saw it. */
  appendHole(): number {
    const ordinal = this.#count;
    if (ordinal === this.#hashes.length) this.#hashes = grown(this.#hashes, ordinal * 2);
    this.#count = ordinal + 1;
    return ordinal;
  }

  /** Makes `id` unknown; its ordinal keeps the string. */
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
    if (chunk !== undefined) chunk.length = ordinal & CHUNK_MASK;
    this.#count = ordinal;
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

function grown(array: Uint32Array<ArrayBuffer>, length: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(length);
  larger.set(array);
  return larger;
}
