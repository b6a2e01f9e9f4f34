/**
 * From a text to the patterns that may match it, in one pass.
 *
 *   text -> literals it starts with   (prefix-table)  \
 *        -> literals anywhere in it   (gram-table)     > clauses seen -> patterns they trigger -> whose other
 *        -> patterns without a trigger (always)       /                  clauses are seen, too, in a fitting order
 *
 * A slot is the place of a pattern in this filter. Equal clauses of different patterns are one. What a scan found is
 * valid until the next scan and is never cleared: a stamp tells what is current.
 */
import { chainOf, GramTable, GRAM_MASK, GRAM_SHIFT } from './gram-table.ts';
import type { GramStatistics } from './gram-statistics.ts';
import { LiteralTable } from './literal-table.ts';
import { PrefixTable, prefixHash } from './prefix-table.ts';
import type { Clause } from './regex-factors.ts';
import { UnitClasses } from './unit-classes.ts';
import type { UnitSets } from './unit-sets.ts';

/** What makes a pattern a candidate. */
export interface Conditions {
  /** The text holds one of its literals; without a trigger the pattern is a candidate for every text. */
  readonly trigger: Clause | undefined;
  /** The trigger's literals can only stand at the start of the text. */
  readonly atStart: boolean;
  /** The text holds one of each of these as well, at a distance from the trigger that their offsets allow. */
  readonly also: readonly Clause[];
  /** Whether all places of the trigger are wanted, or only the first. */
  readonly allHits: boolean;
}

/** More hits of one clause in one text are not kept; `hitsAreComplete` tells. */
const MAX_HITS = 1024;
const HIT_CAPACITY = 256;
/** Places scanned before those that passed are probed. */
const CHUNK = 1024;
const MAX_STAMP = 0xffffffff;
/** Offsets are kept as 32-bit integers; this stands for Infinity. */
const FAR = 0x3fffffff;

export class CandidateFilter {
  /** Literals at the start, owned by slots; literals anywhere, owned by clauses. */
  readonly #starts: LiteralTable;
  readonly #inside: LiteralTable;
  readonly #classes: UnitClasses;
  readonly #prefixes: PrefixTable;
  readonly #grams: GramTable;
  /** Slots that are candidates for every text, ascending. */
  readonly always: Uint32Array;

  /** Places of a chunk that passed the filter, and their grams. */
  readonly #passedEnds = new Uint32Array(CHUNK + 1);
  readonly #passedGrams = new Uint32Array(CHUNK + 1);

  #stamp = 0;
  /** By clause: the scan that saw it last, its first and last place, and its hits, the latest first. */
  readonly #stamps: Uint32Array;
  readonly #firstPlaces: Uint32Array;
  readonly #lastPlaces: Uint32Array;
  readonly #wantsHits: Uint8Array;
  readonly #hitCounts: Uint32Array;
  readonly #hitHeads: Uint32Array;
  /** Hits of all clauses: where, and 1 + the one before it of the same clause. */
  #hitPlaces = new Uint32Array(HIT_CAPACITY);
  #hitNext = new Uint32Array(HIT_CAPACITY);
  #hitLength = 0;
  /** Slots that a clause triggers: `triggered[triggeredStarts[c]]` up to the next start. */
  readonly #triggeredStarts: Uint32Array;
  readonly #triggered: Uint32Array;
  /** By slot: its trigger clause, or NO_CLAUSE when it is at the start. */
  readonly #triggerOf: Int32Array;
  /** Other clauses of a slot, with the least and greatest distance from the trigger. */
  readonly #alsoStarts: Uint32Array;
  readonly #alsoClauses: Uint32Array;
  readonly #alsoLeast: Int32Array;
  readonly #alsoMost: Int32Array;

  /** The slots the last scan let through, in no order and some twice, without `always`; only the first `count` are current. */
  readonly candidates: Uint32Array;
  count = 0;

  constructor(slots: readonly Conditions[], sets: UnitSets, statistics: GramStatistics) {
    const numbering = new ClauseNumbering();
    const triggerOf = slots.map(({ trigger, atStart }) =>
      trigger === undefined || atStart ? NO_CLAUSE : numbering.of(trigger),
    );
    const also = slots.map((slot) => slot.also.map((clause) => numbering.of(clause)));
    const clauses = numbering.literals;
    this.#starts = new LiteralTable(
      slots.map(({ trigger, atStart }) => (atStart ? (trigger?.literals ?? []) : [])),
      sets,
    );
    this.#inside = new LiteralTable(clauses, sets);
    this.#classes = new UnitClasses([this.#starts, this.#inside], sets);
    this.#prefixes = new PrefixTable(this.#starts, this.#classes);
    this.#grams = new GramTable(this.#inside, this.#classes, statistics);
    this.always = Uint32Array.from([...slots.keys()].filter((slot) => slots[slot]?.trigger === undefined));

    this.#stamps = new Uint32Array(clauses.length);
    this.#firstPlaces = new Uint32Array(clauses.length);
    this.#lastPlaces = new Uint32Array(clauses.length);
    this.#wantsHits = new Uint8Array(clauses.length);
    this.#hitCounts = new Uint32Array(clauses.length);
    this.#hitHeads = new Uint32Array(clauses.length);
    this.#triggerOf = Int32Array.from(triggerOf);
    const triggered: number[][] = clauses.map(() => []);
    triggerOf.forEach((clause, slot) => {
      if (clause === NO_CLAUSE) return;
      triggered[clause]?.push(slot);
      if (slots[slot]?.allHits === true) this.#wantsHits[clause] = 1;
    });
    [this.#triggeredStarts, this.#triggered] = flatten(triggered);
    [this.#alsoStarts, this.#alsoClauses] = flatten(also);
    const gaps = slots.flatMap(({ trigger, also }) => also.map((clause) => gapOf(trigger, clause)));
    this.#alsoLeast = Int32Array.from(gaps, (gap) => gap.least);
    this.#alsoMost = Int32Array.from(gaps, (gap) => gap.most);
    // A slot may be entered once for each of its literals at the start.
    this.candidates = new Uint32Array(slots.length + this.#starts.owners.length);
  }

  /** Distance of the places that are looked at. */
  get stride(): number {
    return this.#grams.stride;
  }

  get literalCount(): number {
    return this.#starts.length + this.#inside.length;
  }

  get sizeBytes(): number {
    const parts = [this.#starts, this.#inside, this.#prefixes, this.#grams];
    const arrays = [
      this.#classes.of,
      this.always,
      this.candidates,
      this.#stamps,
      this.#firstPlaces,
      this.#lastPlaces,
      this.#passedEnds,
      this.#passedGrams,
      this.#wantsHits,
      this.#hitCounts,
      this.#hitHeads,
      this.#hitPlaces,
      this.#hitNext,
      this.#triggeredStarts,
      this.#triggered,
      this.#triggerOf,
      this.#alsoStarts,
      this.#alsoClauses,
      this.#alsoLeast,
      this.#alsoMost,
    ];
    return (
      parts.reduce((sum, part) => sum + part.sizeBytes, 0) +
      arrays.reduce((sum, array) => sum + array.byteLength, 0)
    );
  }

  /** Fills `candidates` and `count`. */
  scan(text: string): void {
    this.#begin();
    if (this.#starts.length > 0) this.#scanStart(text);
    if (this.#inside.length > 0) {
      if (this.#grams.stride === 1) this.#scanAll(text);
      else this.#scanSampled(text);
    }
    if (this.#alsoClauses.length > 0) this.#sift();
  }

  /** Stands for a scan that is not made: nothing is seen. */
  skip(): void {
    this.#begin();
  }

  /** Whether the last scan saw the slot's trigger; not for triggers at the start. */
  isHit(slot: number): boolean {
    const clause = this.#triggerOf[slot] as number;
    return clause !== NO_CLAUSE && this.#stamps[clause] === this.#stamp;
  }

  /** Where the slot's trigger was seen first. */
  firstPlace(slot: number): number {
    return this.#firstPlaces[this.#triggerOf[slot] as number] as number;
  }

  hitCount(slot: number): number {
    return this.#hitCounts[this.#triggerOf[slot] as number] as number;
  }

  hitsAreComplete(slot: number): boolean {
    return this.hitCount(slot) <= MAX_HITS;
  }

  /** All places of the trigger of a slot that wants them, ascending. */
  places(slot: number): Uint32Array {
    const clause = this.#triggerOf[slot] as number;
    const places = new Uint32Array(this.#hitCounts[clause] as number);
    let hit = this.#hitHeads[clause] as number;
    for (let i = places.length - 1; i >= 0; i--) {
      places[i] = this.#hitPlaces[hit - 1] as number;
      hit = this.#hitNext[hit - 1] as number;
    }
    // Literals are filed under grams at different distances, so hits come nearly, not quite, in order.
    return places.sort();
  }

  #begin(): void {
    this.count = 0;
    this.#hitLength = 0;
    if (this.#stamp === MAX_STAMP) {
      this.#stamps.fill(0);
      this.#stamp = 0;
    }
    this.#stamp++;
  }

  #scanStart(text: string): void {
    const { steps, longest } = this.#prefixes;
    const classes = this.#classes.of;
    const length = Math.min(longest, text.length);
    let hash = 0;
    if ((steps & 1) !== 0) this.#probeStart(text, 0);
    for (let i = 0; i < length; i++) {
      hash = prefixHash(hash, classes[text.charCodeAt(i)] as number);
      if ((steps & (2 << i)) !== 0) this.#probeStart(text, hash);
    }
  }

  /**
   * Compares what is filed under a hash, not unit by unit but by the whole hash and the last unit: a literal at the
   * start is never a match by itself, and being wrong once in a long while costs a regex run.
   */
  #probeStart(text: string, hash: number): void {
    const { heads, mask, next, hashes, lengths } = this.#prefixes;
    const { ownerStarts, owners } = this.#starts;
    for (let entry = heads[hash & mask] as number; entry !== 0; entry = next[entry - 1] as number) {
      if (hashes[entry - 1] !== hash || (lengths[entry - 1] as number) > text.length) continue;
      if (!this.#starts.endsAt(entry - 1, text, lengths[entry - 1] as number)) continue;
      const stop = ownerStarts[entry] as number;
      for (let owner = ownerStarts[entry - 1] as number; owner < stop; owner++) {
        this.candidates[this.count++] = owners[owner] as number;
      }
    }
  }

  /**
   * Every place, with a rolling gram. Places that pass the filter are noted without a branch and probed afterwards: a
   * branch that is taken now and then is mispredicted, and the code behind it would cost the loop its registers.
   */
  #scanAll(text: string): void {
    const { filter } = this.#grams;
    const classes = this.#classes.of;
    const passedEnds = this.#passedEnds;
    const passedGrams = this.#passedGrams;
    let gram = 0;
    for (let start = 0; start < text.length; start += CHUNK) {
      const stop = Math.min(text.length, start + CHUNK);
      let passed = 0;
      for (let end = start; end < stop; end++) {
        gram = ((gram << GRAM_SHIFT) | (classes[text.charCodeAt(end)] as number)) & GRAM_MASK;
        passedEnds[passed] = end;
        passedGrams[passed] = gram;
        passed += ((filter[gram >>> 5] as number) >>> (gram & 31)) & 1;
      }
      for (let i = 0; i < passed; i++) this.#probe(text, passedEnds[i] as number, passedGrams[i] as number);
    }
  }

  /** Every stride-th place. */
  #scanSampled(text: string): void {
    const { filter, stride } = this.#grams;
    const classes = this.#classes.of;
    const passedEnds = this.#passedEnds;
    const passedGrams = this.#passedGrams;
    const length = text.length;
    for (let end = 2; end < length;) {
      const stop = Math.min(length, end + CHUNK);
      let passed = 0;
      for (; end < stop; end += stride) {
        const a = classes[text.charCodeAt(end - 2)] as number;
        const b = classes[text.charCodeAt(end - 1)] as number;
        const c = classes[text.charCodeAt(end)] as number;
        const gram = (a << (2 * GRAM_SHIFT)) | (b << GRAM_SHIFT) | c;
        passedEnds[passed] = end;
        passedGrams[passed] = gram;
        passed += ((filter[gram >>> 5] as number) >>> (gram & 31)) & 1;
      }
      for (let i = 0; i < passed; i++) this.#probe(text, passedEnds[i] as number, passedGrams[i] as number);
    }
  }

  /** Compares the literals filed under a gram. */
  #probe(text: string, end: number, gram: number): void {
    const grams = this.#grams;
    const classes = this.#classes.of;
    let entry = grams.heads[chainOf(gram, grams.headMask)] as number;
    for (; entry !== 0; entry = grams.next[entry - 1] as number) {
      if (grams.entryGrams[entry - 1] !== gram) continue;
      const check = end + (grams.entryChecks[entry - 1] as number);
      if (check < 0 || check >= text.length) continue;
      const unitClass = classes[text.charCodeAt(check)] as number;
      const bits = grams.entryCheckBits[2 * (entry - 1) + (unitClass >>> 5)] as number;
      if (((bits >>> (unitClass & 31)) & 1) === 0) continue;
      const literal = grams.entryLiterals[entry - 1] as number;
      const place = end - (grams.entryEnds[entry - 1] as number);
      if (this.#inside.isAt(literal, text, place)) this.#see(literal, place);
    }
  }

  /** A literal is at a place: its clauses are seen, and what they trigger is a candidate. */
  #see(literal: number, place: number): void {
    const { ownerStarts, owners } = this.#inside;
    const stop = ownerStarts[literal + 1] as number;
    for (let owner = ownerStarts[literal] as number; owner < stop; owner++) {
      const clause = owners[owner] as number;
      if (this.#stamps[clause] !== this.#stamp) {
        this.#stamps[clause] = this.#stamp;
        this.#firstPlaces[clause] = place;
        this.#lastPlaces[clause] = place;
        this.#hitCounts[clause] = 0;
        this.#hitHeads[clause] = 0;
        const last = this.#triggeredStarts[clause + 1] as number;
        for (let i = this.#triggeredStarts[clause] as number; i < last; i++) {
          this.candidates[this.count++] = this.#triggered[i] as number;
        }
      } else if (place < (this.#firstPlaces[clause] as number)) this.#firstPlaces[clause] = place;
      else if (place > (this.#lastPlaces[clause] as number)) this.#lastPlaces[clause] = place;
      if (this.#wantsHits[clause] === 1) this.#keepHit(clause, place);
    }
  }

  #keepHit(clause: number, place: number): void {
    const count = this.#hitCounts[clause] as number;
    if (count > MAX_HITS) return;
    this.#hitCounts[clause] = count + 1;
    if (this.#hitLength === this.#hitPlaces.length) this.#growHits();
    this.#hitPlaces[this.#hitLength] = place;
    this.#hitNext[this.#hitLength] = this.#hitHeads[clause] as number;
    this.#hitHeads[clause] = ++this.#hitLength;
  }

  #growHits(): void {
    const places = new Uint32Array(2 * this.#hitLength);
    places.set(this.#hitPlaces);
    this.#hitPlaces = places;
    const next = new Uint32Array(2 * this.#hitLength);
    next.set(this.#hitNext);
    this.#hitNext = next;
  }

  /** Drops the candidates whose other clauses were not seen, or only where they are of no use. */
  #sift(): void {
    let kept = 0;
    for (let i = 0; i < this.count; i++) {
      const slot = this.candidates[i] as number;
      if (this.#hasOthers(slot)) this.candidates[kept++] = slot;
    }
    this.count = kept;
  }

  #hasOthers(slot: number): boolean {
    const trigger = this.#triggerOf[slot] as number;
    const first = trigger === NO_CLAUSE ? 0 : (this.#firstPlaces[trigger] as number);
    const last = trigger === NO_CLAUSE ? 0 : (this.#lastPlaces[trigger] as number);
    const stop = this.#alsoStarts[slot + 1] as number;
    for (let i = this.#alsoStarts[slot] as number; i < stop; i++) {
      const clause = this.#alsoClauses[i] as number;
      if (this.#stamps[clause] !== this.#stamp) return false;
      // Somewhere between the first and the last place of both there must be a pair at an allowed distance.
      if ((this.#lastPlaces[clause] as number) - first < (this.#alsoLeast[i] as number)) return false;
      if ((this.#firstPlaces[clause] as number) - last > (this.#alsoMost[i] as number)) return false;
    }
    return true;
  }
}

const NO_CLAUSE = -1;

/** Numbers clauses by their literals. */
class ClauseNumbering {
  readonly literals: (readonly string[])[] = [];
  readonly #numbers = new Map<string, number>();

  of({ literals }: Clause): number {
    const key = literals.toSorted().join('\n');
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.literals.length;
      this.#numbers.set(key, number);
      this.literals.push(literals);
    }
    return number;
  }
}

/** Distances from a place of the trigger to a place of the other clause, in one match. */
function gapOf(trigger: Clause | undefined, other: Clause): { least: number; most: number } {
  const { minOffset = 0, maxOffset = 0 } = trigger ?? {};
  return { least: clamp(other.minOffset - maxOffset), most: clamp(other.maxOffset - minOffset) };
}

/** An unbounded difference of unbounded offsets is NaN, and says nothing. */
function clamp(distance: number): number {
  return Math.max(-FAR, Math.min(FAR, distance));
}

function flatten(lists: readonly (readonly number[])[]): [Uint32Array, Uint32Array] {
  const starts = new Uint32Array(lists.length + 1);
  lists.forEach((list, index) => {
    starts[index + 1] = (starts[index] as number) + list.length;
  });
  return [starts, Uint32Array.from(lists.flat())];
}
