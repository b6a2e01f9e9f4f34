// A value and its body: which kind a value is, the bytes that stand for it, and back.
import type { NumberArray } from './numbers.ts';
import { decodeNumbers, encodeNumbers } from './numbers.ts';
import { corrupt, tooLarge, unsupported } from './errors.ts';
import { BODY } from './frame.ts';
import { asBuffer, exactJson, parseJson } from './json-exact.ts';

export type Kind = 'auto' | 'json' | 'text' | 'bytes' | 'series' | 'vector';

export const KINDS: readonly Kind[] = ['auto', 'json', 'text', 'bytes', 'series', 'vector'];

export interface Body {
  readonly body: number;
  readonly bytes: Uint8Array;
}

/** @throws {TypeError} when the value is not of the kind, or has no exact JSON form. */
export function bodyOf(value: unknown, kind: Kind): Body {
  switch (kind === 'auto' ? kindOf(value) : kind) {
    case 'text':
      if (typeof value !== 'string') throw new TypeError('value must be a string for kind "text"');
      return textBody(value);
    case 'bytes':
      if (!(value instanceof Uint8Array)) throw new TypeError('value must be a Uint8Array for kind "bytes"');
      return { body: BODY.bytes, bytes: value };
    case 'series':
      return { body: BODY.numbers, bytes: encodeNumbers(numbersIn(value, 'series', isSeries)) };
    case 'vector':
      return { body: BODY.numbers, bytes: encodeNumbers(numbersIn(value, 'vector', isVector)) };
    default:
      return { body: BODY.json, bytes: Buffer.from(exactJson(value)) };
  }
}

export function valueOf(body: number, bytes: Uint8Array, maxOutputBytes: number): unknown {
  switch (body) {
    case BODY.json:
      return parseJson(bytes);
    case BODY.utf8:
      return asBuffer(bytes).toString('utf8');
    case BODY.utf16:
      if (bytes.length % 2 !== 0) throw corrupt('a UTF-16 text has an odd number of bytes');
      return asBuffer(bytes).toString('utf16le');
    case BODY.bytes:
      return new Uint8Array(bytes);
    case BODY.numbers:
      return decodeNumbers(bytes, maxOutputBytes);
    case BODY.streamBlock:
    case BODY.streamEnd:
      throw unsupported('the frame is part of a stream; read it with decompressStream()');
    default:
      throw unsupported(`body kind ${body} is not known to this release`);
  }
}

export function checkBodySize(bodySize: number, maxOutputBytes: number): void {
  if (bodySize <= maxOutputBytes) return;
  throw tooLarge(`${bodySize} bytes are more than maxOutputBytes (${maxOutputBytes})`);
}

function kindOf(value: unknown): Kind {
  if (typeof value === 'string') return 'text';
  if (value instanceof Uint8Array) return 'bytes';
  if (value instanceof Float32Array) return 'vector';
  return isTypedSeries(value) ? 'series' : 'json';
}

/** A lone surrogate has no UTF-8; such a text is stored as UTF-16, so that every string comes back. */
function textBody(text: string): Body {
  return text.isWellFormed()
    ? { body: BODY.utf8, bytes: Buffer.from(text, 'utf8') }
    : { body: BODY.utf16, bytes: Buffer.from(text, 'utf16le') };
}

function numbersIn(
  value: unknown,
  kind: string,
  accepts: (value: unknown) => value is NumberArray,
): NumberArray {
  if (accepts(value)) return value;
  throw new TypeError(`value must be an array of numbers or a typed array that kind "${kind}" takes`);
}

function isTypedSeries(value: unknown): value is NumberArray {
  return (
    value instanceof Float64Array ||
    value instanceof Int32Array ||
    value instanceof Uint32Array ||
    value instanceof BigInt64Array
  );
}

function isNumberList(value: unknown): value is readonly number[] {
  if (!Array.isArray(value)) return false;
  const items: readonly unknown[] = value;
  for (let i = 0; i < items.length; i++) if (typeof items[i] !== 'number') return false;
  return true;
}

function isSeries(value: unknown): value is NumberArray {
  return isTypedSeries(value) || value instanceof Float32Array || isNumberList(value);
}

function isVector(value: unknown): value is NumberArray {
  return value instanceof Float32Array || value instanceof Float64Array || isNumberList(value);
}
