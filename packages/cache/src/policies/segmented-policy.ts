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
import { FREQUENCY_SHIFT, MAX_FREQUENCY, PROBATION, PROTECTED, SAMPLED, WINDOW } from './slot-lists.ts';
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
/** Uses (in multiples of the entries held) after which frequencies are halved, and the fewest that are waited for. */
const AGING_PERIOD = 10;
const MIN_AGING_PERIOD = 4096;
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
  #lastAging = 0;
  #nextAging = 0;
  #isS3 = false;
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
    const known = this.#sketch.add(hash);
    const flags = sampled ? SAMPLED : 0;
    if (this.#isS3) {
      this.lists.insert(slot, known > 0 ? PROBATION : WINDOW, flags, charge);
      return;
    }
    const frequency = known < MAX_FREQUENCY ? known + 1 : MAX_FREQUENCY;
    this.lists.insert(slot, WINDOW, flags | (frequency << FREQUENCY_SHIFT), charge);
  }

  remove(slot: number): void {
    this.lists.remove(slot);
  }

  /** Called when `uses` (hits and insertions so far) has grown, with the entries held: halves the frequencies once per period. */
  maybeAge(uses: number, entries: number): void {
    if (uses < this.#nextAging) return;
    const period = Math.max(MIN_AGING_PERIOD, AGING_PERIOD * entries);
    // The first call only sets the clock: the cache was still filling when the period was set.
    const due = this.#nextAging > 0 && uses >= this.#lastAging + period;
    if (due || this.#nextAging === 0) this.#lastAging = uses;
    this.#nextAging = this.#lastAging + period;
    if (!due) return;
    this.#sketch.age();
    this.lists.ageFrequencies();
  }

  /** The entry to evict (already unlinked, its frequency remembered); 0 when there is none. */
  victim(): number {
    const slot = this.#isS3 ? this.#s3Victim() : this.#tinyLfuVictim();
    if (slot !== 0) this.#forget(slot);
    return slot;
  }

  /** After an insertion and what was evicted for it: moves a few entries that are in the wrong segment. */
  rebalance(): void {
    const lists = this.lists;
    if (this.#isS3) {
      for (let step = 0; step < MIGRATION_STEPS && lists.weight[PROTECTED] > 0; step++) {
        lists.move(lists.leastRecent(PROTECTED), PROBATION);
      }
      return;
    }
    for (let step = 0; step < MIGRATION_STEPS && lists.weight[WINDOW] > this.#windowTarget; step++) {
      lists.move(lists.leastRecent(WINDOW), PROBATION);
    }
  }

  clear(): void {
    this.lists.clear();
    this.#sketch.clear();
  }

  #retarget(): void {
    this.#isS3 = this.#mode.kind === 's3-fifo';
    this.#windowTarget = Math.max(1, Math.floor(this.#capacity * this.#mode.window));
    this.#protectedTarget = (this.#capacity - this.#windowTarget) * PROTECTED_SHARE;
  }

  #forget(slot: number): void {
    const lists = this.lists;
    const frequency = lists.frequency(slot);
    lists.remove(slot);
    // An entry that was never hit is in the sketch since it was inserted: no need to hash its key again.
    if (frequency > 1) this.#sketch.raise(this.#hashOf(slot), frequency);
  }

  #tinyLfuVictim(): number {
    const lists = this.lists;
    if (lists.weight[WINDOW] <= this.#windowTarget) return this.#oldestOfAll();
    const candidate = lists.leastRecent(WINDOW);
    const victim = this.#probationVictim();
    if (victim === 0 || !this.#admits(candidate, victim)) return candidate;
    lists.move(candidate, PROBATION);
    return victim;
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
      if (!lists.isTouched(slot)) return slot;
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

  #s3Victim(): number {
    const lists = this.lists;
    for (;;) {
      const fromWindow = lists.weight[WINDOW] >= this.#windowTarget;
      const slot = fromWindow ? lists.oldestInWindow() : lists.oldestArrival();
      if (slot === 0) {
        if (fromWindow) return this.#anyArrival();
        return lists.weight[WINDOW] > 0 ? lists.oldestInWindow() : lists.leastRecent(PROTECTED);
      }
      const frequency = lists.frequency(slot);
      if (fromWindow) {
        if (frequency < 2) return slot;
        lists.setFrequency(slot, 0);
        lists.move(slot, PROBATION);
      } else {
        if (frequency === 0) return slot;
        lists.setFrequency(slot, Math.min(frequency, S3_MAX_FREQUENCY) - 1);
        lists.move(slot, PROBATION);
      }
    }
  }

  #anyArrival(): number {
    const slot = this.lists.oldestArrival();
    return slot === 0 ? this.lists.leastRecent(PROTECTED) : slot;
  }
}
