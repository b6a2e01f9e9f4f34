// JSON text that parses back to exactly the value given, or a TypeError that names the path. JSON.stringify alone
// drops, converts or nulls what it cannot say (undefined, functions, Date, NaN, Map); storing that silently would
// return a wrong value later.
import { corrupt } from './errors.ts';

/** Deeper values, and so all cyclic ones, are refused; far below where JSON.stringify exhausts the stack. */
export const MAX_JSON_DEPTH = 1000;

// JSON can say -0 and JSON.parse reads it, but JSON.stringify writes "0"; JSON.rawJSON (V8 11.4) writes it as is.
const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON;

/** @throws {TypeError} when the value has no exact JSON form. */
export function exactJson(value: unknown): string {
  const walk = new ExactnessWalk();
  walk.visit(value);
  if (!walk.sawNegativeZero) return JSON.stringify(value);
  return JSON.stringify(value, (_key, member: unknown) => (Object.is(member, -0) ? rawJson('-0') : member));
}

export function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(asBuffer(body).toString('utf8'));
  } catch (cause) {
    throw corrupt('the frame holds no valid JSON', cause);
  }
}

export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

class ExactnessWalk {
  sawNegativeZero = false;
  readonly #path: (string | number)[] = [];

  visit(value: unknown): void {
    switch (typeof value) {
      case 'string':
      case 'boolean':
        return;
      case 'number':
        if (!Number.isFinite(value)) throw this.#refuse(`${value}`);
        if (value === 0 && Object.is(value, -0)) this.sawNegativeZero = true;
        return;
      case 'object':
        if (value !== null) this.#visitMembers(value);
        return;
      default:
        throw this.#refuse(typeof value);
    }
  }

  #visitMembers(value: object): void {
    if (this.#path.length >= MAX_JSON_DEPTH) {
      throw new TypeError(`value is cyclic or nested deeper than ${MAX_JSON_DEPTH} levels`);
    }
    const path = this.#path;
    if (Array.isArray(value)) {
      const items: readonly unknown[] = value;
      for (let i = 0; i < items.length; i++) {
        path.push(i);
        this.visit(items[i]);
        path.pop();
      }
      return;
    }
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) throw this.#refuse(nameOfClass(value));
    if (Object.getOwnPropertySymbols(value).length > 0) throw this.#refuse('an object with symbol keys');
    for (const key of Object.keys(value)) {
      path.push(key);
      this.visit((value as Record<string, unknown>)[key]);
      path.pop();
    }
  }

  #refuse(what: string): TypeError {
    const where = this.#path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`)).join('');
    return new TypeError(`value${where}: ${what} has no exact JSON form`);
  }
}

function nameOfClass(value: object): string {
  const constructor: unknown = value.constructor;
  return typeof constructor === 'function' ? `an instance of ${constructor.name}` : 'an object of a class';
}
