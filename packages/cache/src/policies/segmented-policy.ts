/**
 * Which entry goes when the cache is full: two families of policies over one set of lists, so that a running cache can
 * change from one to the other without copying anything.
 *
 * `tiny-lfu` (Einziger, Friedman and Manes, "TinyLFU", ACM ToS 2017; window and SLRU after Caffeine): new entries enter
 * WINDOW, an LRU of `window` x capacity. What falls out of it must beat PROBATION's oldest entry by frequency to stay.
 * A used PROBATION entry moves to PROTECTED (80 % of the rest), whose least recent entries fall back. With `window` 1
 * this is LRU.
 *
 * `s3-fifo` (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023): new entries enter WINDOW, here
 * a FIFO of `window` x capacity; what was used again moves to PROBATION, a FIFO whose used entries get another round;
 * keys that were evicted lately (known to the sketch) enter PROBATION at once.
 *
 * When the mode changes, entries that are in the wrong segment migrate a few per insertion; until then the least recent
 * of the segments' old ends is evicted.
 */
import { FrequencySketch } from '../frequency-sketch.ts';
import {
  FREQUENCY_SHIFT,
  MAX_FREQUENCY,
  PROBATION,
  PROTECTED,
  SAMPLED,
  TOUCHED,
  WINDOW,
} from './slot-lists.ts';
import type { SlotLists } from './slot-lists.ts';

export interface PolicyMode {
  readonly kind: 'tiny-lfu' | 's3-fifo';
  /** Share of the capacity for new entries, above 0 to 1. */
  readonly window: number;
}

/** Share of the space outside the window that is protected. */
const PROTECTED_SHARE = 0.8;
/** Entries that change segment per insertion while a new mode settles. */
const MIGRATION_STEPS = 4;
/** Uses (in multiples of the entries held) after which frequencies are halved. */
const AGING_PERIOD = 10;
/** A rejected candidate of at least this frequency is admitted once in 128 times, against crafted keys. */
const RANDOM_ADMISSION_FREQUENCY = 6;
const S3_MAX_FREQUENCY = 3;

export class SegmentedPolicy {
  readonly lists: SlotLists;
  #sketch: FrequencySketch;
  readonly #hashOf: (slot: number) => number;
  readonly #random: () => number;
  #capacity: number;
  #mode: PolicyMode;
  #windowTarget = 0;
  #protectedTarget = 0;
  #agings = 0;
  #sketchEntries: number;
  /** Value of one use of a slot against another's; absent while all cost the same. */
  worth: ((slot: number) => number) | undefined;

  constructor(
    lists: SlotLists,
    options: {
      capacity: number;
      mode: PolicyMode;
      hashOf(slot: number): number;
      random(): number;
      expectedEntries: number;
    },
  ) {
    this.lists = lists;
    this.#capacity = options.capacity;
    this.#mode = options.mode;
    this.#hashOf = options.hashOf;
    this.#random = options.random;
    this.#sketchEntries = options.expectedEntries;
    this.#sketch = new FrequencySketch(options.expectedEntries);
    this.#retarget();
  }

  get mode(): PolicyMode {
    return this.#mode;
  }

  get capacity(): number {
    return this.#capacity;
  }

  setMode(mode: PolicyMode): void {
    this.#mode = mode;
    this.#retarget();
  }

  setCapacity(capacity: number): void {
    this.#capacity = capacity;
    this.#retarget();
  }

  /** The cache holds more entries than thought at first: a larger sketch is started (past counts are forgotten). */
  expect(entries: number): void {
    if (entries <= this.#sketchEntries) return;
    this.#sketchEntries = entries;
    this.#sketch = new FrequencySketch(entries);
  }

  insert(slot: number, hash: number, sampled: boolean, charge: number): void {
    const known = this.#sketch.estimate(hash);
    const flags = sampled ? SAMPLED : 0;
    if (this.#mode.kind === 's3-fifo') {
      this.lists.insert(slot, known > 0 ? PROBATION : WINDOW, flags, charge);
      return;
    }
    const frequency = known < MAX_FREQUENCY ? known + 1 : MAX_FREQUENCY;
    this.lists.insert(slot, WINDOW, flags | (frequency << FREQUENCY_SHIFT), charge);
  }

  remove(slot: number): void {
    this.lists.remove(slot);
  }

  /** Called when `uses` (hits and insertions so far) has grown: halves the frequencies once per period. */
  maybeAge(uses: number): void {
    const period = AGING_PERIOD * Math.max(16, this.lists.totalCount);
    if (uses - this.#agings < period) return;
    this.#agings = uses;
    this.#sketch.age();
    this.lists.ageFrequencies();
  }

  /**
   * Brings the segments to their sizes and, while `over` holds, names the entry to evict (already unlinked, its
   * frequency remembered); 0 when nothing has to go.
   */
  victim(over: boolean): number {
    const slot = this.#mode.kind === 's3-fifo' ? this.#s3Victim(over) : this.#tinyLfuVictim(over);
    if (slot !== 0) this.#forget(slot);
    return slot;
  }

  clear(): void {
    this.lists.clear();
    this.#sketch.clear();
  }

  #retarget(): void {
    this.#windowTarget = Math.max(1, Math.floor(this.#capacity * this.#mode.window));
    this.#protectedTarget = (this.#capacity - this.#windowTarget) * PROTECTED_SHARE;
  }

  #forget(slot: number): void {
    const lists = this.lists;
    const frequency = lists.frequency(slot);
    lists.remove(slot);
    this.#sketch.raise(this.#hashOf(slot), frequency > 0 ? frequency : 1);
  }

  #tinyLfuVictim(over: boolean): number {
    const lists = this.lists;
    const steps = over ? Infinity : MIGRATION_STEPS;
    for (let step = 0; step < steps; step++) {
      if (lists.weight[WINDOW] <= this.#windowTarget) break;
      const candidate = lists.leastRecent(WINDOW);
      if (candidate === 0) break;
      if (!over) {
        lists.move(candidate, PROBATION);
        continue;
      }
      const victim = this.#probationVictim();
      if (victim === 0 || !this.#admits(candidate, victim)) return candidate;
      lists.move(candidate, PROBATION);
      return victim;
    }
    return over ? this.#oldestOfAll() : 0;
  }

  /** While the window is still growing towards its target: the least recent of the three old ends. */
  #oldestOfAll(): number {
    const lists = this.lists;
    const probation = this.#probationVictim();
    const recent = lists.leastRecent(WINDOW);
    if (recent === 0) return probation === 0 ? lists.leastRecent(PROTECTED) : probation;
    if (this.#windowTarget < this.#capacity * 0.5) return probation === 0 ? recent : probation;
    const main = probation === 0 ? lists.leastRecent(PROTECTED) : probation;
    return main === 0 || lists.age(recent) > lists.age(main) ? recent : main;
  }

  /** PROBATION's oldest entry that was not used there; used ones move on to PROTECTED. */
  #probationVictim(): number {
    const lists = this.lists;
    for (;;) {
      const slot = lists.oldestArrival();
      if (slot === 0) return lists.leastRecent(PROTECTED);
      if ((lists.meta[slot]! & TOUCHED) === 0) return slot;
      lists.move(slot, PROTECTED);
      while (lists.weight[PROTECTED] > this.#protectedTarget) {
        const demoted = lists.leastRecent(PROTECTED);
        if (demoted === 0) break;
        lists.move(demoted, PROBATION);
      }
    }
  }

  #admits(candidate: number, victim: number): boolean {
    const lists = this.lists;
    let mine = lists.frequency(candidate);
    let theirs = lists.frequency(victim);
    if (this.worth !== undefined) {
      mine *= this.worth(candidate);
      theirs *= this.worth(victim);
    }
    if (mine > theirs) return true;
    return mine >= RANDOM_ADMISSION_FREQUENCY && this.#random() < 1 / 128;
  }

  #s3Victim(over: boolean): number {
    const lists = this.lists;
    if (lists.count[PROTECTED] > 0) {
      for (let step = 0; step < MIGRATION_STEPS; step++) {
        const slot = lists.leastRecent(PROTECTED);
        if (slot === 0) break;
        lists.move(slot, PROBATION);
      }
    }
    if (!over) return 0;
    for (;;) {
      const fromWindow = lists.weight[WINDOW] >= this.#windowTarget;
      const slot = fromWindow ? lists.oldestInWindow() : lists.oldestArrival();
      if (slot === 0) {
        if (fromWindow) return this.#anyArrival();
        return lists.count[WINDOW] > 0 ? lists.oldestInWindow() : lists.leastRecent(PROTECTED);
      }
      const frequency = lists.frequency(slot);
      if (fromWindow) {
        if (frequency < 2) return slot;
        this.#setFrequency(slot, 0);
        lists.move(slot, PROBATION);
      } else {
        if (frequency === 0) return slot;
        this.#setFrequency(slot, Math.min(frequency, S3_MAX_FREQUENCY) - 1);
        lists.move(slot, PROBATION);
      }
    }
  }

  #anyArrival(): number {
    const slot = this.lists.oldestArrival();
    return slot === 0 ? this.lists.leastRecent(PROTECTED) : slot;
  }

  #setFrequency(slot: number, frequency: number): void {
    this.lists.meta[slot] = (this.lists.meta[slot]! & 15) | (frequency << FREQUENCY_SHIFT);
  }
}
