// The change log's binary form: how one process tells the others what it did, and how a snapshot catches up.
//
// A record is an operation byte and its fields, little-endian. Records are self-contained: the reader needs no other
// table, so it can apply them at any later state of the database.
//
//   1 node    key u32, type u32, confidence f64, id length u32, id utf-8     created, or its type or confidence changed
//   2 gone    key u32                                                        node deleted, after its edges
//   3 edge    source u32, type u32, target u32                               weight 1, always valid
//   4 edge+   source u32, type u32, target u32, weight, from, to f64
//   5 cut     source u32, type u32, target u32                               edge deleted
//   6 kind    0 node or 1 edge u8, key u32, name length u32, name utf-8      type interned
//   7 touch   key u32                                                        content changed, nothing a traversal sees

import type { EdgeColumns } from './adjacency.ts';
import { GraphError } from './errors.ts';

const NODE = 1;
const GONE = 2;
const EDGE = 3;
const EDGE_FULL = 4;
const CUT = 5;
const KIND = 6;
const TOUCH_NODE = 7;

/** A big transaction becomes several rows of at most about this size: some 5,000 changes, a millisecond of work. */
export const MAX_ROW_BYTES: number = 1 << 16;

/** What a reader of the log does with it. */
export interface ChangeSink {
  node(key: number, type: number, confidence: number, id: string): void;
  gone(key: number): void;
  edge(source: number, type: number, target: number, columns: EdgeColumns | undefined): void;
  cut(source: number, type: number, target: number): void;
  kind(of: 'node' | 'edge', key: number, name: string): void;
  touch(key: number): void;
}

/** Collects the records of one transaction. */
export class ChangeWriter {
  #buffer = Buffer.allocUnsafeSlow(256);
  #length = 0;
  #records = 0;
  #full: Buffer[] = [];

  get isEmpty(): boolean {
    return this.#length === 0 && this.#full.length === 0;
  }

  get records(): number {
    return this.#records;
  }

  node(key: number, type: number, confidence: number, id: string): void {
    const bytes = Buffer.byteLength(id);
    let at = this.#begin(NODE, 21 + bytes);
    at = this.#buffer.writeUInt32LE(key, at);
    at = this.#buffer.writeUInt32LE(type, at);
    at = this.#buffer.writeDoubleLE(confidence, at);
    at = this.#buffer.writeUInt32LE(bytes, at);
    this.#buffer.write(id, at);
  }

  gone(key: number): void {
    // `#begin` may replace the buffer, so it must run before the buffer is read.
    const at = this.#begin(GONE, 5);
    this.#buffer.writeUInt32LE(key, at);
  }

  edge(source: number, type: number, target: number, columns: EdgeColumns): void {
    const plain = columns.weight === 1 && columns.validFromMs === -Infinity && columns.validToMs === Infinity;
    const at = this.#triple(plain ? EDGE : EDGE_FULL, source, type, target, plain ? 13 : 37);
    if (plain) return;
    this.#buffer.writeDoubleLE(columns.weight, at);
    this.#buffer.writeDoubleLE(columns.validFromMs, at + 8);
    this.#buffer.writeDoubleLE(columns.validToMs, at + 16);
  }

  cut(source: number, type: number, target: number): void {
    this.#triple(CUT, source, type, target, 13);
  }

  kind(of: 'node' | 'edge', key: number, name: string): void {
    const bytes = Buffer.byteLength(name);
    let at = this.#begin(KIND, 10 + bytes);
    at = this.#buffer.writeUInt8(of === 'node' ? 0 : 1, at);
    at = this.#buffer.writeUInt32LE(key, at);
    at = this.#buffer.writeUInt32LE(bytes, at);
    this.#buffer.write(name, at);
  }

  touch(key: number): void {
    const at = this.#begin(TOUCH_NODE, 5);
    this.#buffer.writeUInt32LE(key, at);
  }

  /** The rows to store, in order; the writer is empty afterwards. */
  take(): readonly Buffer[] {
    const rows = this.#full;
    if (this.#length > 0) rows.push(Buffer.from(this.#buffer.subarray(0, this.#length)));
    this.clear();
    return rows;
  }

  /** A place to come back to when a nested transaction rolls back. */
  mark(): ChangeMark {
    return { full: this.#full.length, length: this.#length, records: this.#records, buffer: this.#buffer };
  }

  resetTo(mark: ChangeMark): void {
    // The buffer current at the mark may have become a full row since; its bytes up to the mark are still in it.
    this.#buffer = mark.full < this.#full.length ? Buffer.from(this.#full[mark.full]!) : this.#buffer;
    this.#full.length = mark.full;
    this.#length = mark.length;
    this.#records = mark.records;
  }

  clear(): void {
    this.#full = [];
    this.#length = 0;
    this.#records = 0;
    if (this.#buffer.length > 65_536) this.#buffer = Buffer.allocUnsafeSlow(256);
  }

  #triple(operation: number, source: number, type: number, target: number, bytes: number): number {
    const at = this.#begin(operation, bytes);
    this.#buffer.writeUInt32LE(source, at);
    this.#buffer.writeUInt32LE(type, at + 4);
    this.#buffer.writeUInt32LE(target, at + 8);
    return at + 12;
  }

  #begin(operation: number, bytes: number): number {
    if (this.#length > 0 && this.#length + bytes > MAX_ROW_BYTES) {
      this.#full.push(Buffer.from(this.#buffer.subarray(0, this.#length)));
      this.#length = 0;
    }
    if (this.#length + bytes > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, this.#length + bytes));
      this.#buffer.copy(larger, 0, 0, this.#length);
      this.#buffer = larger;
    }
    this.#buffer[this.#length] = operation;
    const at = this.#length + 1;
    this.#length += bytes;
    this.#records++;
    return at;
  }
}

export interface ChangeMark {
  readonly full: number;
  readonly length: number;
  readonly records: number;
  readonly buffer: Buffer;
}

/**
 * Feeds the records of one log row to `sink`; returns how many there were.
 * @throws {GraphError} ERR_PERF_GRAPH_CORRUPT when the bytes are not a list of records.
 */
export function readChanges(data: Buffer, sink: ChangeSink): number {
  let records = 0;
  let at = 0;
  try {
    while (at < data.length) {
      at = readRecord(data, at, sink);
      records++;
    }
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new GraphError('ERR_PERF_GRAPH_CORRUPT', 'the change log ends inside a record', { cause });
  }
  if (at !== data.length)
    throw new GraphError('ERR_PERF_GRAPH_CORRUPT', 'the change log ends inside a record');
  return records;
}

function readRecord(data: Buffer, at: number, sink: ChangeSink): number {
  const operation = data[at]!;
  const first = operation === KIND ? 0 : data.readUInt32LE(at + 1);
  switch (operation) {
    case NODE: {
      const bytes = data.readUInt32LE(at + 17);
      const id = data.toString('utf8', at + 21, at + 21 + bytes);
      sink.node(first, data.readUInt32LE(at + 5), data.readDoubleLE(at + 9), id);
      return at + 21 + bytes;
    }
    case GONE:
      sink.gone(first);
      return at + 5;
    case EDGE:
      sink.edge(first, data.readUInt32LE(at + 5), data.readUInt32LE(at + 9), undefined);
      return at + 13;
    case EDGE_FULL:
      sink.edge(first, data.readUInt32LE(at + 5), data.readUInt32LE(at + 9), {
        weight: data.readDoubleLE(at + 13),
        validFromMs: data.readDoubleLE(at + 21),
        validToMs: data.readDoubleLE(at + 29),
      });
      return at + 37;
    case CUT:
      sink.cut(first, data.readUInt32LE(at + 5), data.readUInt32LE(at + 9));
      return at + 13;
    case KIND: {
      const bytes = data.readUInt32LE(at + 6);
      const name = data.toString('utf8', at + 10, at + 10 + bytes);
      sink.kind(data[at + 1] === 0 ? 'node' : 'edge', data.readUInt32LE(at + 2), name);
      return at + 10 + bytes;
    }
    case TOUCH_NODE:
      sink.touch(first);
      return at + 5;
    default:
      throw new GraphError('ERR_PERF_GRAPH_CORRUPT', `unknown change ${operation} in the log`);
  }
}
