/**
 * How much a queue holds and may hold: everything taken in and not finished counts, waiting or running, because all of
 * it is in memory.
 */
export class Admission {
  readonly maxItems: number;
  readonly maxBytes: number;
  items = 0;
  bytes = 0;

  constructor(maxItems: number, maxBytes: number) {
    this.maxItems = maxItems;
    this.maxBytes = maxBytes;
  }

  fits(bytes: number): boolean {
    return this.items < this.maxItems && this.bytes + bytes <= this.maxBytes;
  }

  take(bytes: number): void {
    this.items++;
    this.bytes += bytes;
  }

  give(bytes: number): void {
    this.items--;
    this.bytes -= bytes;
  }
}

/** UTF-8 length of a string, length of bytes, length of the JSON of anything else. */
export function defaultSizeOf(item: unknown): number {
  if (typeof item === 'string') return Buffer.byteLength(item);
  if (ArrayBuffer.isView(item) || item instanceof ArrayBuffer) return item.byteLength;
  const json = JSON.stringify(item) as string | undefined;
  return json === undefined ? 0 : Buffer.byteLength(json);
}
