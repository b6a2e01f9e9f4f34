/** How much may run at once, decided elsewhere: `AdaptiveLimit`, or anything of this shape. May be shared. */
export interface ConcurrencyLimit {
  readonly limit: number;
  readonly inFlight: number;
  /** A permit to run one thing, or undefined when the limit is reached. */
  acquire(): Permit | undefined;
  /** Calls back once, when a permit may be had again. */
  onAvailable(wake: () => void): void;
}

export interface Permit {
  /** Exactly once, when the thing has ended. */
  release(outcome: PermitOutcome): void;
}

export interface PermitOutcome {
  readonly latencyMs: number;
  /** What the latency is proportional to: tokens, rows, bytes. Default 1. */
  readonly size?: number;
  /** Timed out, was refused, or otherwise says "too much". */
  readonly dropped?: boolean;
}
