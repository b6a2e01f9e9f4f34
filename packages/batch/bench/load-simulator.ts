/**
 * A model server under a replayed load, in virtual time: what a limiter is worth can be said exactly and in a second.
 *
 * The server works on everything in flight at once (processor sharing). Up to `capacity` requests each run at full
 * speed; beyond it they share what there is, and thrashing takes away more of it the further it goes:
 *   speed(n) = 1 for n <= c,  c / n / (1 + thrash * (n - c) / c) beyond.
 * A request is good when it ends within `sloFactor` times its unloaded time. The capacity changes on a schedule, as
 * when a co-tenant comes and goes. What gets no permit is turned away at once: a line in front of the limiter would
 * measure the line.
 */
import type { ConcurrencyLimit, Permit } from '@perf/batch';

export interface Arrival {
  readonly atMs: number;
  /** Unloaded duration. */
  readonly workMs: number;
  /** What the limiter is told it was about: weighted tokens. */
  readonly size: number;
}

export interface ServerModel {
  /** From `fromShare` of the trace's length on, this many at full speed. Ascending; the first from 0. */
  readonly capacity: readonly { readonly fromShare: number; readonly requests: number }[];
  readonly thrash: number;
  readonly sloFactor: number;
}

export interface LoadResult {
  /** Share of the offered work that was done in time. */
  readonly goodput: number;
  readonly completed: number;
  readonly turnedAway: number;
  readonly finalLimit: number;
}

interface Request {
  readonly arrival: Arrival;
  readonly deadlineMs: number;
  readonly startedAtMs: number;
  readonly permit: Permit;
  readonly endsAtWork: number;
}

/** Binary heap by the amount of shared work at which a request ends. */
class WorkHeap {
  readonly #heap: Request[] = [];

  get size(): number {
    return this.#heap.length;
  }

  get first(): Request | undefined {
    return this.#heap[0];
  }

  push(request: Request): void {
    const heap = this.#heap;
    let at = heap.push(request) - 1;
    for (;;) {
      const parent = (at - 1) >> 1;
      const other = parent < 0 ? undefined : heap[parent];
      if (other === undefined || other.endsAtWork <= request.endsAtWork) break;
      heap[at] = other;
      at = parent;
    }
    heap[at] = request;
  }

  pop(): Request | undefined {
    const heap = this.#heap;
    const [first] = heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      const right = heap[2 * at + 2];
      const left = heap[2 * at + 1];
      const rightIsLess = right !== undefined && left !== undefined && right.endsAtWork < left.endsAtWork;
      const child = rightIsLess ? right : left;
      if (child === undefined || child.endsAtWork >= last.endsAtWork) break;
      heap[at] = child;
      at = rightIsLess ? 2 * at + 2 : 2 * at + 1;
    }
    heap[at] = last;
    return first;
  }
}

/** How the limiter is given the truth, for the oracle. */
export interface SimulatedLimit extends ConcurrencyLimit {
  /** Called when the capacity changes. */
  onCapacity?(requests: number): void;
}

export function simulate(
  arrivals: readonly Arrival[],
  speedup: number,
  model: ServerModel,
  makeLimit: (clock: { now(): number }) => SimulatedLimit,
): LoadResult {
  const lengthMs = (arrivals.at(-1)?.atMs ?? 0) / speedup;
  const time = { nowMs: 0 };
  const limit = makeLimit({ now: () => time.nowMs });
  const running = new WorkHeap();
  let work = 0;
  let capacity = 0;
  let changes = 0;
  let next = 0;
  let offered = 0;
  let good = 0;
  let completed = 0;
  let turnedAway = 0;

  const speed = (): number => {
    const over = running.size - capacity;
    return over <= 0 ? 1 : capacity / running.size / (1 + (model.thrash * over) / capacity);
  };
  const changeCapacity = (): void => {
    while (changes < model.capacity.length) {
      const change = model.capacity[changes];
      if (change === undefined || change.fromShare * lengthMs > time.nowMs) return;
      capacity = change.requests;
      limit.onCapacity?.(capacity);
      changes++;
    }
  };
  const start = (arrival: Arrival): void => {
    const permit = limit.acquire();
    if (permit === undefined) {
      turnedAway++;
      return;
    }
    const endsAtWork = work + arrival.workMs;
    running.push({
      arrival,
      deadlineMs: time.nowMs + model.sloFactor * arrival.workMs,
      startedAtMs: time.nowMs,
      permit,
      endsAtWork,
    });
  };

  changeCapacity();
  for (;;) {
    const pace = speed();
    const { first } = running;
    const endMs = first === undefined ? Infinity : time.nowMs + Math.max(0, first.endsAtWork - work) / pace;
    const arrival = arrivals[next];
    const arrivalMs = arrival === undefined ? Infinity : arrival.atMs / speedup;
    const change = model.capacity[changes];
    const changeMs = change === undefined ? Infinity : change.fromShare * lengthMs;
    const nowMs = Math.min(endMs, arrivalMs, changeMs);
    if (nowMs === Infinity) break;
    work += (nowMs - time.nowMs) * pace;
    time.nowMs = nowMs;
    if (nowMs === changeMs) {
      changeCapacity();
    } else if (nowMs === endMs) {
      const request = running.pop();
      if (request === undefined) break;
      completed++;
      if (nowMs <= request.deadlineMs) good += request.arrival.workMs;
      request.permit.release({ latencyMs: nowMs - request.startedAtMs, size: request.arrival.size });
    } else if (arrival !== undefined) {
      next++;
      offered += arrival.workMs;
      start(arrival);
    }
  }
  return { goodput: good / offered, completed, turnedAway, finalLimit: limit.limit };
}

/** Never more than `limitOf(capacity)`: a fixed limit, or with `c => c` the oracle. */
export class KnownLimit implements SimulatedLimit {
  limit: number;
  inFlight = 0;
  readonly #limitOf: (capacity: number) => number;

  constructor(limitOf: (capacity: number) => number) {
    this.#limitOf = limitOf;
    this.limit = limitOf(0);
  }

  onCapacity(requests: number): void {
    this.limit = this.#limitOf(requests);
  }

  acquire(): Permit | undefined {
    if (this.inFlight >= this.limit) return undefined;
    this.inFlight++;
    return { release: () => void this.inFlight-- };
  }

  onAvailable(): void {}
}

/** Decode at 30 tokens a second, prefill at 8,000: what public serving benchmarks of a mid-size model show. */
const DECODE_MS_PER_TOKEN = 1000 / 30;
const PREFILL_MS_PER_TOKEN = 1 / 8;
const OVERHEAD_MS = 50;

export function llmArrival(atMs: number, inputTokens: number, outputTokens: number): Arrival {
  const workMs = OVERHEAD_MS + inputTokens * PREFILL_MS_PER_TOKEN + outputTokens * DECODE_MS_PER_TOKEN;
  // What a client knows: output counts in full, input by what its price list says about it, here a hundredth.
  return { atMs, workMs, size: outputTokens + inputTokens / 100 };
}

export function readAzureTrace(csv: string): Arrival[] {
  const [, ...lines] = csv.trim().split('\n');
  let firstMs: number | undefined;
  return lines.map((line) => {
    const [timestamp = '', input = '0', output = '0'] = line.split(',');
    const atMs = Date.parse(`${timestamp.slice(0, 23).replace(' ', 'T')}Z`);
    firstMs ??= atMs;
    return llmArrival(atMs - firstMs, Number(input), Number(output));
  });
}

export function readMooncakeTrace(jsonl: string): Arrival[] {
  return jsonl
    .trim()
    .split('\n')
    .map((line) => {
      const each = JSON.parse(line) as { timestamp: number; input_length: number; output_length: number };
      return llmArrival(each.timestamp, each.input_length, each.output_length);
    });
}
