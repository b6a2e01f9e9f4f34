/** Checks at the door: each throws naming the option. */

export function integerOption(
  name: string,
  value: number,
  min: number,
  max: number = Number.MAX_SAFE_INTEGER,
): number {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number, got ${typeof value}`);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`${name} must be an integer from ${min} to ${max}, got ${value}`);
  }
  return value;
}

/** A duration or a size: not NaN, from `min`; `Infinity` only when `max` allows it. */
export function numberOption(
  name: string,
  value: number,
  min: number,
  max: number = Number.MAX_VALUE,
): number {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number, got ${typeof value}`);
  if (!(value >= min && value <= max))
    throw new RangeError(`${name} must be from ${min} to ${max}, got ${value}`);
  return value;
}

export function functionOption<F>(name: string, value: F): F {
  if (typeof value !== 'function') throw new TypeError(`${name} must be a function, got ${typeof value}`);
  return value;
}

export function choiceOption<C extends string>(name: string, value: C, choices: readonly C[]): C {
  if (!choices.includes(value)) {
    throw new RangeError(`${name} must be one of ${choices.join(', ')}, got ${value}`);
  }
  return value;
}

/** Longest delay of a Node timer; longer ones fire after 1 ms, so callers re-arm instead. */
export const MAX_TIMER_MS: number = 2 ** 31 - 1;
