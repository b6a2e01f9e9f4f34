/**
 * What rate-limit headers say, in one shape. Three dialects: `anthropic-ratelimit-*` (resets are dates, when the bucket
 * is full again), `x-ratelimit-*` (resets are durations such as `6m0s`), and `retry-after` (seconds or a date).
 *
 * Facts from recorded responses: `retry-after` is on many 200 responses and means nothing there; a reset may lie before
 * the response's own date; any header may be missing.
 */

export type LimitName = 'requests' | 'tokens' | 'inputTokens' | 'outputTokens';

export interface LimitReading {
  readonly name: LimitName;
  readonly limit: number | undefined;
  readonly remaining: number | undefined;
}

export interface HeaderReading {
  readonly limits: readonly LimitReading[];
  /** Only when the status says that the request was refused for now. */
  readonly retryAfterMs: number | undefined;
}

/** Header names are compared without case. */
export type ResponseHeaders =
  | { get(name: string): string | null | undefined }
  | { readonly [name: string]: string | readonly string[] | number | undefined };

const ANTHROPIC: readonly (readonly [LimitName, string])[] = [
  ['requests', 'requests'],
  ['tokens', 'tokens'],
  ['inputTokens', 'input-tokens'],
  ['outputTokens', 'output-tokens'],
];

/** 408 and 409 are no statements about limits; 529 is Anthropic's "overloaded". */
export function isRefusal(status: number): boolean {
  return status === 429 || status === 503 || status === 529;
}

/** @param nowMs wall clock, used when the response has no date of its own. */
export function readHeaders(status: number, headers: ResponseHeaders, nowMs: number): HeaderReading {
  const get = getter(headers);
  const limits: LimitReading[] = [];
  for (const [name, word] of ANTHROPIC) {
    const prefix = `anthropic-ratelimit-${word}`;
    addReading(limits, name, get(`${prefix}-limit`), get(`${prefix}-remaining`));
  }
  for (const name of ['requests', 'tokens'] as const) {
    addReading(limits, name, get(`x-ratelimit-limit-${name}`), get(`x-ratelimit-remaining-${name}`));
  }
  return { limits, retryAfterMs: isRefusal(status) ? retryAfterMs(get, nowMs) : undefined };
}

function addReading(
  limits: LimitReading[],
  name: LimitName,
  limitText: string | undefined,
  remainingText: string | undefined,
): void {
  const limit = count(limitText);
  const remaining = count(remainingText);
  if (limit !== undefined || remaining !== undefined) limits.push({ name, limit, remaining });
}

function getter(headers: ResponseHeaders): (name: string) => string | undefined {
  if (typeof headers.get === 'function') {
    const { get } = headers as { get(name: string): string | null | undefined };
    return (name) => get.call(headers, name) ?? undefined;
  }
  const lower = new Map<string, string>();
  for (const [name, value] of Object.entries(headers as Record<string, unknown>)) {
    const first: unknown = Array.isArray(value) ? value[0] : value;
    if (typeof first === 'string' || typeof first === 'number') lower.set(name.toLowerCase(), String(first));
  }
  return (name) => lower.get(name);
}

function count(text: string | undefined): number | undefined {
  if (text === undefined || !/^\s*\d+\s*$/.test(text)) return undefined;
  return Number(text);
}

function retryAfterMs(get: (name: string) => string | undefined, nowMs: number): number | undefined {
  const precise = get('retry-after-ms');
  if (precise !== undefined && /^\s*\d+(\.\d+)?\s*$/.test(precise)) return Number(precise);
  const text = get('retry-after');
  if (text === undefined) return undefined;
  if (/^\s*\d+(\.\d+)?\s*$/.test(text)) return Number(text) * 1000;
  const at = Date.parse(text);
  if (Number.isNaN(at)) return undefined;
  // Both dates are the server's: its clock need not agree with ours.
  const serverNow = Date.parse(get('date') ?? '');
  return Math.max(0, at - (Number.isNaN(serverNow) ? nowMs : serverNow));
}
