import type { LevelThresholds } from './levels.ts';

/** What a source sees at one moment. */
export interface PressureReading {
  /** Compared with the thresholds; for memory sources, used bytes over the limit. */
  readonly value: number;
  readonly usedBytes?: number;
  readonly limitBytes?: number;
}

/** Something that can be under pressure. */
export interface PressureSource {
  readonly name: string;
  /** The source's own scale. Default: the monitor's `levels`. */
  readonly thresholds?: LevelThresholds;
  /** `undefined` when there is nothing to see, such as no limit. Must be quick: it runs on the main thread. */
  read(): PressureReading | undefined;
}
