/** Milliseconds from any fixed origin; every tier that is shared between processes needs Unix time. */
export interface Clock {
  now(): number;
}

/** Unix time of this machine. */
export const systemClock: Clock = { now: () => Date.now() };
