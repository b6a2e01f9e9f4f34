/**
 * From UTF-16 offsets in decoded text back to byte offsets, also where the bytes are not valid UTF-8. The decoder puts one
 * U+FFFD for each "maximal subpart" of an ill-formed sequence (WHATWG Encoding, Unicode 3.9 D93b), and this reader steps
 * over the bytes in the same way.
 */

const REPLACEMENT = '�';

/** Number of bytes from `from` that decode to `text`, which must be what decoding from there begins with. */
export function byteLengthOf(bytes: Uint8Array, from: number, text: string): number {
  // Without a replacement character nothing was replaced.
  if (!text.includes(REPLACEMENT)) return Buffer.byteLength(text);
  let at = from;
  for (let units = text.length; units > 0;) {
    const step = stepAt(bytes, at);
    at += step.bytes;
    units -= step.units;
  }
  return at - from;
}

/** The bytes that the next code point, or the next replacement, takes; and its UTF-16 units. */
function stepAt(bytes: Uint8Array, at: number): { bytes: number; units: number } {
  const lead = bytes[at] as number;
  const needed = lead < 0xc2 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : lead < 0xf5 ? 3 : 0;
  // The second byte has a narrower range after some leads: no overlong forms, no surrogates, nothing above U+10FFFF.
  let low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  let high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  for (let i = 1; i <= needed; i++) {
    const next = bytes[at + i];
    if (next === undefined || next < low || next > high) return { bytes: i, units: 1 };
    low = 0x80;
    high = 0xbf;
  }
  return { bytes: needed + 1, units: needed === 3 ? 2 : 1 };
}
