/**
 * Keeps many callers of one API below its limits without being told off: a token bucket per limit, the same arithmetic
 * the server does, with limits and levels learned from its headers.
 *
 * A request goes when every bucket it draws on has enough and no refusal is being waited out. Callers wait in order of
 * priority, then of arrival; one timer waits for the first of them. After a refusal nobody goes before the time the
 * server named; then callers go one by one, each at a random point of a slot of its own, so that those who were
 * refused together do not come back together. Jitter only ever adds.
 */
import { monotonicClock, wallClock, type Clock } from './clock.ts';
import { BatchError } from './errors.ts';
import { MAX_TIMER_MS, functionOption, integerOption, numberOption } from './option-checks.ts';
import { PriorityRing } from './priority-ring.ts';
import { isRefusal, readHeaders, type LimitName, type ResponseHeaders } from './rate-limit-headers.ts';

export interface RateLimiterOptions {
  /** Until the server says otherwise. Default: unlimited until then. */
  readonly requestsPerMinute?: number;
  readonly tokensPerMinute?: number;
  readonly inputTokensPerMinute?: number;
  readonly outputTokensPerMinute?: number;
  /** How much of a limit may go at once: what it allows in this time. 1 s to 60 s, default 60 s: all of it. */
  readonly burstMs?: number;
  /** Slot of one caller after a refusal; shorter when more than 32 come back. Default 100 ms. */
  readonly resumeSlotMs?: number;
  /** Pause after a refusal that names no time; doubles while refusals go on. Default 1 s, at most 60 s. */
  readonly defaultPauseMs?: number;
  /** Callers that may wait; more are rejected with ERR_PERF_BATCH_FULL. Default 100,000. */
  readonly maxWaiting?: number;
  readonly clock?: Clock;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
}

/** What a request draws. `tokens` counts against the token limit, and defaults to input plus output. */
export interface RequestCost {
  /** Default 1. */
  readonly requests?: number;
  readonly tokens?: number;
  readonly inputTokens?: number;
  readonly outputTokens?: number;
}

export interface RateGrant {
  /**
   * Corrects the estimate when the answer says what it cost; what was drawn too much is there again. Call it once the
   * answer is there even when nothing is to be corrected: what is not settled counts as on its way.
   */
  settle(actual: Omit<RequestCost, 'requests'> | number): void;
}

export interface RateLimiterStats {
  readonly limits: {
    readonly [name in LimitName]?: { readonly perMinute: number; readonly available: number };
  };
  readonly waiting: number;
  readonly granted: number;
  readonly refusals: number;
  /** Until anybody may go again; 0 when nothing is being waited out. */
  readonly pausedForMs: number;
}

const MINUTE_MS = 60_000;
const MAX_DEFAULT_PAUSE_MS = 60_000;
/** Those who come back after a refusal are spread over about this. */
const RESUME_SPREAD_MS = 3200;
const NAMES: readonly LimitName[] = ['requests', 'tokens', 'inputTokens', 'outputTokens'];
const PRIORITIES = 8;
/** Rounding of the bucket arithmetic must not make a caller wait for a billionth of a token. */
const EPSILON = 1e-6;

class Bucket {
  perMinute: number;
  capacity: number;
  level: number;
  #updatedAtMs: number;

  constructor(perMinute: number, burstMs: number, nowMs: number) {
    this.perMinute = perMinute;
    this.capacity = Math.max(1, (perMinute * burstMs) / MINUTE_MS);
    this.level = this.capacity;
    this.#updatedAtMs = nowMs;
  }

  refill(nowMs: number): void {
    const elapsedMs = nowMs - this.#updatedAtMs;
    if (elapsedMs <= 0) return;
    this.level = Math.min(this.capacity, this.level + (elapsedMs * this.perMinute) / MINUTE_MS);
    this.#updatedAtMs = nowMs;
  }

  msUntil(cost: number): number {
    const missing = Math.min(cost, this.capacity) - this.level;
    return missing <= EPSILON ? 0 : (missing * MINUTE_MS) / this.perMinute;
  }
}

interface Waiter {
  readonly enqueuedAtMs: number;
  readonly costs: Float64Array;
  resolve: ((grant: RateGrant) => void) | undefined;
  reject(reason: unknown): void;
  stopListening(): void;
}

export class RateLimiter {
  readonly #buckets = new Map<LimitName, Bucket>();
  readonly #waiters = new PriorityRing<Waiter>(PRIORITIES);
  readonly #burstMs: number;
  readonly #resumeSlotMs: number;
  readonly #defaultPauseMs: number;
  readonly #maxWaiting: number;
  readonly #clock: Clock;
  readonly #random: () => number;
  /** Cost of the grants that have not been settled, by limit. */
  readonly #outstanding = new Float64Array(NAMES.length);
  /** Cost of all grants ever, by limit. */
  readonly #drawn = new Float64Array(NAMES.length);
  #waiting = 0;
  #granted = 0;
  #refusals = 0;
  #refusalsInARow = 0;
  #pausedUntilMs = 0;
  /** Callers still to be let go one by one, the start of the next one's slot, and its point in the slot. */
  #resuming = 0;
  #nextSlotMs = 0;
  #nextGoMs = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @throws {RangeError | TypeError} naming the option. */
  constructor(options: RateLimiterOptions = {}) {
    this.#clock = options.clock ?? monotonicClock;
    this.#random = options.random === undefined ? Math.random : functionOption('random', options.random);
    this.#burstMs = numberOption('burstMs', options.burstMs ?? MINUTE_MS, 1000, MINUTE_MS);
    this.#resumeSlotMs = numberOption('resumeSlotMs', options.resumeSlotMs ?? 100, 0);
    this.#defaultPauseMs = numberOption(
      'defaultPauseMs',
      options.defaultPauseMs ?? 1000,
      1,
      MAX_DEFAULT_PAUSE_MS,
    );
    this.#maxWaiting = integerOption('maxWaiting', options.maxWaiting ?? 100_000, 0);
    for (const name of NAMES) {
      const option = `${name}PerMinute` as const;
      const perMinute = options[option];
      if (perMinute !== undefined) this.#learnLimit(name, numberOption(option, perMinute, Number.MIN_VALUE));
    }
  }

  /**
   * Resolves when a request of this cost may go. A number is tokens. A cost above a whole limit goes when the bucket is
   * full and leaves it in debt. Rejects with ERR_PERF_BATCH_FULL or the signal's reason.
   */
  acquire(
    cost: RequestCost | number = {},
    options: {
      readonly signal?: AbortSignal;
      /** 0 (most urgent) to 7; default 4. */ readonly priority?: number;
    } = {},
  ): Promise<RateGrant> {
    const costs = costsOf(cost);
    const priority = integerOption('priority', options.priority ?? PRIORITIES >> 1, 0, PRIORITIES - 1);
    const { signal } = options;
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    if (this.#waiting === 0 && this.#msUntilGo(costs) === 0) return Promise.resolve(this.#go(costs));
    if (this.#waiting >= this.#maxWaiting) {
      return Promise.reject(new BatchError('ERR_PERF_BATCH_FULL', `${this.#waiting} callers are waiting`));
    }
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        waiter.resolve = undefined;
        this.#waiting--;
        if (this.#waiters.size > 2 * this.#waiting + 64) this.#waiters.compact(isWaiting);
        reject(signal?.reason as Error);
      };
      const waiter: Waiter = {
        enqueuedAtMs: this.#clock.now(),
        costs,
        resolve,
        reject,
        stopListening: () => signal?.removeEventListener('abort', onAbort),
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting++;
      this.#waiters.push(priority, waiter);
      if (this.#clock.now() < this.#pausedUntilMs) this.#resuming++;
      this.#arm();
    });
  }

  /**
   * Tells what the server answered. Limits and levels are learned from any answer; only a refusal (429, 503, 529) makes
   * everybody wait, at least as long as its `retry-after`. With the grant of the request, levels that were estimated too
   * low are raised again; without it they are only lowered.
   */
  observe(status: number, headers: ResponseHeaders = {}, grant?: RateGrant): void {
    integerOption('status', status, 100, 599);
    const reading = readHeaders(status, headers, wallClock.now());
    for (const { name, limit, remaining } of reading.limits) {
      if (limit !== undefined && limit > 0) this.#learnLimit(name, limit);
      const bucket = this.#buckets.get(name);
      if (bucket === undefined || remaining === undefined) continue;
      bucket.refill(this.#clock.now());
      // Never more than it says. Ours may be lower because we estimate: there is surely what it says less all that the
      // server may not have seen, which is what was on its way when this request went and what has gone since.
      const unseen = grant instanceof Grant ? grant.unseen(NAMES.indexOf(name), this.#drawn) : Infinity;
      bucket.level = Math.min(remaining, Math.max(bucket.level, remaining - unseen));
    }
    if (isRefusal(status)) this.#pause(reading.retryAfterMs);
    else if (status < 400) this.#refusalsInARow = 0;
    this.#arm();
  }

  stats(): RateLimiterStats {
    const nowMs = this.#clock.now();
    const limits: { [name in LimitName]?: { perMinute: number; available: number } } = {};
    for (const [name, bucket] of this.#buckets) {
      bucket.refill(nowMs);
      limits[name] = { perMinute: bucket.perMinute, available: bucket.level };
    }
    return {
      limits,
      waiting: this.#waiting,
      granted: this.#granted,
      refusals: this.#refusals,
      pausedForMs: Math.max(0, this.#pausedUntilMs - nowMs),
    };
  }

  #learnLimit(name: LimitName, perMinute: number): void {
    const known = this.#buckets.get(name);
    const nowMs = this.#clock.now();
    if (known === undefined) {
      this.#buckets.set(name, new Bucket(perMinute, this.#burstMs, nowMs));
    } else if (known.perMinute !== perMinute) {
      known.refill(nowMs);
      const used = known.capacity - known.level;
      const changed = new Bucket(perMinute, this.#burstMs, nowMs);
      changed.level = changed.capacity - used;
      this.#buckets.set(name, changed);
    }
  }

  #pause(retryAfterMs: number | undefined): void {
    this.#refusals++;
    const nowMs = this.#clock.now();
    const fallbackMs = Math.min(
      MAX_DEFAULT_PAUSE_MS,
      this.#defaultPauseMs * 2 ** Math.min(this.#refusalsInARow, 30),
    );
    this.#refusalsInARow++;
    const untilMs = nowMs + (retryAfterMs ?? fallbackMs);
    if (untilMs > this.#pausedUntilMs) {
      this.#pausedUntilMs = untilMs;
      this.#nextSlotMs = untilMs;
      this.#drawSlot();
    }
    // Everybody who waits now; who comes before the pause is over joins them.
    this.#resuming = Math.max(this.#resuming, this.#waiting);
    for (const bucket of this.#buckets.values()) {
      bucket.refill(nowMs);
      bucket.level = Math.min(bucket.level, 0);
    }
  }

  #drawSlot(): void {
    const slotMs = Math.min(this.#resumeSlotMs, RESUME_SPREAD_MS / Math.max(1, this.#resuming));
    this.#nextGoMs = this.#nextSlotMs + this.#random() * slotMs;
    this.#nextSlotMs += slotMs;
  }

  #msUntilGo(costs: Float64Array): number {
    const nowMs = this.#clock.now();
    const earliestMs = this.#resuming > 0 ? this.#nextGoMs : this.#pausedUntilMs;
    let waitMs = Math.max(0, earliestMs - nowMs);
    for (let i = 0; i < NAMES.length; i++) {
      const cost = costs[i] as number;
      const bucket = cost === 0 ? undefined : this.#buckets.get(NAMES[i] as LimitName);
      if (bucket === undefined) continue;
      bucket.refill(nowMs);
      waitMs = Math.max(waitMs, bucket.msUntil(cost));
    }
    return waitMs;
  }

  #go(costs: Float64Array): RateGrant {
    this.#granted++;
    if (this.#resuming > 0) {
      this.#resuming--;
      this.#nextSlotMs = Math.max(this.#nextSlotMs, this.#clock.now());
      this.#drawSlot();
    }
    this.#draw(costs, 1);
    const unseenBefore = this.#outstanding.map((cost, i) => cost - (this.#drawn[i] as number));
    add(this.#outstanding, costs, 1);
    add(this.#drawn, costs, 1);
    return new Grant(unseenBefore, (actual, isFirst) => {
      if (isFirst) add(this.#outstanding, costs, -1);
      actual[0] = costs[0] as number;
      this.#draw(costs, -1);
      this.#draw(actual, 1);
      costs.set(actual);
      this.#arm();
    });
  }

  #draw(costs: Float64Array, times: number): void {
    for (let i = 0; i < NAMES.length; i++) {
      const bucket = this.#buckets.get(NAMES[i] as LimitName);
      if (bucket !== undefined) bucket.level -= times * (costs[i] as number);
    }
  }

  /** Lets go whoever may and sets the timer for the first who may not. */
  #arm(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#timer = undefined;
    while (this.#waiting > 0) {
      const waiter = this.#waiters.peek(0, undefined) as Waiter;
      if (waiter.resolve === undefined) {
        this.#waiters.pop();
        continue;
      }
      const waitMs = this.#msUntilGo(waiter.costs);
      if (waitMs > 0) {
        // Rounded up: a timer that fires early would only be set again.
        this.#timer = setTimeout(() => this.#arm(), Math.min(MAX_TIMER_MS, Math.ceil(waitMs)));
        return;
      }
      this.#waiters.pop();
      this.#waiting--;
      waiter.stopListening();
      waiter.resolve(this.#go(waiter.costs));
    }
  }
}

class Grant implements RateGrant {
  /** By limit: on its way when this went, less all drawn by then. */
  readonly #unseenBefore: Float64Array;
  readonly #correct: (actual: Float64Array, isFirst: boolean) => void;
  #settled = false;

  constructor(unseenBefore: Float64Array, correct: (actual: Float64Array, isFirst: boolean) => void) {
    this.#unseenBefore = unseenBefore;
    this.#correct = correct;
  }

  settle(actual: Omit<RequestCost, 'requests'> | number): void {
    const costs = costsOf(typeof actual === 'number' ? { tokens: actual } : actual);
    this.#correct(costs, !this.#settled);
    this.#settled = true;
  }

  /** At most this much has gone out that the server had not seen when it answered this request. */
  unseen(limit: number, drawn: Float64Array): number {
    return (this.#unseenBefore[limit] as number) + (drawn[limit] as number);
  }
}

function add(sums: Float64Array, costs: Float64Array, times: number): void {
  for (let i = 0; i < sums.length; i++) (sums[i] as number) += times * (costs[i] as number);
}

function isWaiting(waiter: Waiter): boolean {
  return waiter.resolve !== undefined;
}

function costsOf(cost: RequestCost | number): Float64Array {
  const c = typeof cost === 'number' ? { tokens: cost } : cost;
  const input = numberOption('inputTokens', c.inputTokens ?? 0, 0);
  const output = numberOption('outputTokens', c.outputTokens ?? 0, 0);
  const tokens = numberOption('tokens', c.tokens ?? input + output, 0);
  return Float64Array.of(numberOption('requests', c.requests ?? 1, 0), tokens, input, output);
}
