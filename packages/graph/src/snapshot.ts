// The image in a file next to the database, so that opening does not have to read a row per edge.
//
//   magic, version, length of the header, CRC-32 of the header          24 bytes
//   header: JSON; which database, which point of its log, the sections
//   sections: the image's own arrays, each aligned to 64 bytes, each with its CRC-32
//
// Every byte that is used is covered by a checksum that is verified before the first answer from it. The header is
// written for the state between two points of the change log: `redoFrom`, after which changes must be applied again,
// and `upTo`, the last change that may be in it (see compaction.ts). Both must be in the log of the database that is
// opened, with the same chain, or the snapshot is not of this database's past and is not used.
//
// Sides are read when they are first needed: a cold process that asks one question about outgoing edges reads half
// of the file. Numbers are in the byte order of the machine; another one finds the wrong magic.

import { closeSync, fstatSync, openSync, readSync, readvSync, renameSync, rmSync, writeSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { Adjacency } from './adjacency.ts';
import { GraphImage } from './graph-image.ts';
import type { NodeOrder } from './graph-image.ts';
import { IdTable } from './id-table.ts';
import type { LogRow } from './store.ts';

const MAGIC = 0x47_50_66_72;
const FORMAT = 1;
const PREFIX_BYTES = 24;
const ALIGNMENT = 64;
const MAX_HEADER_BYTES = 1 << 20;
/** Room that pools get beyond what the file holds, so that the first inserts do not copy them. */
const SLACK = 1.25;
const WRITE_BYTES = 1 << 20;

export type SnapshotProblem = 'missing' | 'corrupt' | 'stale' | 'foreign';

/** Why a snapshot was not used. Never leaves the package. */
export class SnapshotUnusable extends Error {
  override readonly name = 'SnapshotUnusable';
  readonly problem: SnapshotProblem;

  constructor(problem: SnapshotProblem, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.problem = problem;
  }
}

export interface SnapshotPoint {
  readonly identity: string;
  readonly redoFrom: LogRow;
  readonly upTo: LogRow;
}

interface Section {
  readonly name: string;
  readonly offset: number;
  readonly bytes: number;
  readonly crc: number;
}

interface Header extends SnapshotPoint {
  readonly nodeBits: number;
  readonly edgeTypeCount: number;
  readonly edges: number;
  readonly nodes: number;
  readonly nextKey: number;
  readonly nodeOrder: NodeOrder;
  readonly fileBytes: number;
  readonly sections: readonly Section[];
}

type Numbers = Uint32Array | Int32Array | Uint16Array | Float64Array;

// Writing.

/** Writes the snapshot of a dense image in one go. */
export function writeSnapshot(path: string, image: GraphImage, point: SnapshotPoint): void {
  const temporary = temporaryName(path);
  const chunks = layOut(image, point, (bytes) => crc32(bytes));
  const fd = openSync(temporary, 'w');
  try {
    try {
      for (const chunk of chunks) writeFully(fd, chunk);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
  } catch (failure) {
    rmSync(temporary, { force: true });
    throw failure;
  }
}

/** The same in pieces, so that the event loop turns in between. The image must not change meanwhile. */
export async function writeSnapshotInPieces(
  path: string,
  image: GraphImage,
  point: SnapshotPoint,
): Promise<void> {
  const temporary = temporaryName(path);
  const checksums = new Map<Buffer, number>();
  for (const [, bytes] of sectionsOf(image)) {
    let crc = 0;
    for (let at = 0; at < bytes.length; at += WRITE_BYTES) {
      crc = crc32(bytes.subarray(at, at + WRITE_BYTES), crc);
      await new Promise((resolve) => setImmediate(resolve));
    }
    checksums.set(bytes, crc);
  }
  const crcs = [...checksums.values()];
  let next = 0;
  const chunks = layOut(image, point, () => crcs[next++]!);
  const file = await open(temporary, 'w');
  try {
    try {
      for (const chunk of chunks) {
        for (let at = 0; at < chunk.length; at += WRITE_BYTES)
          await file.write(chunk.subarray(at, at + WRITE_BYTES));
      }
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (failure) {
    await rm(temporary, { force: true });
    throw failure;
  }
}

function layOut(image: GraphImage, point: SnapshotPoint, checksum: (bytes: Buffer) => number): Buffer[] {
  const contents = sectionsOf(image);
  const sections: Section[] = contents.map(([name, bytes]) => ({
    name,
    offset: 0,
    bytes: bytes.length,
    crc: checksum(bytes),
  }));
  // Offsets are relative to the end of the header, whose length depends on them.
  let end = 0;
  const placed = sections.map((section) => {
    const offset = aligned(end);
    end = offset + section.bytes;
    return { ...section, offset };
  });
  const header: Header = {
    ...point,
    nodeBits: image.nodeBits,
    edgeTypeCount: image.edgeTypeCount,
    edges: image.edges,
    nodes: image.nodes,
    nextKey: image.nextKey,
    nodeOrder: image.nodeOrder,
    fileBytes: end,
    sections: placed,
  };
  const json = Buffer.from(JSON.stringify(header));
  const body = aligned(PREFIX_BYTES + json.length);
  const start = Buffer.alloc(body);
  start.writeUInt32LE(MAGIC, 0);
  start.writeUInt32LE(FORMAT, 4);
  start.writeUInt32LE(json.length, 8);
  start.writeUInt32LE(crc32(json), 12);
  // Differs from the magic's order when the machine's byte order does.
  new Uint32Array(start.buffer, start.byteOffset + 16, 1)[0] = MAGIC;
  json.copy(start, PREFIX_BYTES);
  const chunks: Buffer[] = [start];
  let at = 0;
  placed.forEach(({ offset, bytes }, index) => {
    if (offset > at) chunks.push(Buffer.alloc(offset - at));
    if (bytes > 0) chunks.push(contents[index]![1]);
    at = offset + bytes;
  });
  return chunks;
}

function sectionsOf(image: GraphImage): [name: string, bytes: Buffer][] {
  const { ids, baseOrdinals } = image;
  const { hashes, slots, ends, text } = ids.parts;
  const sections: [string, Buffer][] = [
    ['ids.hashes', bytesOf(hashes.subarray(0, baseOrdinals))],
    ['ids.slots', bytesOf(slots)],
    ['ids.ends', bytesOf(ends)],
    ['ids.text', text],
    ['nodes.types', bytesOf(image.nodeTypes.subarray(0, baseOrdinals))],
  ];
  if (image.confidences !== undefined) {
    sections.push(['nodes.confidences', bytesOf(image.confidences.subarray(0, baseOrdinals))]);
  }
  if (image.keys !== undefined) sections.push(['nodes.keys', bytesOf(image.keys)]);
  for (const name of ['out', 'in'] as const) {
    const side = image[name];
    const used = side.usedWords;
    sections.push(
      [`${name}.offsets`, bytesOf(side.offsets)],
      [`${name}.words`, bytesOf(side.words.subarray(0, used))],
    );
    if (side.weights !== undefined)
      sections.push([`${name}.weights`, bytesOf(side.weights.subarray(0, used))]);
    if (side.validFrom !== undefined && side.validTo !== undefined) {
      sections.push([`${name}.validFrom`, bytesOf(side.validFrom.subarray(0, used))]);
      sections.push([`${name}.validTo`, bytesOf(side.validTo.subarray(0, used))]);
    }
  }
  return sections;
}

// Reading.

/** An open snapshot whose header is verified. */
export class SnapshotFile {
  readonly point: SnapshotPoint;
  readonly #fd: number;
  readonly #header: Header;
  readonly #body: number;
  #unread = 3;

  private constructor(fd: number, header: Header, body: number) {
    this.#fd = fd;
    this.#header = header;
    this.#body = body;
    this.point = header;
  }

  /** @throws {SnapshotUnusable} 'missing' or 'corrupt'. */
  static open(path: string): SnapshotFile {
    let fd: number;
    try {
      fd = openSync(path, 'r');
    } catch (cause) {
      throw new SnapshotUnusable('missing', `no snapshot at ${path}`, { cause });
    }
    try {
      const { header, body } = readHeader(fd);
      return new SnapshotFile(fd, header, body);
    } catch (failure) {
      closeSync(fd);
      throw failure;
    }
  }

  /** An image that reads its sides from this file when they are needed, and closes it when it has both. */
  image(): GraphImage {
    const header = this.#header;
    const sections = this.#read('ids.', 'nodes.');
    const ids = IdTable.fromParts({
      hashes: wordsOf(sections, 'ids.hashes'),
      slots: new Int32Array(wordsOf(sections, 'ids.slots').buffer),
      ends: wordsOf(sections, 'ids.ends'),
      text: Buffer.from(bytesIn(sections, 'ids.text')),
    });
    const confidences = sections.get('nodes.confidences');
    const keys = sections.get('nodes.keys');
    if (ids.count !== header.nodes) throw new SnapshotUnusable('corrupt', 'the number of ids is wrong');
    return new GraphImage({
      ids,
      nodeTypes: new Uint16Array(bytesIn(sections, 'nodes.types')),
      confidences: confidences && new Float64Array(confidences),
      keys: keys && new Uint32Array(keys),
      out: () => this.#side('out'),
      in: () => this.#side('in'),
      nextKey: header.nextKey,
      nodeBits: header.nodeBits,
      edgeTypeCount: header.edgeTypeCount,
      edges: header.edges,
      nodeOrder: header.nodeOrder,
    });
  }

  close(): void {
    if (this.#unread === 0) return;
    this.#unread = 0;
    closeSync(this.#fd);
  }

  #side(name: 'out' | 'in'): Adjacency {
    const sections = this.#read(`${name}.`);
    const { nodes, edges } = this.#header;
    const offsets = wordsOf(sections, `${name}.offsets`);
    const words = new Uint32Array(bytesIn(sections, `${name}.words`));
    if (offsets.length !== nodes + 1 || offsets[nodes] !== edges || words.length < edges) {
      throw new SnapshotUnusable('corrupt', `the ${name} side has the wrong size`);
    }
    const side = new Adjacency(offsets, words, edges);
    const column = (which: string): Float64Array | undefined => {
      const bytes = sections.get(`${name}.${which}`);
      return bytes && new Float64Array(bytes);
    };
    side.weights = column('weights');
    side.validFrom = column('validFrom');
    side.validTo = column('validTo');
    return side;
  }

  #roomFor(section: string): number {
    const bytesPerEdge = POOLS.get(section.split('.')[1] ?? '') ?? 0;
    return bytesPerEdge * (Math.ceil(this.#header.edges * SLACK) + 16);
  }

  /** Reads the sections of these groups with one call and verifies them. */
  #read(...groups: readonly string[]): Map<string, ArrayBuffer> {
    const wanted = this.#header.sections.filter(({ name }) => groups.some((group) => name.startsWith(group)));
    const first = wanted[0]!.offset;
    const buffers: Uint8Array[] = [];
    const found = new Map<string, ArrayBuffer>();
    const parts: [Section, Uint8Array][] = [];
    let at = first;
    for (const section of wanted) {
      if (section.offset > at) buffers.push(new Uint8Array(section.offset - at));
      // Not zeroed: the part that is used is filled from the file, the slack is written before it is read.
      const whole = Buffer.allocUnsafeSlow(Math.max(section.bytes, this.#roomFor(section.name)));
      const part = whole.subarray(0, section.bytes);
      if (section.bytes > 0) buffers.push(part);
      parts.push([section, part]);
      found.set(section.name, whole.buffer);
      at = section.offset + section.bytes;
    }
    readFully(this.#fd, buffers, this.#body + first);
    for (const [{ name, crc }, part] of parts) {
      if (crc32(part) !== crc) throw new SnapshotUnusable('corrupt', `the checksum of ${name} is wrong`);
    }
    if (--this.#unread === 0) closeSync(this.#fd);
    return found;
  }
}

/** Bytes per edge of the sections that grow. */
const POOLS: ReadonlyMap<string, number> = new Map([
  ['words', 4],
  ['weights', 8],
  ['validFrom', 8],
  ['validTo', 8],
]);

function readHeader(fd: number): { header: Header; body: number } {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  readFully(fd, [prefix], 0);
  const length = prefix.readUInt32LE(8);
  const native = new Uint32Array(prefix.buffer, prefix.byteOffset + 16, 1)[0];
  if (prefix.readUInt32LE(0) !== MAGIC || native !== MAGIC) {
    throw new SnapshotUnusable('corrupt', 'not a snapshot of this machine');
  }
  if (prefix.readUInt32LE(4) !== FORMAT)
    throw new SnapshotUnusable('corrupt', 'a snapshot of another version');
  if (length > MAX_HEADER_BYTES) throw new SnapshotUnusable('corrupt', 'the header is too long');
  const json = Buffer.alloc(length);
  readFully(fd, [json], PREFIX_BYTES);
  if (crc32(json) !== prefix.readUInt32LE(12)) {
    throw new SnapshotUnusable('corrupt', 'the checksum of the header is wrong');
  }
  const header = JSON.parse(json.toString()) as Header;
  const body = aligned(PREFIX_BYTES + length);
  if (fstatSync(fd).size !== body + header.fileBytes)
    throw new SnapshotUnusable('corrupt', 'the file is truncated');
  return { header, body };
}

function readFully(fd: number, buffers: readonly Uint8Array[], position: number): void {
  const expected = buffers.reduce((sum, { length }) => sum + length, 0);
  if (readvSync(fd, buffers, position) === expected) return;
  // A short read: piece by piece, each to its end.
  let at = position;
  for (const buffer of buffers) {
    for (let done = 0; done < buffer.length;) {
      const bytes = readSync(fd, buffer, done, buffer.length - done, at + done);
      if (bytes === 0) throw new SnapshotUnusable('corrupt', 'the file is truncated');
      done += bytes;
    }
    at += buffer.length;
  }
}

function writeFully(fd: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done);
}

function wordsOf(sections: Map<string, ArrayBuffer>, name: string): Uint32Array<ArrayBuffer> {
  return new Uint32Array(bytesIn(sections, name));
}

function bytesIn(sections: Map<string, ArrayBuffer>, name: string): ArrayBuffer {
  const bytes = sections.get(name);
  if (bytes === undefined) throw new SnapshotUnusable('corrupt', `the section ${name} is missing`);
  return bytes;
}

function bytesOf(numbers: Numbers): Buffer {
  return Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength);
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

/** Unique among processes and within one, so that two writers never share a file; the last rename wins. */
function temporaryName(path: string): string {
  return `${path}.${process.pid}-${process.hrtime.bigint().toString(36)}.tmp`;
}
