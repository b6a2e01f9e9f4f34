import fc from 'fast-check';
import { expect, test } from 'vitest';

import { roundOrders } from '../src/interleaving.ts';
import { seededRandom } from '../src/random.ts';

test('every round has every contender once, and every block gives everyone every place once', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer(),
      (n, blocks, seed) => {
        const orders = roundOrders(n, n * blocks, seededRandom(seed));
        expect(orders).toHaveLength(n * blocks);
        const everyone = Array.from({ length: n }, (_, index) => index);
        for (const order of orders) expect([...order].sort((a, b) => a - b)).toEqual(everyone);
        for (let block = 0; block < blocks; block += 1) {
          for (let place = 0; place < n; place += 1) {
            const here = orders.slice(block * n, (block + 1) * n).map((order) => order[place]);
            expect(new Set(here).size).toBe(n);
          }
        }
      },
    ),
  );
});

test('takes as many rounds as asked for, also when they do not fill a block', () => {
  expect(roundOrders(3, 4, seededRandom(1))).toHaveLength(4);
});

test('the order changes from block to block', () => {
  const orders = roundOrders(4, 80, seededRandom(7)).map((order) => order.join(''));
  expect(new Set(orders).size).toBeGreaterThan(12);
});

test('the same seed gives the same orders', () => {
  expect(roundOrders(4, 10, seededRandom(3))).toEqual(roundOrders(4, 10, seededRandom(3)));
});
