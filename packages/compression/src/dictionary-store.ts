// Dictionaries by id, in memory or also in one file. The file is a magic line, then per dictionary: varint length and
// UTF-8 of the id, varint length and bytes, and a CRC-32 of that record. Every `add` writes the whole file beside the
// old one and renames it, so a reader sees the old or the new file, never half of one; one process writes at a time.
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { ByteReader, ByteWriter } from './byte-sequence.ts';
import type { Dictionary } from './dictionary.ts';
import { checkedDictionary } from './dictionary.ts';
import { CompressionError, corrupt } from './errors.ts';

const MAGIC = Buffer.from('perf-dictionaries 1\n');

export class DictionaryStore {
  readonly #dictionaries = new Map<string, Dictionary>();
  #path: string | undefined;

  /**
   * Opens the file, or starts one that the first `add` creates. A file that cannot be read is left as it is.
   * @throws {CompressionError} ERR_PERF_COMPRESSION_CORRUPT or _TRUNCATED when the file is not a whole dictionary file.
   */
  static open(options: { readonly path: string }): DictionaryStore {
    if (typeof options?.path !== 'string' || options.path === '')
      throw new TypeError('path must be a file path');
    const store = new DictionaryStore();
    const bytes = readIfPresent(options.path);
    if (bytes !== undefined) for (const dictionary of parse(bytes)) store.add(dictionary);
    store.#path = options.path;
    return store;
  }

  get size(): number {
    return this.#dictionaries.size;
  }

  ids(): string[] {
    return [...this.#dictionaries.keys()];
  }

  /**
   * Keeps a copy; with a file, it is on disk when this returns. Adding the same dictionary again does nothing.
   * @throws {CompressionError} ERR_PERF_COMPRESSION_DICTIONARY_MISMATCH when the id names other bytes already.
   */
  add(dictionary: Dictionary): this {
    const { id, bytes } = checkedDictionary(dictionary, 'dictionary');
    const known = this.#dictionaries.get(id);
    if (known !== undefined) {
      if (Buffer.compare(known.bytes, bytes) === 0) return this;
      throw new CompressionError(
        'ERR_PERF_COMPRESSION_DICTIONARY_MISMATCH',
        `id ${id} names other bytes already`,
      );
    }
    const copy = { id, bytes: new Uint8Array(bytes) };
    if (this.#path !== undefined) replaceFile(this.#path, serialize([...this.#dictionaries.values(), copy]));
    this.#dictionaries.set(id, copy);
    return this;
  }

  /** The dictionary of that id, or `undefined`. Its bytes are the store's own: do not change them. */
  get(id: string): Dictionary | undefined {
    return this.#dictionaries.get(id);
  }
}

function serialize(dictionaries: readonly Dictionary[]): Uint8Array {
  const file = new ByteWriter().bytes(MAGIC);
  for (const { id, bytes } of dictionaries) {
    const name = Buffer.from(id);
    const record = new ByteWriter()
      .varint(name.length)
      .bytes(name)
      .varint(bytes.length)
      .bytes(bytes)
      .finish();
    file.bytes(record).u32(crc32(record));
  }
  return file.finish();
}

function parse(bytes: Uint8Array): Dictionary[] {
  const reader = new ByteReader(bytes);
  if (
    Buffer.compare(reader.bytes(Math.min(MAGIC.length, bytes.length)), MAGIC.subarray(0, bytes.length)) !== 0
  ) {
    throw corrupt('not a dictionary file');
  }
  if (bytes.length < MAGIC.length) throw corrupt('not a dictionary file');
  const dictionaries: Dictionary[] = [];
  while (reader.remaining > 0) {
    const start = reader.at;
    const id = Buffer.from(reader.bytes(reader.varint())).toString();
    const content = new Uint8Array(reader.bytes(reader.varint()));
    const end = reader.at;
    if (crc32(bytes.subarray(start, end)) !== reader.u32())
      throw corrupt('a dictionary in the file is damaged');
    dictionaries.push({ id, bytes: content });
  }
  return dictionaries;
}

function readIfPresent(path: string): Uint8Array | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function replaceFile(path: string, bytes: Uint8Array): void {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    const file = openSync(temporary, 'w');
    try {
      writeFileSync(file, bytes);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
