/**
 * Where jobs live when they must outlive the process. A Batcher keeps the jobs it runs in memory in any case; the store
 * is asked to write them down before they are accepted, to forget them when they are done, and to hand out what nobody
 * is running: jobs of a process that died, and those that wait in a store shared by several machines.
 *
 * Every implementation passes `test/job-store-conformance.ts`.
 */

export interface NewJob<T> {
  readonly item: T;
  /** 0 is the most urgent. */
  readonly priority: number;
  /** A second job with the same key is a duplicate until the key expires. */
  readonly key?: string | undefined;
  /** From now; after it the job is not worth starting. */
  readonly deadlineMs?: number | undefined;
}

export type Appended =
  /** Durable, and leased to the caller, who runs it. */
  | { readonly status: 'leased'; readonly id: string }
  /** Durable; `claim` hands it to whichever worker asks first. */
  | { readonly status: 'queued'; readonly id: string }
  /** The key is known and `id` is the first job's: finished with `result`, run by another process, or unfinished. */
  | {
      readonly status: 'duplicate';
      readonly id: string;
      readonly first: 'done' | 'elsewhere' | 'unfinished';
      readonly result: unknown;
    };

export interface StoredJob<T> {
  readonly id: string;
  readonly item: T;
  readonly priority: number;
  readonly key: string | undefined;
  /** Attempts already made. */
  readonly attempts: number;
  /** Time left until its deadline, 0 or less when passed; undefined without one. */
  readonly deadlineMs: number | undefined;
}

export type Settlement =
  | { readonly id: string; readonly kind: 'done'; readonly result: unknown }
  /** Failed `attempts` times; the caller keeps its lease and tries again. */
  | { readonly id: string; readonly kind: 'retry'; readonly attempts: number; readonly delayMs: number }
  | { readonly id: string; readonly kind: 'dead'; readonly attempts: number; readonly error: unknown }
  /** Given back untouched for somebody else, or a later process, to run. */
  | { readonly id: string; readonly kind: 'release' };

export interface DeadLetter<T> {
  readonly id: string;
  readonly item: T;
  readonly error: string;
  readonly attempts: number;
}

export interface JobStoreStats {
  /** Not finished, leased ones included. */
  readonly unfinished: number;
  readonly dead: number;
}

export interface JobStore<T> {
  /** Resolves when every job is durable, in order. All or nothing. */
  append(jobs: readonly NewJob<T>[]): Promise<readonly Appended[]>;
  /** Leases up to `maxJobs` that nobody runs, most urgent first, then oldest first. */
  claim(maxJobs: number): Promise<readonly StoredJob<T>[]>;
  /**
   * Resolves when the outcomes are durable: for each, false when the lease had been lost to somebody else (the outcome
   * is then dropped, because the other side will have its own).
   */
  settle(settlements: readonly Settlement[]): Promise<readonly boolean[]>;
  /** Oldest first. */
  deadLetters(maxJobs: number): Promise<readonly DeadLetter<T>[]>;
  /** Makes dead jobs claimable again, attempts reset; unknown ids are ignored. Returns how many it revived. */
  revive(ids: readonly string[]): Promise<number>;
  /** Calls back when there may be something to claim; returns how to stop. */
  onClaimable(wake: () => void): () => void;
  /** For stores whose jobs other processes run: how a job that was appended here ended. */
  onSettled?(listener: (id: string, outcome: JobOutcome) => void): () => void;
  stats(): JobStoreStats | Promise<JobStoreStats>;
  close(): Promise<void>;
}

export type JobOutcome =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: unknown };
