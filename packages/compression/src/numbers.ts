// Lossless coding of numbers (series and vectors): a reversible transform into integers or bit patterns, whose bytes
// are then laid out in planes (all lowest bytes, then all next ones, ...), where a general codec finds the runs.
//
//   element  u8      what comes back: Float64Array, Float32Array, Int32Array, Uint32Array, BigInt64Array, number[]
//   form     u8      see FORM
//   decimals u8      for the decimal forms: value = integer / 10^decimals
//   width    u8      bytes a value takes in the planes
//   count    varint  number of values
//   patches  varint  number of values that the form cannot say, such as -0 among decimals
//   planes   width * count bytes, lowest byte first
//   patches * (u32 index, u32 low and u32 high word of the double)
//
// The decimal forms follow ALP (Afroozeh, Kuffo and Boncz, SIGMOD 2024): most stored doubles are short decimals, and the
// few that are not are patched in. The XOR form is that of Gorilla (Pelkonen et al., VLDB 2015). Every value comes back
// bit for bit in any form; which form is smallest is measured on a prefix, not guessed.
import { zstdCompressSync } from 'node:zlib';
import { ByteReader, ByteWriter } from './byte-sequence.ts';
import { corrupt, tooLarge } from './errors.ts';

export type NumberArray =
  | Float64Array
  | Float32Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | readonly number[];

const ELEMENT = { float64: 0, float32: 1, int32: 2, uint32: 3, int64: 4, list: 5 } as const;

const FORM = {
  /** Bit patterns as they are. */
  bits: 0,
  /** Bit pattern XOR the one before. */
  xor: 1,
  /** Integers, zigzag. */
  integers: 2,
  /** Differences of consecutive integers, zigzag. */
  deltas: 3,
} as const;

const ALL_FORMS: readonly number[] = Object.values(FORM);

/** Integers below this have exact differences and exact zigzag codes in a double. */
const MAX_INTEGER = 2 ** 50;
const MAX_DECIMALS = 14;
/** Values of the prefix on which the forms compete. */
const TRIAL_VALUES = 4096;
const WORD = 2 ** 32;
/** With more patches than one value in so many, a decimal form is not tried. */
const VALUES_PER_PATCH = 64;
const PATCH_BYTES = 12;

interface Planes {
  readonly form: number;
  readonly decimals: number;
  readonly width: number;
  /** Low and high 32 bits of each value. */
  readonly low: Uint32Array;
  readonly high: Uint32Array;
  /** Indexes of the values to patch. */
  readonly patched: readonly number[];
}

export function encodeNumbers(values: NumberArray): Uint8Array {
  const chosen = smallestForm(values);
  const writer = new ByteWriter();
  writer.u8(elementOf(values)).u8(chosen.form).u8(chosen.decimals).u8(chosen.width);
  writer.varint(values.length).varint(chosen.patched.length);
  const laid = new Uint8Array(chosen.width * values.length);
  layPlanes(chosen, laid);
  writer.bytes(laid);
  const patch = new DataView(new ArrayBuffer(8));
  for (const index of chosen.patched) {
    patch.setFloat64(0, Number(values[index]), true);
    writer.u32(index).u32(patch.getUint32(0, true)).u32(patch.getUint32(4, true));
  }
  return writer.finish();
}

export function decodeNumbers(body: Uint8Array, maxOutputBytes: number): NumberArray {
  const reader = new ByteReader(body);
  const element = reader.u8();
  const form = reader.u8();
  const decimals = reader.u8();
  const width = reader.u8();
  const count = reader.varint();
  const patches = reader.varint();
  if (element > ELEMENT.list || form > FORM.deltas || decimals > MAX_DECIMALS || width > 8) {
    throw corrupt('the frame holds an unknown number format');
  }
  const elementBytes =
    element === ELEMENT.float32 || element === ELEMENT.int32 || element === ELEMENT.uint32 ? 4 : 8;
  if (count * elementBytes > maxOutputBytes) {
    throw tooLarge(`${count} numbers take more than maxOutputBytes (${maxOutputBytes})`);
  }
  if (reader.remaining !== width * count + PATCH_BYTES * patches) {
    throw corrupt('the numbers and their count do not match');
  }
  const values = restored(
    element,
    gatherPlanes({ form, decimals, width }, reader.bytes(width * count), count),
  );
  const patch = new DataView(new ArrayBuffer(8));
  for (let i = 0; i < patches; i++) {
    const index = reader.u32();
    patch.setUint32(0, reader.u32(), true);
    patch.setUint32(4, reader.u32(), true);
    if (index >= count || values instanceof BigInt64Array) throw corrupt('a patched number is out of range');
    values[index] = patch.getFloat64(0, true);
  }
  return element === ELEMENT.list ? Array.from(values as Float64Array) : values;
}

function restored(
  element: number,
  planes: Planes,
): Float64Array | Float32Array | Int32Array | Uint32Array | BigInt64Array {
  const count = planes.low.length;
  if (element === ELEMENT.float32) {
    const isBits = planes.form === FORM.bits || planes.form === FORM.xor;
    return isBits
      ? restoreFloat32Bits(planes, new Float32Array(count))
      : restoreDoubles(planes, new Float32Array(count), false);
  }
  if (element === ELEMENT.int32) return restoreDoubles(planes, new Int32Array(count), true);
  if (element === ELEMENT.uint32) return restoreDoubles(planes, new Uint32Array(count), true);
  if (element === ELEMENT.int64) return restoreInt64(planes, new BigInt64Array(count));
  return restoreDoubles(planes, new Float64Array(count), false);
}

function elementOf(values: NumberArray): number {
  if (values instanceof Float64Array) return ELEMENT.float64;
  if (values instanceof Float32Array) return ELEMENT.float32;
  if (values instanceof Int32Array) return ELEMENT.int32;
  if (values instanceof Uint32Array) return ELEMENT.uint32;
  if (values instanceof BigInt64Array) return ELEMENT.int64;
  return ELEMENT.list;
}

/** The form that is smallest on a prefix; of the bits as they are when the rest does not fit it. */
function smallestForm(values: NumberArray): Planes {
  const isPrefix = values.length > TRIAL_VALUES;
  const forms = formsOf(isPrefix ? values.slice(0, TRIAL_VALUES) : values, ALL_FORMS);
  const best = forms.length > 1 ? smallest(forms) : forms[0];
  if (!isPrefix && best !== undefined) return best;
  const [chosen] = formsOf(values, best === undefined ? [] : [best.form]);
  const [fallback] = chosen === undefined ? formsOf(values, [FORM.bits]) : [chosen];
  if (fallback === undefined) throw new TypeError('numbers have no form');
  return fallback;
}

/** Those of the wanted forms that say the values exactly. Bits always do; for 32-bit integers, integers do. */
function formsOf(values: NumberArray, wanted: readonly number[]): Planes[] {
  if (values instanceof BigInt64Array) return int64Forms(values, wanted);
  if (values instanceof Int32Array || values instanceof Uint32Array) {
    return integerForms(new Float64Array(values), 0, [], wanted);
  }
  const single = values instanceof Float32Array;
  const doubles = values instanceof Float64Array ? values : new Float64Array(values);
  const asBits = single ? float32BitForms(values, wanted) : doubleBitForms(doubles, wanted);
  return [...decimalForms(doubles, single, wanted), ...asBits];
}

/** The values as integers over the smallest power of ten that says nearly all of them; none when no power does. */
function decimalForms(values: Float64Array, single: boolean, wanted: readonly number[]): Planes[] {
  if (!wanted.includes(FORM.integers) && !wanted.includes(FORM.deltas)) return [];
  for (let decimals = 0; decimals <= MAX_DECIMALS; decimals++) {
    const patched = exceptions(values, decimals, single);
    if (patched === undefined) continue;
    const power = 10 ** decimals;
    const integers = new Float64Array(values.length);
    for (let i = 0; i < integers.length; i++) integers[i] = Math.round((values[i] as number) * power);
    // A patched value takes the integer before it, which costs nothing among differences.
    for (const index of patched) integers[index] = integers[index - 1] ?? 0;
    return integerForms(integers, decimals, patched, wanted);
  }
  return [];
}

function exceptions(values: Float64Array, decimals: number, single: boolean): number[] | undefined {
  const most = Math.floor(values.length / VALUES_PER_PATCH);
  const found: number[] = [];
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (isDecimal(value, decimals, single)) continue;
    // A NaN has 2^53 bit patterns, and a patch would keep only one.
    if (found.length === most || Number.isNaN(value)) return undefined;
    found.push(i);
  }
  return found;
}

function isDecimal(value: number, decimals: number, single: boolean): boolean {
  const power = 10 ** decimals;
  const integer = Math.round(value * power);
  if (!(Math.abs(integer) < MAX_INTEGER) || (integer === 0 && !Object.is(value, 0))) return false;
  const restored = integer / power;
  return (single ? Math.fround(restored) : restored) === value;
}

function integerForms(
  integers: Float64Array,
  decimals: number,
  patched: readonly number[],
  wanted: readonly number[],
): Planes[] {
  return [FORM.integers, FORM.deltas]
    .filter((form) => wanted.includes(form))
    .map((form) => {
      const low = new Uint32Array(integers.length);
      const high = new Uint32Array(integers.length);
      let previous = 0;
      let largest = 0;
      for (let i = 0; i < integers.length; i++) {
        const integer = integers[i] ?? 0;
        const difference = form === FORM.deltas ? integer - previous : integer;
        previous = integer;
        const code = difference >= 0 ? difference * 2 : -difference * 2 - 1;
        if (code > largest) largest = code;
        low[i] = code % WORD;
        high[i] = code / WORD;
      }
      let width = 0;
      while (largest >= 256 ** width) width++;
      return { form, decimals, width, low, high, patched };
    });
}

function doubleBitForms(values: Float64Array, wanted: readonly number[]): Planes[] {
  const words = new Uint32Array(
    values.buffer.slice(values.byteOffset, values.byteOffset + values.byteLength),
  );
  return bitForms(words, values.length, 2, wanted);
}

function float32BitForms(values: Float32Array, wanted: readonly number[]): Planes[] {
  const words = new Uint32Array(
    values.buffer.slice(values.byteOffset, values.byteOffset + values.byteLength),
  );
  return bitForms(words, values.length, 1, wanted);
}

function bitForms(
  words: Uint32Array,
  count: number,
  wordsPerValue: 1 | 2,
  wanted: readonly number[],
): Planes[] {
  return [FORM.bits, FORM.xor]
    .filter((form) => wanted.includes(form))
    .map((form) => {
      const low = new Uint32Array(count);
      const high = new Uint32Array(count);
      for (let i = 0; i < count; i++) {
        const at = i * wordsPerValue;
        const before = at - wordsPerValue;
        const xor = form === FORM.xor && i > 0;
        low[i] = (words[at] ?? 0) ^ (xor ? (words[before] ?? 0) : 0);
        if (wordsPerValue === 2) high[i] = (words[at + 1] ?? 0) ^ (xor ? (words[before + 1] ?? 0) : 0);
      }
      return { form, decimals: 0, width: 4 * wordsPerValue, low, high, patched: [] };
    });
}

/** 64-bit integers wrap: a difference is taken modulo 2^64, as two's complement does. */
function int64Forms(values: BigInt64Array, wanted: readonly number[]): Planes[] {
  return [FORM.bits, FORM.deltas]
    .filter((form) => wanted.includes(form))
    .map((form) => {
      const low = new Uint32Array(values.length);
      const high = new Uint32Array(values.length);
      let previous = 0n;
      for (let i = 0; i < values.length; i++) {
        const value = values[i] ?? 0n;
        let code = value;
        if (form === FORM.deltas) {
          const difference = BigInt.asIntN(64, value - previous);
          code = (difference << 1n) ^ (difference >> 63n);
          previous = value;
        }
        low[i] = Number(BigInt.asUintN(32, code));
        high[i] = Number(BigInt.asUintN(32, code >> 32n));
      }
      return { form, decimals: 0, width: 8, low, high, patched: [] };
    });
}

function smallest(forms: readonly Planes[]): Planes | undefined {
  let best: Planes | undefined;
  let bestSize = Infinity;
  for (const form of forms) {
    const laid = new Uint8Array(form.width * form.low.length);
    layPlanes(form, laid);
    const size = zstdCompressSync(laid).length + form.patched.length * PATCH_BYTES;
    if (size < bestSize) {
      best = form;
      bestSize = size;
    }
  }
  return best;
}

function layPlanes(planes: Planes, target: Uint8Array): void {
  const { low, high, width } = planes;
  const count = low.length;
  for (let plane = 0; plane < width; plane++) {
    const words = plane < 4 ? low : high;
    const shift = 8 * (plane & 3);
    const base = plane * count;
    for (let i = 0; i < count; i++) target[base + i] = (words[i] ?? 0) >>> shift;
  }
}

function gatherPlanes(
  header: { form: number; decimals: number; width: number },
  source: Uint8Array,
  count: number,
): Planes {
  const low = new Uint32Array(count);
  const high = new Uint32Array(count);
  for (let plane = 0; plane < header.width; plane++) {
    const words = plane < 4 ? low : high;
    const shift = 8 * (plane & 3);
    const base = plane * count;
    for (let i = 0; i < count; i++) words[i] = (words[i] ?? 0) | ((source[base + i] ?? 0) << shift);
  }
  return { ...header, low, high, patched: [] };
}

function restoreDoubles<T extends Float64Array | Float32Array | Int32Array | Uint32Array>(
  planes: Planes,
  target: T,
  integersOnly: boolean,
): T {
  const { form, low, high } = planes;
  if (form === FORM.bits || form === FORM.xor) {
    if (integersOnly) throw corrupt('the frame holds an unknown number format');
    const words = new Uint32Array(target.buffer);
    for (let i = 0; i < low.length; i++) {
      const xor = form === FORM.xor && i > 0;
      words[2 * i] = (low[i] ?? 0) ^ (xor ? (words[2 * i - 2] ?? 0) : 0);
      words[2 * i + 1] = (high[i] ?? 0) ^ (xor ? (words[2 * i - 1] ?? 0) : 0);
    }
    return target;
  }
  const power = 10 ** planes.decimals;
  let previous = 0;
  for (let i = 0; i < low.length; i++) {
    const code = (high[i] ?? 0) * WORD + (low[i] ?? 0);
    const difference = code % 2 === 0 ? code / 2 : -(code + 1) / 2;
    previous = form === FORM.deltas ? previous + difference : difference;
    target[i] = previous / power;
  }
  return target;
}

function restoreFloat32Bits(planes: Planes, target: Float32Array): Float32Array {
  const words = new Uint32Array(target.buffer);
  for (let i = 0; i < words.length; i++) {
    words[i] = (planes.low[i] ?? 0) ^ (planes.form === FORM.xor && i > 0 ? (words[i - 1] ?? 0) : 0);
  }
  return target;
}

function restoreInt64(planes: Planes, target: BigInt64Array): BigInt64Array {
  let previous = 0n;
  for (let i = 0; i < target.length; i++) {
    const code = (BigInt(planes.high[i] ?? 0) << 32n) | BigInt(planes.low[i] ?? 0);
    if (planes.form === FORM.bits) {
      target[i] = BigInt.asIntN(64, code);
      continue;
    }
    if (planes.form !== FORM.deltas) throw corrupt('the frame holds an unknown number format');
    previous = BigInt.asIntN(64, previous + ((code >> 1n) ^ -(code & 1n)));
    target[i] = previous;
  }
  return target;
}
