import { expect, it } from 'vitest';
import { liveRandomly } from './fuzz.ts';
import { scratchDir } from './scratch-dir.ts';

const path = scratchDir();

/** mulberry32 */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

it.each([1, 2])('never differs from an oracle through a long random life (seed %i)', async (seed) => {
  const done = await liveRandomly(1_500, seeded(seed), (name) => path(`${seed}-${name}`));
  expect(done.queries).toBeGreaterThan(450);
});
