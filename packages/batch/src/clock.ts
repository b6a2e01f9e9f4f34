/** Where time comes from, in ms. Anything with `now()` will do: `Date`, `performance`, or a test's own. */
export interface Clock {
  now(): number;
}

/** Monotonic: wall clocks step, and a stepped clock fires every timeout at once. */
export const monotonicClock: Clock = { now: () => performance.now() };

/** For what outlives the process: leases, keys and due times in a file. */
export const wallClock: Clock = { now: () => Date.now() };
