/**
 * Stops calling what is failing, and finds out with few calls when it works again.
 *
 *   closed --(consecutive failures | failure rate | slow rate)--> open --(resetTimeout * 2^n, jittered)--> half-open
 *     ^                                                             ^                                        |
 *     +------------------- successThreshold successes --------------|----------------------------------------+
 *                                                                   +--------- any failure ------------------+
 *
 * There is no timer: open turns half-open when a call comes after the time, so an idle breaker costs nothing and cannot
 * be stuck. At most `halfOpenProbes` calls are under way in half-open; one that never ends counts as a failure
 * after `probeTimeoutMs`, because a lost probe must not lock the door for good. Calls that began in an earlier state
 * tell nothing about this one and are not counted (`#era`).
 *
 * The closed path adds one `then` with two functions made once per era: no closure, no async frame, no second promise
 * in the caller's hands (bench case `breaker-closed`).
 */
import { channel } from 'node:diagnostics_channel';
import { monotonicClock, type Clock } from './clock.ts';
import { BatchError } from './errors.ts';
import { functionOption, integerOption, numberOption } from './option-checks.ts';

export type CircuitState = 'closed' | 'open' | 'half-open';

export interface CircuitBreakerOptions {
  /** Consecutive failures that open it. Default 5. */
  readonly failureThreshold?: number;
  /** Share of failures among the calls of the window that opens it, above 0 to 1. Default: not looked at. */
  readonly failureRate?: number;
  /** A successful call that takes longer is slow. Default: none is. */
  readonly slowCallMs?: number;
  /** Share of slow calls that opens it. Default 0.5 when slowCallMs is set. */
  readonly slowCallRate?: number;
  /** Calls the rates look back on. Default 100. */
  readonly windowCalls?: number;
  /** Calls in the window before a rate means anything. Default 20. */
  readonly minimumCalls?: number;
  /** How long it stays open the first time. Default 10 s. */
  readonly resetTimeoutMs?: number;
  /** It doubles with each failed trial, up to this. Default 5 min, or resetTimeoutMs if longer. */
  readonly maxResetTimeoutMs?: number;
  /** Calls under way at most while half-open. Default 1. */
  readonly halfOpenProbes?: number;
  /** Successes while half-open that close it. Default 1. */
  readonly successThreshold?: number;
  /** A probe that has not ended by then has failed. Default 60 s. */
  readonly probeTimeoutMs?: number;
  /** Which errors speak against the other side. Default: all but those of an aborted signal. */
  readonly isFailure?: (error: unknown) => boolean;
  readonly onStateChange?: (state: CircuitState, previous: CircuitState) => void;
  readonly clock?: Clock;
  /** Uniform in [0, 1): up to 10 % are added to an open time, so that many breakers do not knock together. */
  readonly random?: () => number;
}

export interface CircuitBreakerStats {
  readonly state: CircuitState;
  readonly calls: number;
  readonly failures: number;
  readonly slowCalls: number;
  readonly rejections: number;
  readonly consecutiveFailures: number;
  readonly probesUnderWay: number;
  readonly opened: number;
  /** Until a call is let through; 0 unless open. */
  readonly retryAfterMs: number;
}

/**
 * ERR_PERF_BATCH_CIRCUIT_OPEN. One object for all rejections of one open period, because making an error costs ten times as
 * much as rejecting with one (bench case `breaker-open`); its stack is where the circuit opened, its cause the failure
 * that opened it. `retryAfterMs` is honoured by the Batcher's retry.
 */
export class CircuitOpenError extends BatchError {
  readonly #clock: Clock;
  readonly #reopensAtMs: number;

  constructor(clock: Clock, reopensAtMs: number, cause: unknown) {
    super('ERR_PERF_BATCH_CIRCUIT_OPEN', 'the circuit is open', { cause });
    this.#clock = clock;
    this.#reopensAtMs = reopensAtMs;
  }

  /** From now until a call may be let through; 0 when probes are under way. */
  get retryAfterMs(): number {
    return Math.max(0, this.#reopensAtMs - this.#clock.now());
  }
}

const circuitChannel = channel('perf:batch:circuit');
const JITTER = 0.1;
const FAILED_CALL = 1;
const SLOW_CALL = 2;

/** The last `size` outcomes as bits, with their counts kept up to date. */
class CallWindow {
  readonly #outcomes: Uint8Array;
  #next = 0;
  calls = 0;
  failures = 0;
  slow = 0;

  constructor(size: number) {
    this.#outcomes = new Uint8Array(size);
  }

  add(outcome: number): void {
    if (this.calls === this.#outcomes.length) {
      const oldest = this.#outcomes[this.#next] as number;
      this.failures -= oldest & FAILED_CALL;
      this.slow -= (oldest & SLOW_CALL) >> 1;
    } else {
      this.calls++;
    }
    this.#outcomes[this.#next] = outcome;
    this.failures += outcome & FAILED_CALL;
    this.slow += (outcome & SLOW_CALL) >> 1;
    this.#next = this.#next + 1 === this.#outcomes.length ? 0 : this.#next + 1;
  }

  clear(): void {
    this.#next = 0;
    this.calls = 0;
    this.failures = 0;
    this.slow = 0;
  }
}

export class CircuitBreaker {
  readonly #failureThreshold: number;
  readonly #failureRate: number;
  readonly #slowCallMs: number;
  readonly #slowCallRate: number;
  readonly #minimumCalls: number;
  readonly #resetTimeoutMs: number;
  readonly #maxResetTimeoutMs: number;
  readonly #halfOpenProbes: number;
  readonly #successThreshold: number;
  readonly #probeTimeoutMs: number;
  readonly #isFailure: ((error: unknown) => boolean) | undefined;
  readonly #onStateChange: ((state: CircuitState, previous: CircuitState) => void) | undefined;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #window: CallWindow | undefined;

  #state: CircuitState = 'closed';
  #era = 0;
  #consecutiveFailures = 0;
  #reopenAtMs = 0;
  /** Trials that failed since it was last closed. */
  #failedTrials = 0;
  #probeStartsMs: number[] = [];
  #probeSuccesses = 0;
  #lastFailure: unknown = undefined;
  #calls = 0;
  #failures = 0;
  #slowCalls = 0;
  #rejections = 0;
  #opened = 0;
  /** Closed, and nothing needs to know how long a call took. */
  #isPlain = false;
  #rejection: CircuitOpenError | undefined = undefined;
  #succeed: () => void;
  #fail: (error: unknown) => void;

  /** @throws {RangeError | TypeError} naming the option. */
  constructor(options: CircuitBreakerOptions = {}) {
    const o = options;
    this.#failureThreshold = integerOption('failureThreshold', o.failureThreshold ?? 5, 1);
    this.#failureRate =
      o.failureRate === undefined ? Infinity : numberOption('failureRate', o.failureRate, Number.EPSILON, 1);
    this.#slowCallMs = o.slowCallMs === undefined ? Infinity : numberOption('slowCallMs', o.slowCallMs, 0);
    this.#slowCallRate = numberOption('slowCallRate', o.slowCallRate ?? 0.5, Number.EPSILON, 1);
    const windowCalls = integerOption('windowCalls', o.windowCalls ?? 100, 1, 1_000_000);
    this.#minimumCalls = integerOption(
      'minimumCalls',
      o.minimumCalls ?? Math.min(20, windowCalls),
      1,
      windowCalls,
    );
    this.#resetTimeoutMs = numberOption('resetTimeoutMs', o.resetTimeoutMs ?? 10_000, 0);
    this.#maxResetTimeoutMs = numberOption(
      'maxResetTimeoutMs',
      o.maxResetTimeoutMs ?? Math.max(300_000, this.#resetTimeoutMs),
      this.#resetTimeoutMs,
    );
    this.#halfOpenProbes = integerOption('halfOpenProbes', o.halfOpenProbes ?? 1, 1);
    this.#successThreshold = integerOption('successThreshold', o.successThreshold ?? 1, 1);
    this.#probeTimeoutMs = numberOption('probeTimeoutMs', o.probeTimeoutMs ?? 60_000, 1);
    this.#isFailure = o.isFailure === undefined ? undefined : functionOption('isFailure', o.isFailure);
    this.#onStateChange =
      o.onStateChange === undefined ? undefined : functionOption('onStateChange', o.onStateChange);
    this.#clock = o.clock ?? monotonicClock;
    this.#random = o.random === undefined ? Math.random : functionOption('random', o.random);
    const looksBack = o.failureRate !== undefined || o.slowCallMs !== undefined;
    this.#window = looksBack ? new CallWindow(windowCalls) : undefined;
    this.#succeed = () => undefined;
    this.#fail = () => undefined;
    this.#startEra();
  }

  get state(): CircuitState {
    return this.#state;
  }

  /**
   * Calls `fn` if the circuit lets it through; the promise is the one that `fn` returned. `fn` gets the signal and is
   * expected to honour it; an abort by the caller does not speak against the other side.
   *
   * Rejects with {@link CircuitOpenError} (ERR_PERF_BATCH_CIRCUIT_OPEN) without calling it otherwise, or with
   * the signal's reason when that is aborted already.
   */
  execute<V>(
    fn: (signal?: AbortSignal) => Promise<V>,
    options?: { readonly signal?: AbortSignal },
  ): Promise<V> {
    if (options === undefined && this.#isPlain) {
      this.#calls++;
      const promise = start(fn, undefined);
      promise.then(this.#succeed, this.#fail);
      return promise;
    }
    const signal = options?.signal;
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    if (this.#state !== 'closed' && !this.#letsThrough()) {
      this.#rejections++;
      return Promise.reject(this.#rejection);
    }
    this.#calls++;
    return this.#executeWatched(fn, signal);
  }

  stats(): CircuitBreakerStats {
    return {
      state: this.#state,
      calls: this.#calls,
      failures: this.#failures,
      slowCalls: this.#slowCalls,
      rejections: this.#rejections,
      consecutiveFailures: this.#consecutiveFailures,
      probesUnderWay: this.#probeStartsMs.length,
      opened: this.#opened,
      retryAfterMs: this.#state === 'open' ? Math.max(0, this.#reopenAtMs - this.#clock.now()) : 0,
    };
  }

  /** With the time it took, the signal, and, while half-open, a probe's place. */
  #executeWatched<V>(fn: (signal?: AbortSignal) => Promise<V>, signal: AbortSignal | undefined): Promise<V> {
    const era = this.#era;
    const startedAtMs = this.#clock.now();
    if (this.#state === 'half-open') this.#probeStartsMs.push(startedAtMs);
    const promise = start(fn, signal);
    promise.then(
      () => this.#succeeded(era, startedAtMs),
      (error: unknown) => this.#failed(era, error, startedAtMs, signal?.aborted === true),
    );
    return promise;
  }

  #startEra(): void {
    const era = ++this.#era;
    this.#succeed = () => this.#succeeded(era, undefined);
    this.#fail = (error) => this.#failed(era, error, undefined, false);
    this.#isPlain = this.#state === 'closed' && this.#slowCallMs === Infinity;
    this.#consecutiveFailures = 0;
    this.#probeStartsMs = [];
    this.#probeSuccesses = 0;
    this.#window?.clear();
  }

  #letsThrough(): boolean {
    const nowMs = this.#clock.now();
    if (this.#state === 'open') {
      if (nowMs < this.#reopenAtMs) return false;
      this.#enter('half-open');
    }
    const oldest = this.#probeStartsMs[0];
    if (oldest !== undefined && nowMs - oldest >= this.#probeTimeoutMs) {
      this.#failedTrials++;
      this.#open();
      return false;
    }
    return this.#probeStartsMs.length < this.#halfOpenProbes;
  }

  #succeeded(era: number, startedAtMs: number | undefined): void {
    if (era !== this.#era) return;
    const isSlow = startedAtMs !== undefined && this.#clock.now() - startedAtMs > this.#slowCallMs;
    if (isSlow) this.#slowCalls++;
    if (this.#state === 'half-open') {
      this.#endProbe(startedAtMs);
      if (isSlow) {
        this.#failedTrials++;
        this.#open();
      } else if (++this.#probeSuccesses >= this.#successThreshold) {
        this.#failedTrials = 0;
        this.#enter('closed');
      }
      return;
    }
    this.#consecutiveFailures = 0;
    if (this.#window === undefined) return;
    this.#window.add(isSlow ? SLOW_CALL : 0);
    if (isSlow && this.#ratesExceeded(this.#window)) this.#open();
  }

  #failed(era: number, error: unknown, startedAtMs: number | undefined, aborted: boolean): void {
    const counts = !aborted && (this.#isFailure === undefined || this.#isFailure(error));
    if (counts) this.#failures++;
    if (era !== this.#era) return;
    if (!counts) {
      // An error that is an answer: the other side works. An abort says nothing; its place is free again.
      if (!aborted) this.#succeeded(era, startedAtMs);
      else if (this.#state === 'half-open') this.#endProbe(startedAtMs);
      return;
    }
    this.#lastFailure = error;
    if (this.#state === 'half-open') {
      this.#failedTrials++;
      this.#open();
      return;
    }
    this.#consecutiveFailures++;
    this.#window?.add(FAILED_CALL);
    const exceeded = this.#window !== undefined && this.#ratesExceeded(this.#window);
    if (exceeded || this.#consecutiveFailures >= this.#failureThreshold) this.#open();
  }

  #ratesExceeded(window: CallWindow): boolean {
    if (window.calls < this.#minimumCalls) return false;
    return (
      window.failures >= this.#failureRate * window.calls || window.slow >= this.#slowCallRate * window.calls
    );
  }

  #endProbe(startedAtMs: number | undefined): void {
    const index = this.#probeStartsMs.indexOf(startedAtMs as number);
    if (index !== -1) this.#probeStartsMs.splice(index, 1);
  }

  #open(): void {
    const doubled = this.#resetTimeoutMs * 2 ** Math.min(this.#failedTrials, 1000);
    const openMs = Math.min(doubled, this.#maxResetTimeoutMs) * (1 + JITTER * this.#random());
    this.#reopenAtMs = this.#clock.now() + openMs;
    this.#opened++;
    this.#rejection = new CircuitOpenError(this.#clock, this.#reopenAtMs, this.#lastFailure);
    this.#enter('open');
  }

  #enter(state: CircuitState): void {
    const previous = this.#state;
    this.#state = state;
    this.#startEra();
    if (circuitChannel.hasSubscribers) circuitChannel.publish({ state, previous });
    this.#onStateChange?.(state, previous);
  }
}

/** What throws before it returns a promise has failed like what rejects. */
function start<V>(fn: (signal?: AbortSignal) => Promise<V>, signal: AbortSignal | undefined): Promise<V> {
  try {
    const promise = fn(signal);
    return promise instanceof Promise ? promise : Promise.resolve(promise);
  } catch (error) {
    return Promise.reject(error);
  }
}
