/**
 * What a read pool and its threads say to each other: one query, one answer, one at a time per thread.
 *
 * Rows travel as columns. Reading 10,000 rows of five columns from a message takes the receiving thread 0.8 ms as
 * columns that are then made into objects, 2.8 ms as objects: the receiver is the event loop that the pool is there to
 * keep free (bench case `read-pool-transport`).
 */
export interface WorkerSettings {
  readonly path: string;
  readonly mmapBytes: number | undefined;
  readonly busyTimeoutMs: number | undefined;
  readonly maxRows: number;
}

export type Params = readonly unknown[] | Readonly<Record<string, unknown>>;

export interface Query {
  readonly id: number;
  readonly sql: string;
  readonly params: Params | undefined;
}

export interface Rows {
  readonly id: number;
  readonly names: readonly string[];
  /** One array per name, of equal length. */
  readonly columns: readonly (readonly unknown[])[];
  readonly count: number;
  /** Indexes of the columns that hold at least one blob. */
  readonly blobColumns: readonly number[];
}

/** An error cannot cross with its class and code, so its parts do. */
export interface Failure {
  readonly id: number;
  readonly className: string;
  readonly code: string | undefined;
  readonly message: string;
}

export type Answer = Rows | Failure;
