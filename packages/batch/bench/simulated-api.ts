/**
 * An API with the limits and headers of recorded responses: token buckets refilled continuously, remaining counts rounded
 * down to thousands, resets as dates, and a meaningless `retry-after` on many a 200.
 */
interface Bucket {
  readonly perMinute: number;
  level: number;
}

export interface ApiAnswer {
  readonly status: number;
  readonly headers: Record<string, string>;
}

export class SimulatedApi {
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #buckets: Record<'requests' | 'input-tokens' | 'output-tokens', Bucket>;
  #updatedAtMs = 0;
  /** Between these everything is refused. */
  readonly #outage: { readonly fromMs: number; readonly toMs: number };
  allowedTokens: number;
  usedTokens = 0;
  answers = 0;
  refusals = 0;

  constructor(
    limits: { requests: number; inputTokens: number; outputTokens: number },
    outage: { fromMs: number; toMs: number },
    now: () => number,
    random: () => number,
  ) {
    this.#now = now;
    this.#random = random;
    this.#outage = outage;
    this.#buckets = {
      requests: { perMinute: limits.requests, level: limits.requests },
      'input-tokens': { perMinute: limits.inputTokens, level: limits.inputTokens },
      'output-tokens': { perMinute: limits.outputTokens, level: limits.outputTokens },
    };
    this.allowedTokens = limits.inputTokens;
  }

  /** What the server decides when a request reaches it. */
  request(inputTokens: number, outputTokens: number): ApiAnswer {
    this.#refill();
    this.answers++;
    const { requests, 'input-tokens': input, 'output-tokens': output } = this.#buckets;
    const nowMs = this.#now();
    const inOutage = nowMs >= this.#outage.fromMs && nowMs < this.#outage.toMs;
    if (inOutage || requests.level < 1 || input.level < inputTokens || output.level < outputTokens) {
      this.refusals++;
      const waitMs = inOutage
        ? this.#outage.toMs - nowMs
        : (Math.max(
            (1 - requests.level) / requests.perMinute,
            (inputTokens - input.level) / input.perMinute,
          ) +
            0.01) *
          60_000;
      return {
        status: 429,
        headers: { ...this.#headers(), 'retry-after': String(Math.ceil(waitMs / 1000)) },
      };
    }
    requests.level -= 1;
    input.level -= inputTokens;
    output.level -= outputTokens;
    this.usedTokens += inputTokens;
    const headers = this.#headers();
    if (this.#random() < 0.6) headers['retry-after'] = String(Math.floor(this.#random() * 60));
    return { status: 200, headers };
  }

  #refill(): void {
    const elapsedMs = this.#now() - this.#updatedAtMs;
    this.#updatedAtMs = this.#now();
    for (const [name, bucket] of Object.entries(this.#buckets)) {
      const before = bucket.level;
      bucket.level = Math.min(bucket.perMinute, before + (elapsedMs * bucket.perMinute) / 60_000);
      // What flows into a full bucket was never allowed.
      if (name === 'input-tokens') this.allowedTokens += bucket.level - before;
    }
  }

  #headers(): Record<string, string> {
    const headers: Record<string, string> = {};
    for (const [name, { perMinute, level }] of Object.entries(this.#buckets)) {
      const step = name === 'requests' ? 1 : 1000;
      headers[`anthropic-ratelimit-${name}-limit`] = String(perMinute);
      headers[`anthropic-ratelimit-${name}-remaining`] = String(Math.floor(Math.max(0, level) / step) * step);
      headers[`anthropic-ratelimit-${name}-reset`] = new Date(
        Date.UTC(2026, 1, 17) + this.#now(),
      ).toISOString();
    }
    return headers;
  }
}
