// The face for memory pressure: reads its sources, takes the worst level, and tells who asked.
//
//   timer or sample() -> source.read() -> LevelJudge (one per source, hysteresis) -> worst level -> responses
//
// A response registered for level L fires when the level rises from below L to L or above, and again only after it has
// been below L. Responses run one after another, the highest priority first, so that the cheap ones can go first and
// two never shrink things at the same time; one that fails or takes too long does not hold up the rest.
import { channel } from 'node:diagnostics_channel';
import { CgroupSource } from './cgroup.ts';
import { MemoryError } from './errors.ts';
import { HeapSource } from './heap-source.ts';
import type { LevelThresholds, PressureLevel } from './levels.ts';
import { checkedThresholds, DEFAULT_THRESHOLDS, LevelJudge, LEVELS, rankOf } from './levels.ts';
import type { Clock } from './option-checks.ts';
import { checkedClock, checkedDelay, checkedFunction } from './option-checks.ts';
import type { PressureReading, PressureSource } from './pressure-source.ts';
import { PsiSource } from './psi.ts';

export type SourceName = 'cgroup' | 'psi' | 'heap';

export interface PressureMonitorOptions {
  /** Default: cgroup, psi and heap. Those that this machine does not have say nothing. */
  readonly sources?: readonly (SourceName | PressureSource)[];
  /** Fractions of the limit at which the levels begin. Default 0.70, 0.85, 0.93, 0.98. */
  readonly levels?: Partial<LevelThresholds>;
  /** How far below a threshold a value must fall to leave its level, as a fraction of it. Default 0.05. */
  readonly hysteresis?: number;
  /** Default 1000; Infinity: only when `sample()` is called. The timer does not keep the process alive. */
  readonly intervalMs?: number;
  /** A folder that stands for `/`. Default `/`. */
  readonly root?: string;
  /** Default `Date`. */
  readonly clock?: Clock;
  /** Called when a response fails or times out, or a source cannot be read. Default: a process warning. */
  readonly onError?: (error: unknown) => void;
}

export interface SourceLevel extends PressureReading {
  readonly name: string;
  readonly level: PressureLevel;
}

export interface PressureSample {
  readonly atMs: number;
  readonly level: PressureLevel;
  readonly sources: readonly SourceLevel[];
}

export interface PressureEvent extends PressureSample {
  readonly previous: PressureLevel;
}

export type PressureResponse = (event: PressureEvent) => void | Promise<void>;

export interface ResponseOptions {
  /** Higher runs first; equal ones in the order of registration. Default 0. */
  readonly priority?: number;
  /** How long the next response waits for this one. Default 5000. */
  readonly timeoutMs?: number;
}

interface Registration {
  readonly rank: number;
  readonly response: PressureResponse;
  readonly priority: number;
  readonly timeoutMs: number;
}

interface JudgedSource {
  readonly source: PressureSource;
  readonly judge: LevelJudge;
}

const DEFAULT_INTERVAL_MS = 1000;
const DEFAULT_TIMEOUT_MS = 5000;
const DEFAULT_HYSTERESIS = 0.05;

/** Publishes a {@link PressureEvent} at every change of level. */
const levelChannel = channel('perf:memory:level');

export class PressureMonitor implements Disposable {
  readonly #sources: readonly JudgedSource[];
  readonly #clock: Clock;
  readonly #onError: (error: unknown) => void;
  readonly #timer: NodeJS.Timeout | undefined;
  /** Sorted by priority, highest first; stable. */
  #registrations: Registration[] = [];
  readonly #due: { registration: Registration; event: PressureEvent }[] = [];
  #responding = false;
  #level: PressureLevel = 'optimal';
  #closed = false;

  constructor(options: PressureMonitorOptions = {}) {
    const {
      sources = ['cgroup', 'psi', 'heap'],
      levels = {},
      hysteresis = DEFAULT_HYSTERESIS,
      root = '/',
    } = options;
    const { intervalMs = DEFAULT_INTERVAL_MS, clock = Date, onError = warn } = options;
    if (typeof root !== 'string' || root === '') throw new TypeError('root must be a folder path');
    if (typeof hysteresis !== 'number') throw new TypeError('hysteresis must be a number');
    if (!(hysteresis >= 0 && hysteresis < 1)) throw new RangeError('hysteresis must be in [0, 1)');
    if (!Array.isArray(sources)) throw new TypeError('sources must be an array');
    const thresholds = checkedThresholds({ ...DEFAULT_THRESHOLDS, ...levels }, 'levels');
    checkedDelay('intervalMs', intervalMs);
    this.#clock = checkedClock(clock);
    this.#onError = checkedFunction('onError', onError);
    this.#sources = sources.map((given: SourceName | PressureSource) => {
      const source = sourceOf(given, root);
      const own = source.thresholds;
      const scale =
        own === undefined ? thresholds : checkedThresholds(own, `thresholds of source ${source.name}`);
      return { source, judge: new LevelJudge(scale, hysteresis) };
    });
    this.#timer = intervalMs === Infinity ? undefined : setInterval(() => this.sample(), intervalMs).unref();
  }

  /** As of the last sample; `optimal` before the first. */
  get level(): PressureLevel {
    return this.#level;
  }

  /**
   * Calls `response` whenever the level rises from below `level` to it or above. Returns a function that ends that.
   * @throws {MemoryError} ERR_PERF_MEMORY_CLOSED after close.
   */
  onLevel(level: PressureLevel, response: PressureResponse, options: ResponseOptions = {}): () => void {
    this.#assertOpen();
    const rank = rankOf(level);
    if (rank < 1) throw new RangeError(`level must be one of ${LEVELS.slice(1).join(', ')}`);
    checkedFunction('response', response);
    const { priority = 0, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
    if (typeof priority !== 'number' || Number.isNaN(priority))
      throw new TypeError('priority must be a number');
    const registration = { rank, response, priority, timeoutMs: checkedDelay('timeoutMs', timeoutMs) };
    this.#registrations = [...this.#registrations, registration].sort((a, b) => b.priority - a.priority);
    return () => {
      this.#registrations = this.#registrations.filter((one) => one !== registration);
    };
  }

  /**
   * Reads all sources now and starts the responses that are due: synchronous ones have run when this returns, unless
   * they wait behind an asynchronous one.
   * @throws {MemoryError} ERR_PERF_MEMORY_CLOSED after close.
   */
  sample(): PressureSample {
    this.#assertOpen();
    const sources = this.#sources.flatMap((one) => this.#read(one));
    const rank = Math.max(0, ...sources.map((one) => rankOf(one.level)));
    const level = LEVELS[rank] ?? 'optimal';
    const previous = this.#level;
    const sample = { atMs: this.#clock.now(), level, sources };
    if (level === previous) return sample;
    this.#level = level;
    const event = { ...sample, previous };
    if (levelChannel.hasSubscribers) levelChannel.publish(event);
    const before = rankOf(previous);
    for (const registration of this.#registrations) {
      if (before < registration.rank && registration.rank <= rank) this.#due.push({ registration, event });
    }
    if (!this.#responding) void this.#respond();
    return sample;
  }

  /** Stops sampling; responses that wait are dropped, one that runs is left to finish. Idempotent. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#registrations = [];
    this.#due.length = 0;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #read({ source, judge }: JudgedSource): SourceLevel[] {
    try {
      const reading = source.read();
      if (reading === undefined || Number.isNaN(reading.value)) return [];
      return [{ name: source.name, level: judge.judge(reading.value), ...reading }];
    } catch (error) {
      this.#onError(error);
      return [];
    }
  }

  async #respond(): Promise<void> {
    this.#responding = true;
    for (let next = this.#due.shift(); next !== undefined; next = this.#due.shift()) {
      const { registration, event } = next;
      // One that was disposed of while it waited must not run.
      if (!this.#registrations.includes(registration)) continue;
      try {
        const running = registration.response(event);
        if (running !== undefined) await withinTime(running, registration.timeoutMs);
      } catch (error) {
        this.#onError(error);
      }
    }
    this.#responding = false;
  }

  #assertOpen(): void {
    if (this.#closed) throw new MemoryError('ERR_PERF_MEMORY_CLOSED', 'the monitor is closed');
  }
}

function sourceOf(given: SourceName | PressureSource, root: string): PressureSource {
  if (given === 'cgroup') return new CgroupSource(root);
  if (given === 'psi') return new PsiSource(root);
  if (given === 'heap') return new HeapSource();
  if (typeof given === 'object' && typeof given?.name === 'string' && typeof given.read === 'function')
    return given;
  throw new TypeError('sources must hold "cgroup", "psi", "heap" or { name, read() }');
}

async function withinTime(running: Promise<void>, timeoutMs: number): Promise<void> {
  if (timeoutMs === Infinity) return running;
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(new MemoryError('ERR_PERF_MEMORY_TIMEOUT', `a response took longer than ${timeoutMs} ms`));
  }, timeoutMs).unref();
  try {
    await Promise.race([running, promise]);
  } finally {
    clearTimeout(timer);
  }
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error));
}
