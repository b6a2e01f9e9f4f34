import { createHash } from 'node:crypto';

/** Bytes that both sides of a compression know. `id` names them in frames: 1 to 255 bytes of UTF-8. */
export interface Dictionary {
  readonly id: string;
  readonly bytes: Uint8Array;
}

/** Largest dictionary accepted; a dictionary is read again for every message, so larger ones only cost time. */
export const MAX_DICTIONARY_BYTES: number = 16 * 1024 * 1024;

/** A copy that no caller can change; throws TypeError or RangeError for what is not a dictionary. */
export function checkedDictionary(dictionary: Dictionary, option: string): Dictionary {
  if (typeof dictionary !== 'object' || dictionary === null)
    throw new TypeError(`${option} must be { id, bytes }`);
  const { id, bytes } = dictionary;
  if (typeof id !== 'string') throw new TypeError(`${option}.id must be a string`);
  const idBytes = Buffer.byteLength(id);
  if (idBytes < 1 || idBytes > 255 || !id.isWellFormed()) {
    throw new RangeError(`${option}.id must be 1 to 255 bytes of well-formed UTF-8`);
  }
  if (!(bytes instanceof Uint8Array)) throw new TypeError(`${option}.bytes must be a Uint8Array`);
  if (bytes.length < 1 || bytes.length > MAX_DICTIONARY_BYTES) {
    throw new RangeError(`${option}.bytes must hold 1 to ${MAX_DICTIONARY_BYTES} bytes`);
  }
  return { id, bytes };
}

/**
 * Names bytes by 48 bits of their SHA-256, so that two trainings that end in the same dictionary share its name. Short,
 * because every frame carries it.
 */
export function dictionaryOf(bytes: Uint8Array): Dictionary {
  return { id: createHash('sha256').update(bytes).digest('base64url').slice(0, 8), bytes };
}
