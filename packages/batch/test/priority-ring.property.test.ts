// oxlint-disable vitest/no-conditional-expect -- each step of a random history has its own expectation
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DeadlineHeap } from '../src/deadline-heap.ts';
import { PriorityRing } from '../src/priority-ring.ts';

interface Value {
  readonly id: number;
  readonly level: number;
  readonly enqueuedAtMs: number;
  live: boolean;
}

type Step =
  | { readonly do: 'push'; readonly level: number }
  | { readonly do: 'pushFront'; readonly level: number }
  | { readonly do: 'pop' | 'popAged' | 'peek' | 'kill' | 'compact' }
  | { readonly do: 'popLessUrgent'; readonly level: number };

const LEVELS = 5;
const AGING_MS = 7;

/** Sorted arrays, one per level. */
class SlowRing {
  levels: Value[][] = Array.from({ length: LEVELS }, () => []);
  all(): Value[] {
    return this.levels.flat();
  }
  push(value: Value): void {
    this.levels[value.level]?.push(value);
  }
  pushFront(value: Value): void {
    this.levels[value.level]?.unshift(value);
  }
  pop(): Value | undefined {
    return this.levels.find((level) => level.length > 0)?.shift();
  }
  agedHead(nowMs: number): Value | undefined {
    const heads = this.levels.flatMap((level) => level.slice(0, 1));
    const effective = (value: Value): number =>
      value.level - Math.floor((nowMs - value.enqueuedAtMs) / AGING_MS);
    return heads.sort(
      (a, b) => effective(a) - effective(b) || a.enqueuedAtMs - b.enqueuedAtMs || a.level - b.level,
    )[0];
  }
  remove(value: Value | undefined): void {
    this.levels = this.levels.map((level) => level.filter((other) => other !== value));
  }
  popLessUrgent(than: number): Value | undefined {
    for (let level = LEVELS - 1; level > than; level--) {
      const value = this.levels[level]?.pop();
      if (value !== undefined) return value;
    }
    return undefined;
  }
}

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('push' as const), level: fc.nat(LEVELS - 1) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pushFront' as const), level: fc.nat(LEVELS - 1) }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom('pop' as const, 'popAged', 'peek', 'kill', 'compact') }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('popLessUrgent' as const), level: fc.nat(LEVELS - 1) }),
  },
);

test('property: the ring pops what sorted arrays would', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const ring = new PriorityRing<Value>(LEVELS);
      const slow = new SlowRing();
      steps.forEach((each, nowMs) => {
        if (each.do === 'push' || each.do === 'pushFront') {
          const value = { id: nowMs, level: each.level, enqueuedAtMs: nowMs, live: true };
          ring[each.do](each.level, value);
          slow[each.do](value);
        } else if (each.do === 'pop') {
          expect(ring.pop()).toBe(slow.pop());
        } else if (each.do === 'popAged') {
          const expected = slow.agedHead(nowMs);
          slow.remove(expected);
          expect(ring.popAged(nowMs, AGING_MS)).toBe(expected);
        } else if (each.do === 'peek') {
          expect(ring.peek(nowMs, undefined)).toBe(slow.all()[0]);
          expect(ring.peek(nowMs, AGING_MS)).toBe(slow.agedHead(nowMs));
        } else if (each.do === 'popLessUrgent') {
          expect(ring.popLessUrgentThan(each.level)).toBe(slow.popLessUrgent(each.level));
        } else if (each.do === 'kill') {
          const victim = slow.all().find((value) => value.live);
          if (victim !== undefined) victim.live = false;
        } else {
          ring.compact((value) => value.live);
          slow.levels = slow.levels.map((level) => level.filter((value) => value.live));
        }
        expect(ring.size).toBe(slow.all().length);
        const heads = slow.levels.flatMap((level) => level.slice(0, 1).map((value) => value.enqueuedAtMs));
        expect(ring.oldestAtMs()).toBe(Math.min(Infinity, ...heads));
      });
    }),
  );
});

test('property: the heap gives back what is due in order, whatever was removed meanwhile', () => {
  const action = fc.oneof(
    fc.record({ due: fc.integer({ min: 0, max: 50 }) }),
    fc.record({ remove: fc.nat() }),
    fc.record({ popAt: fc.integer({ min: 0, max: 50 }) }),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 400 }), (actions) => {
      const heap = new DeadlineHeap<{ due: number }>();
      const slow = new Map<{ due: number }, number>();
      for (const each of actions) {
        if ('due' in each) {
          const value = { due: each.due };
          slow.set(value, heap.push(each.due, value));
        } else if ('remove' in each) {
          const value = [...slow.keys()][each.remove % Math.max(1, slow.size)];
          if (value === undefined) continue;
          heap.remove(slow.get(value) as number);
          slow.delete(value);
        } else {
          const least = Math.min(...[...slow.keys()].map((value) => value.due));
          const popped = heap.popDue(each.popAt);
          expect(popped?.due).toBe(least <= each.popAt ? least : undefined);
          if (popped !== undefined) slow.delete(popped);
        }
        expect(heap.size).toBe(slow.size);
        expect(heap.nextDueMs).toBe(Math.min(Infinity, ...[...slow.keys()].map((value) => value.due)));
        for (const [value, handle] of slow) expect(heap.dueMsOf(handle)).toBe(value.due);
      }
    }),
  );
});
