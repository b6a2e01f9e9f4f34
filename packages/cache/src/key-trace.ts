/** Reads traces of cache keys: one key per line, or the delta-coded binary format of the benchmark data. */

const MAGIC = 'CTR1';
const HEADER_BYTES = 12;

/**
 * The keys of a trace in order, renumbered 0, 1, 2, ... by first appearance.
 *
 * Binary: `CTR1`, u32 LE number of accesses, u32 LE number of different keys, then per access the zigzag-coded
 * difference to the previous key as a LEB128 varint. Text: the first word of every line that has one.
 *
 * @throws {RangeError} when a binary trace ends early or holds less than it says.
 */
export function parseKeyTrace(bytes: Uint8Array): Uint32Array {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return head.toString('latin1', 0, 4) === MAGIC ? parseBinary(head) : parseText(head.toString('utf8'));
}

function parseBinary(bytes: Buffer): Uint32Array {
  if (bytes.length < HEADER_BYTES) throw new RangeError('the trace ends inside its header');
  const accesses = bytes.readUInt32LE(4);
  if (accesses > bytes.length - HEADER_BYTES) {
    throw new RangeError(`the trace says ${accesses} accesses and has ${bytes.length - HEADER_BYTES} bytes`);
  }
  const numbers = new Numbering<number>();
  const keys = new Uint32Array(accesses);
  let at = HEADER_BYTES;
  let previous = 0;
  for (let i = 0; i < accesses; i++) {
    let coded = 0;
    let scale = 1;
    let byte: number | undefined;
    do {
      byte = bytes[at++];
      if (byte === undefined) throw new RangeError(`the trace ends at access ${i} of ${accesses}`);
      coded += (byte & 127) * scale;
      scale *= 128;
    } while ((byte & 128) !== 0);
    previous += coded % 2 === 0 ? coded / 2 : -(coded + 1) / 2;
    keys[i] = numbers.of(previous);
  }
  return keys;
}

function parseText(text: string): Uint32Array {
  const numbers = new Numbering<string>();
  const keys: number[] = [];
  for (const line of text.split('\n')) {
    const [word] = line.trim().split(/\s+/, 1);
    if (word !== undefined && word !== '') keys.push(numbers.of(word));
  }
  return Uint32Array.from(keys);
}

class Numbering<K> {
  readonly #numbers = new Map<K, number>();

  of(key: K): number {
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    const number = this.#numbers.size;
    this.#numbers.set(key, number);
    return number;
  }
}
