/**
 * Reads the write-ahead log as a file, to learn which pages of the database it carries, without SQLite writing or
 * recovering anything. Layout: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
 *
 *   32-byte header: magic, version, page size @8, sequence, salt @16..24, checksum
 *   frames:         24-byte header (page number @0, database size after commit @4, salt @8..16, checksum), page
 *
 * Frames of the current generation carry the salt of the header and form a prefix of the file; what follows is left
 * over from an earlier generation. A frame whose "size after commit" is not zero ends a transaction.
 *
 * Opening and closing the log is safe while this process has the database open: POSIX locks live on the database
 * and on the -shm file, never on the log.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
// The last bit says in which byte order the checksums are computed.
const MAGIC = 0x377f0682;

/**
 * `'empty'`: no transaction is in the log. `'unreadable'`: its bytes are not those of a log. `'incomplete'`: pages are
 * neither in the log nor in the database, so the database was cut. `'complete'`: every page is somewhere.
 */
export type WalVerdict = 'empty' | 'unreadable' | 'incomplete' | 'complete';

/**
 * Compares the log with the size of the database, which `databaseBytes` tells after the log was read: a checkpoint by
 * another process in between only adds pages to the database.
 */
export function inspectWal(path: string, databaseBytes: () => number): WalVerdict {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (failure) {
    if ((failure as NodeJS.ErrnoException).code === 'ENOENT') return 'empty';
    throw failure;
  }
  try {
    return inspectFrames(file, fstatSync(file).size, databaseBytes);
  } finally {
    closeSync(file);
  }
}

function inspectFrames(file: number, sizeBytes: number, databaseBytes: () => number): WalVerdict {
  if (sizeBytes < HEADER_BYTES + FRAME_HEADER_BYTES) return 'empty';
  const header = Buffer.alloc(HEADER_BYTES);
  readSync(file, header, 0, HEADER_BYTES, 0);
  // After a power loss a log that was never synced may read as zeros: nothing in it ever reached the disk.
  if (header.every((byte) => byte === 0)) return 'empty';
  const pageBytes = header.readUInt32BE(8);
  if ((header.readUInt32BE(0) & ~1) !== MAGIC || !isPageSize(pageBytes)) return 'unreadable';

  const frameBytes = FRAME_HEADER_BYTES + pageBytes;
  const salt = header.subarray(16, 24);
  const frame = Buffer.alloc(FRAME_HEADER_BYTES);
  const readFrame = (index: number): boolean => {
    const read = readSync(file, frame, 0, FRAME_HEADER_BYTES, HEADER_BYTES + index * frameBytes);
    return read === FRAME_HEADER_BYTES && frame.subarray(8, 16).equals(salt);
  };

  // The current generation is a prefix: find its end by halving, then step back to the last commit.
  let frames = 0;
  let beyond = Math.floor((sizeBytes - HEADER_BYTES) / frameBytes);
  while (frames < beyond) {
    const middle = (frames + beyond) >>> 1;
    if (readFrame(middle)) frames = middle + 1;
    else beyond = middle;
  }
  let databasePages = 0;
  while (frames > 0 && databasePages === 0) {
    if (readFrame(frames - 1)) databasePages = frame.readUInt32BE(4);
    if (databasePages === 0) frames--;
  }
  if (databasePages === 0) return 'empty';

  const pagesInDatabase = Math.floor(databaseBytes() / pageBytes);
  if (pagesInDatabase >= databasePages) return 'complete';
  const missing = new Set<number>();
  for (let page = pagesInDatabase + 1; page <= databasePages; page++) missing.add(page);
  for (let index = 0; index < frames && missing.size > 0; index++) {
    if (readFrame(index)) missing.delete(frame.readUInt32BE(0));
  }
  return missing.size === 0 ? 'complete' : 'incomplete';
}

/** A power of two between 512 and 65536. */
export function isPageSize(bytes: number): boolean {
  return bytes >= 512 && bytes <= 65_536 && (bytes & (bytes - 1)) === 0;
}
