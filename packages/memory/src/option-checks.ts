// Options are checked once, where they enter; the message names the option.

/** A clock in milliseconds, such as `Date`; tests pass their own. */
export interface Clock {
  now(): number;
}

export function checkedCount(name: string, value: number, least = 1): number {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number`);
  if (!Number.isSafeInteger(value) || value < least)
    throw new RangeError(`${name} must be an integer >= ${least}`);
  return value;
}

/** Milliseconds above 0; Infinity means never. */
export function checkedDelay(name: string, value: number): number {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number`);
  if (!(value > 0) || (value > MAX_TIMER_MS && value !== Infinity)) {
    throw new RangeError(`${name} must be above 0 and at most ${MAX_TIMER_MS}, or Infinity`);
  }
  return value;
}

export function checkedClock(clock: Clock): Clock {
  if (typeof clock?.now !== 'function') throw new TypeError('clock must have a now() method');
  return clock;
}

export function checkedFunction<T>(name: string, value: T): T {
  if (typeof value !== 'function') throw new TypeError(`${name} must be a function`);
  return value;
}

/** Longer timers fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;
