// Content-defined chunk boundaries by a gear hash, as in FastCDC (Xia et al., USENIX ATC 2016). A boundary depends on
// the 32 bytes before it alone, so an insertion moves the chunks after it without changing them.
//
// Normalised chunking: before the average size a boundary needs two more zero bits, after it two fewer, which pulls the
// sizes towards the average. No boundary before a quarter of it; always one at eight times it.

/** One random word for each byte value: the outputs of a fixed xorshift (Marsaglia, 2003), so that all stores agree. */
const GEAR: Uint32Array = gearTable();

function gearTable(): Uint32Array {
  let state = 0x2545f491;
  return Uint32Array.from({ length: 256 }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state;
  });
}

/** Ends of the chunks of `bytes`, ascending, the last being its length; empty for no bytes. `averageBytes`: a power of two. */
export function chunkEnds(bytes: Uint8Array, averageBytes: number): number[] {
  const bits = Math.log2(averageBytes);
  const early = topBits(bits + 2);
  const late = topBits(bits - 2);
  const ends: number[] = [];
  let start = 0;
  while (start < bytes.length) {
    start = chunkEnd(bytes, start, averageBytes, early, late);
    ends.push(start);
  }
  return ends;
}

function chunkEnd(
  bytes: Uint8Array,
  start: number,
  averageBytes: number,
  early: number,
  late: number,
): number {
  const limit = Math.min(bytes.length, start + 8 * averageBytes);
  const normal = Math.min(limit, start + averageBytes);
  let at = start + (averageBytes >> 2);
  let hash = 0;
  for (; at < normal; at++) {
    hash = ((hash << 1) + (GEAR[bytes[at] as number] as number)) | 0;
    if ((hash & early) === 0) return at + 1;
  }
  for (; at < limit; at++) {
    hash = ((hash << 1) + (GEAR[bytes[at] as number] as number)) | 0;
    if ((hash & late) === 0) return at + 1;
  }
  return limit;
}

/** The highest bits have seen the most bytes. */
function topBits(count: number): number {
  return (-1 << (32 - count)) | 0;
}
