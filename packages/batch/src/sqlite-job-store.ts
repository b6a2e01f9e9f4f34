/**
 * Jobs in one SQLite file. Everything asked for in one turn of the event loop (appends, outcomes, claims) shares one
 * transaction: group commit, so that five hundred producers pay for one sync and not for five hundred.
 *
 * Leases are by owner. Each open store is an owner with a row that says until when it is surely alive; the jobs it
 * appends are leased to it from the start, which costs nothing, and extending all its leases is one small write.
 * An owner that is known to be dead (a pid of this host that is gone) or that let its time pass loses its jobs to the next
 * claim; if it was only slow, its outcomes are refused and the caller is told.
 *
 * Ids are numbers from blocks that each owner reserves in the file, so an id is never used twice and appends go to
 * the right edge of the table. A job that is leased is in no index: accepting one is one row, finishing it one
 * delete. Finished jobs leave nothing behind but their idempotency key, until that expires.
 */
import { hostname } from 'node:os';
import { openDatabase, type Database, type Migration } from '@perf/sqlite';
import { wallClock, type Clock } from './clock.ts';
import { describeError } from './dead-letters.ts';
import { BatchError } from './errors.ts';
import type {
  Appended,
  DeadLetter,
  JobStore,
  JobStoreStats,
  NewJob,
  Settlement,
  StoredJob,
} from './job-store.ts';
import { MAX_TIMER_MS, choiceOption, integerOption, numberOption } from './option-checks.ts';

/** How an item becomes what SQLite keeps. */
export interface ItemCodec<T> {
  encode(item: T): string | Uint8Array;
  decode(stored: string | Uint8Array): T;
}

export interface SqliteJobStoreOptions<T> {
  /** Made if missing; a file of its own. */
  readonly path: string;
  /** What accepted jobs survive. Default 'power-loss'. */
  readonly durability?: 'process-crash' | 'power-loss';
  /** How long an owner that gives no sign of life keeps its jobs. Default 30 s. */
  readonly visibilityTimeoutMs?: number;
  /** How long a finished job's key is remembered. Default 24 h. */
  readonly keyTtlMs?: number;
  /** Appends that would make the file larger are refused. Default 1 GiB. */
  readonly maxFileBytes?: number;
  /** Default: JSON. */
  readonly codec?: ItemCodec<T>;
  /** Wall clock, in ms. */
  readonly clock?: Clock;
}

const MIGRATIONS: readonly Migration[] = [
  {
    version: 1,
    name: 'jobs',
    up: `
      CREATE TABLE store (next_id INTEGER NOT NULL);
      INSERT INTO store VALUES (1);
      CREATE TABLE owner (
        id INTEGER PRIMARY KEY, host TEXT NOT NULL, pid INTEGER NOT NULL,
        started_ms INTEGER NOT NULL, alive_until_ms INTEGER NOT NULL);
      CREATE TABLE job (
        id INTEGER PRIMARY KEY, item BLOB NOT NULL, priority INTEGER NOT NULL, owner INTEGER,
        attempts INTEGER NOT NULL DEFAULT 0, expires_ms INTEGER, key TEXT, error TEXT);
      CREATE INDEX job_claimable ON job (priority, id) WHERE owner IS NULL AND error IS NULL;
      CREATE INDEX job_dead ON job (id) WHERE error IS NOT NULL;
      CREATE TABLE job_key (
        key TEXT PRIMARY KEY, job INTEGER NOT NULL, expires_ms INTEGER, result TEXT) WITHOUT ROWID;
      CREATE INDEX job_key_expiry ON job_key (expires_ms) WHERE expires_ms IS NOT NULL;
    `,
  },
];

/** Ids reserved at once; 2^53 of them last for 2^33 reservations. */
const ID_BLOCK = 2 ** 20;
const DAY_MS = 24 * 60 * 60 * 1000;
/** Room above maxFileBytes for outcomes, which must be writable in a full file. */
const SLACK_PAGES = 1024;
/** Expired keys deleted per transaction that finishes jobs: a bounded toll instead of a long pause. */
const KEYS_PER_PURGE = 256;
/** How much the start of this process as computed by two threads of it may differ. */
const START_TOLERANCE_MS = 2000;

interface Operation {
  run(): unknown;
  resolve(value: unknown): void;
  reject(reason: unknown): void;
}

interface JobRow {
  readonly id: number;
  readonly item: string | Uint8Array;
  readonly priority: number;
  readonly attempts: number;
  readonly expires_ms: number | null;
  readonly key: string | null;
}

interface OwnerRow {
  readonly id: number;
  readonly host: string;
  readonly pid: number;
  readonly started_ms: number;
  readonly alive_until_ms: number;
}

function jsonCodec<T>(): ItemCodec<T> {
  return {
    encode(item) {
      const text = JSON.stringify(item) as string | undefined;
      if (text === undefined) throw new TypeError('an item must have a JSON form; give the store a codec');
      return text;
    },
    decode: (stored) => JSON.parse(stored as string) as T,
  };
}

function processStartedMs(): number {
  return Math.round(Date.now() - process.uptime() * 1000);
}

export class SqliteJobStore<T> implements JobStore<T>, AsyncDisposable {
  readonly #db: Database;
  readonly #codec: ItemCodec<T>;
  readonly #clock: Clock;
  readonly #visibilityTimeoutMs: number;
  readonly #keyTtlMs: number;
  readonly #maxPages: number;
  readonly #sql: Statements;
  readonly #owner: number;
  /** Keys of the jobs leased here, by id. */
  readonly #leasedKeys = new Map<number, string>();
  readonly #wakes = new Set<() => void>();
  /** Ids leased by the transaction under way. */
  #justLeased: number[] = [];
  #leased = 0;
  #nextId = 0;
  #blockEnd = 0;
  #aliveUntilMs = 0;
  #operations: Operation[] = [];
  #commit: NodeJS.Immediate | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #otherOwners: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;

  /**
   * Opens or makes the file. Jobs of a process that died are claimable at once if it ran on this host, otherwise when its
   * visibility timeout has passed; a Batcher on the store runs them without being asked.
   *
   * @throws {RangeError | TypeError} naming the option.
   * @throws {SqliteError} when the file is not a job store, is damaged, or is newer than this program.
   */
  static open<T = unknown>(options: SqliteJobStoreOptions<T>): SqliteJobStore<T> {
    return new SqliteJobStore<T>(options);
  }

  private constructor(options: SqliteJobStoreOptions<T>) {
    this.#visibilityTimeoutMs = numberOption(
      'visibilityTimeoutMs',
      options.visibilityTimeoutMs ?? 30_000,
      100,
      DAY_MS,
    );
    this.#keyTtlMs = numberOption('keyTtlMs', options.keyTtlMs ?? DAY_MS, 0);
    const maxFileBytes = integerOption('maxFileBytes', options.maxFileBytes ?? 2 ** 30, 2 ** 20);
    const durability = choiceOption('durability', options.durability ?? 'power-loss', [
      'process-crash',
      'power-loss',
    ]);
    this.#codec = options.codec ?? jsonCodec<T>();
    this.#clock = options.clock ?? wallClock;
    this.#db = openDatabase(options.path, { durability, migrations: MIGRATIONS });
    try {
      const pageBytes = Number(this.#db.pragma('page_size', { simple: true }));
      this.#maxPages = Math.floor(maxFileBytes / pageBytes);
      this.#db.pragma(`max_page_count = ${this.#maxPages + SLACK_PAGES}`);
      this.#sql = prepareStatements(this.#db);
      this.#owner = this.#register();
      this.#watchOtherOwners();
    } catch (error) {
      this.#db.close();
      throw error;
    }
  }

  append(jobs: readonly NewJob<T>[]): Promise<readonly Appended[]> {
    let items: (string | Uint8Array)[];
    try {
      items = jobs.map((job) => this.#codec.encode(job.item));
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#enqueue(() => this.#insertAll(jobs, items));
  }

  claim(maxJobs: number): Promise<readonly StoredJob<T>[]> {
    integerOption('maxJobs', maxJobs, 1);
    return this.#enqueue(() => this.#claimNow(maxJobs));
  }

  settle(settlements: readonly Settlement[]): Promise<readonly boolean[]> {
    return this.#enqueue(() => this.#settleAll(settlements));
  }

  deadLetters(maxJobs: number): Promise<readonly DeadLetter<T>[]> {
    return this.#enqueue(() =>
      this.#sql.dead.all(Math.min(maxJobs, Number.MAX_SAFE_INTEGER)).map((row) => ({
        id: String(row.id),
        item: this.#decodeDead(row.item),
        error: row.error,
        attempts: row.attempts,
      })),
    );
  }

  /** As stored when the codec does not understand it: that is why it is dead. */
  #decodeDead(stored: string | Uint8Array): T {
    try {
      return this.#codec.decode(stored);
    } catch {
      return stored as T;
    }
  }

  async revive(ids: readonly string[]): Promise<number> {
    const revived = await this.#enqueue(() => {
      let count = 0;
      for (const id of ids) count += this.#sql.revive.run(Number(id)).changes;
      return count;
    });
    if (revived > 0) this.#wake();
    return revived;
  }

  onClaimable(wake: () => void): () => void {
    this.#wakes.add(wake);
    return () => this.#wakes.delete(wake);
  }

  /** O(unfinished). @throws {BatchError} ERR_PERF_BATCH_CLOSED. */
  stats(): JobStoreStats & { readonly leasedHere: number; readonly fileBytes: number } {
    if (this.#closing !== undefined) throw closedError();
    const { unfinished, dead } = this.#sql.counts.get() as { unfinished: number; dead: number };
    return {
      unfinished,
      dead,
      leasedHere: this.#leased,
      fileBytes: this.#pagesUsed() * Number(this.#db.pragma('page_size', { simple: true })),
    };
  }

  /** Commits what was asked for, gives back what is leased and closes the file. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // -- Group commit -------------------------------------------------------------------------------------------------

  #enqueue<V>(run: () => V): Promise<V> {
    if (this.#closing !== undefined) return Promise.reject(closedError());
    return new Promise<V>((resolve, reject) => {
      this.#operations.push({ run, resolve, reject });
      // The end of this turn, when every producer that the last commit woke has come back with its next job.
      this.#commit ??= setImmediate(() => this.#commitAll());
    });
  }

  #commitAll(): void {
    if (this.#commit !== undefined) clearImmediate(this.#commit);
    this.#commit = undefined;
    const operations = this.#operations;
    this.#operations = [];
    if (operations.length === 0) return;
    try {
      const values = this.#transaction(() => operations.map((operation) => operation.run()));
      for (let i = 0; i < operations.length; i++) (operations[i] as Operation).resolve(values[i]);
    } catch (error) {
      if (operations.length === 1) (operations[0] as Operation).reject(error);
      else this.#commitOneByOne(operations);
    }
  }

  /** One of them cannot be done; the others must not suffer. */
  #commitOneByOne(operations: readonly Operation[]): void {
    for (const operation of operations) {
      try {
        operation.resolve(this.#transaction(() => operation.run()));
      } catch (error) {
        operation.reject(error);
      }
    }
  }

  #transaction<V>(run: () => V): V {
    const leasedBefore = this.#leased;
    this.#justLeased = [];
    try {
      this.#sql.begin.run();
      this.#stayAlive();
      const value = run();
      this.#sql.commit.run();
      return value;
    } catch (error) {
      if (this.#db.inTransaction) this.#sql.rollback.run();
      // What the file has forgotten must be forgotten here: leases, the block of ids, the sign of life.
      this.#leased = leasedBefore;
      for (const id of this.#justLeased) this.#leasedKeys.delete(id);
      this.#nextId = this.#blockEnd;
      this.#aliveUntilMs = 0;
      if (error instanceof Error && 'code' in error && error.code === 'SQLITE_FULL') {
        throw new BatchError('ERR_PERF_BATCH_STORE_FULL', 'the file or its disk is full', { cause: error });
      }
      throw error;
    }
  }

  // -- Jobs, inside the transaction ---------------------------------------------------------------------------------

  #insertAll(jobs: readonly NewJob<T>[], items: readonly (string | Uint8Array)[]): Appended[] {
    const appended: Appended[] = [];
    for (let i = 0; i < jobs.length; i++) {
      const job = jobs[i] as NewJob<T>;
      const key = job.key ?? null;
      const known = key === null ? undefined : this.#knownKey(key);
      if (known !== undefined) {
        appended.push(known);
        continue;
      }
      const id = this.#takeId();
      const expiresMs = job.deadlineMs === undefined ? null : Math.ceil(this.#clock.now() + job.deadlineMs);
      this.#sql.insert.run(id, items[i] as string, job.priority, this.#owner, expiresMs, key);
      if (key !== null) {
        this.#sql.insertKey.run(key, id);
        this.#leasedKeys.set(id, key);
        this.#justLeased.push(id);
      }
      this.#leased++;
      appended.push({ status: 'leased', id: String(id) });
    }
    if (this.#pagesUsed() > this.#maxPages) {
      throw new BatchError('ERR_PERF_BATCH_STORE_FULL', 'the file has reached maxFileBytes');
    }
    return appended;
  }

  #knownKey(key: string): Appended | undefined {
    const known = this.#sql.findKey.get(key);
    if (known === undefined) return undefined;
    if (known.expires_ms !== null && known.expires_ms <= this.#clock.now()) {
      this.#sql.deleteKey.run(key);
      return undefined;
    }
    const done = known.expires_ms !== null;
    const elsewhere = known.owner !== null && known.owner !== this.#owner;
    return {
      status: 'duplicate',
      id: String(known.job),
      first: done ? 'done' : elsewhere ? 'elsewhere' : 'unfinished',
      result: known.result === null ? undefined : JSON.parse(known.result),
    };
  }

  #claimNow(maxJobs: number): StoredJob<T>[] {
    this.#takeFromTheDead();
    const nowMs = this.#clock.now();
    const claimed: StoredJob<T>[] = [];
    for (const row of this.#sql.claimable.all(maxJobs)) {
      this.#sql.lease.run(this.#owner, row.id);
      let item: T;
      try {
        item = this.#codec.decode(row.item);
      } catch (error) {
        // Written by other code: nobody can run it, and it must not stop the others.
        this.#sql.bury.run(describeError(error), row.attempts, row.id, this.#owner);
        continue;
      }
      if (row.key !== null) {
        this.#leasedKeys.set(row.id, row.key);
        this.#justLeased.push(row.id);
      }
      this.#leased++;
      claimed.push({
        id: String(row.id),
        item,
        priority: row.priority,
        key: row.key ?? undefined,
        attempts: row.attempts,
        deadlineMs: row.expires_ms === null ? undefined : row.expires_ms - nowMs,
      });
    }
    return claimed;
  }

  #settleAll(settlements: readonly Settlement[]): boolean[] {
    const held: boolean[] = [];
    let keyed = false;
    for (const settlement of settlements) {
      const id = Number(settlement.id);
      const key = this.#leasedKeys.get(id);
      const isHeld = this.#settleOne(id, key, settlement);
      held.push(isHeld);
      if (settlement.kind === 'retry') continue;
      this.#leased = Math.max(0, this.#leased - 1);
      if (key !== undefined) {
        keyed = true;
        this.#leasedKeys.delete(id);
      }
    }
    if (keyed) this.#sql.purgeKeys.run(this.#clock.now(), KEYS_PER_PURGE);
    return held;
  }

  // oxlint-disable-next-line typescript/consistent-return -- every kind of settlement returns
  #settleOne(id: number, key: string | undefined, settlement: Settlement): boolean {
    switch (settlement.kind) {
      case 'done': {
        if (this.#sql.finish.run(id, this.#owner).changes === 0) return false;
        if (key !== undefined) {
          const result = settlement.result === undefined ? null : (JSON.stringify(settlement.result) ?? null);
          this.#sql.finishKey.run(Math.ceil(this.#clock.now() + this.#keyTtlMs), result, key);
        }
        return true;
      }
      case 'retry':
        return this.#sql.retry.run(settlement.attempts, id, this.#owner).changes > 0;
      case 'dead': {
        const error = describeError(settlement.error);
        if (this.#sql.bury.run(error, settlement.attempts, id, this.#owner).changes === 0) return false;
        // A failed job's key is free again.
        if (key !== undefined) this.#sql.deleteKey.run(key);
        return true;
      }
      case 'release':
        return this.#sql.release.run(id, this.#owner).changes > 0;
    }
  }

  #takeId(): number {
    if (this.#nextId === this.#blockEnd) {
      this.#blockEnd = Number(this.#sql.reserveIds.pluck().get(ID_BLOCK));
      this.#nextId = this.#blockEnd - ID_BLOCK;
    }
    return this.#nextId++;
  }

  #pagesUsed(): number {
    return Number(this.#sql.pageCount.get()) - Number(this.#sql.freePages.get());
  }

  // -- Owners -------------------------------------------------------------------------------------------------------

  #register(): number {
    this.#sql.begin.run();
    try {
      this.#aliveUntilMs = this.#clock.now() + this.#visibilityTimeoutMs;
      const { lastInsertRowid } = this.#sql.addOwner.run(
        null,
        hostname(),
        process.pid,
        processStartedMs(),
        Math.ceil(this.#aliveUntilMs),
      );
      this.#takeFromTheDead(Number(lastInsertRowid));
      this.#sql.purgeKeys.run(this.#clock.now(), 100_000);
      this.#sql.commit.run();
      return Number(lastInsertRowid);
    } catch (error) {
      if (this.#db.inTransaction) this.#sql.rollback.run();
      throw error;
    }
  }

  /** With each transaction that comes late enough, and by a timer while jobs are held. */
  #stayAlive(): void {
    const nowMs = this.#clock.now();
    if (this.#aliveUntilMs - nowMs < (this.#visibilityTimeoutMs * 2) / 3) {
      this.#aliveUntilMs = nowMs + this.#visibilityTimeoutMs;
      const aliveUntilMs = Math.ceil(this.#aliveUntilMs);
      if (this.#sql.keepAlive.run(aliveUntilMs, this.#owner).changes === 0) {
        // Taken for dead while it held nothing, or was suspended: it goes on as a new owner of the same number.
        this.#sql.addOwner.run(this.#owner, hostname(), process.pid, processStartedMs(), aliveUntilMs);
      }
    }
    if (this.#heartbeat !== undefined) return;
    this.#heartbeat = setTimeout(() => {
      this.#heartbeat = undefined;
      if (this.#leased > 0 && this.#closing === undefined)
        this.#enqueue(() => undefined).catch(() => this.#wake());
    }, this.#visibilityTimeoutMs / 3);
    this.#heartbeat.unref();
  }

  #takeFromTheDead(self: number = this.#owner): void {
    for (const owner of this.#sql.otherOwners.all(self)) {
      if (!this.#isDead(owner)) continue;
      this.#sql.releaseAll.run(owner.id);
      this.#sql.deleteOwner.run(owner.id);
    }
  }

  #isDead(owner: OwnerRow): boolean {
    if (owner.alive_until_ms <= this.#clock.now()) return true;
    if (owner.host !== hostname()) return false;
    if (owner.pid === process.pid) {
      // This process, or one of another time that had its number.
      return Math.abs(owner.started_ms - processStartedMs()) > START_TOLERANCE_MS;
    }
    try {
      process.kill(owner.pid, 0);
      return false;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ESRCH';
    }
  }

  /** One timer for when the next of the others would be out of time. */
  #watchOtherOwners(): void {
    const next = this.#sql.nextExpiry.get(this.#owner) as number | null;
    if (next === null) return;
    const delayMs = Math.min(MAX_TIMER_MS, Math.max(1, next - this.#clock.now() + 1));
    this.#otherOwners = setTimeout(() => {
      if (this.#closing !== undefined) return;
      this.#wake();
      this.#watchOtherOwners();
    }, delayMs);
    this.#otherOwners.unref();
  }

  #wake(): void {
    for (const wake of this.#wakes) wake();
  }

  async #close(): Promise<void> {
    clearTimeout(this.#heartbeat);
    clearTimeout(this.#otherOwners);
    this.#commitAll();
    try {
      this.#transaction(() => {
        this.#sql.releaseAll.run(this.#owner);
        this.#sql.deleteOwner.run(this.#owner);
      });
    } finally {
      clearTimeout(this.#heartbeat);
      this.#db.close();
    }
  }
}

function closedError(): BatchError {
  return new BatchError('ERR_PERF_BATCH_CLOSED', 'the job store is closed');
}

type Statements = ReturnType<typeof prepareStatements>;

function prepareStatements(db: Database) {
  return {
    begin: db.prepare('BEGIN IMMEDIATE'),
    commit: db.prepare('COMMIT'),
    rollback: db.prepare('ROLLBACK'),
    insert: db.prepare<[number, string | Uint8Array, number, number, number | null, string | null]>(
      'INSERT INTO job (id, item, priority, owner, expires_ms, key) VALUES (?, ?, ?, ?, ?, ?)',
    ),
    insertKey: db.prepare<[string, number]>('INSERT INTO job_key (key, job) VALUES (?, ?)'),
    findKey: db.prepare<
      [string],
      { job: number; expires_ms: number | null; result: string | null; owner: number | null }
    >(
      `SELECT k.job, k.expires_ms, k.result, j.owner FROM job_key k LEFT JOIN job j ON j.id = k.job WHERE k.key = ?`,
    ),
    finishKey: db.prepare<[number, string | null, string]>(
      'UPDATE job_key SET expires_ms = ?, result = ? WHERE key = ?',
    ),
    deleteKey: db.prepare<[string]>('DELETE FROM job_key WHERE key = ?'),
    purgeKeys: db.prepare<[number, number]>(
      `DELETE FROM job_key WHERE key IN
         (SELECT key FROM job_key WHERE expires_ms <= ? ORDER BY expires_ms LIMIT ?)`,
    ),
    claimable: db.prepare<[number], JobRow>(
      `SELECT id, item, priority, attempts, expires_ms, key FROM job
       WHERE owner IS NULL AND error IS NULL ORDER BY priority, id LIMIT ?`,
    ),
    lease: db.prepare<[number, number]>('UPDATE job SET owner = ? WHERE id = ?'),
    finish: db.prepare<[number, number]>('DELETE FROM job WHERE id = ? AND owner = ?'),
    retry: db.prepare<[number, number, number]>('UPDATE job SET attempts = ? WHERE id = ? AND owner = ?'),
    bury: db.prepare<[string, number, number, number]>(
      'UPDATE job SET owner = NULL, key = NULL, error = ?, attempts = ? WHERE id = ? AND owner = ?',
    ),
    release: db.prepare<[number, number]>('UPDATE job SET owner = NULL WHERE id = ? AND owner = ?'),
    releaseAll: db.prepare<[number]>('UPDATE job SET owner = NULL WHERE owner = ?'),
    dead: db.prepare<[number], JobRow & { readonly error: string }>(
      'SELECT id, item, priority, attempts, expires_ms, key, error FROM job WHERE error IS NOT NULL ORDER BY id LIMIT ?',
    ),
    revive: db.prepare<[number]>(
      'UPDATE job SET error = NULL, attempts = 0, expires_ms = NULL WHERE id = ? AND error IS NOT NULL',
    ),
    counts: db.prepare(
      'SELECT count(*) FILTER (WHERE error IS NULL) AS unfinished, count(error) AS dead FROM job',
    ),
    reserveIds: db.prepare<[number]>('UPDATE store SET next_id = next_id + ? RETURNING next_id'),
    pageCount: db.prepare('PRAGMA page_count').pluck(),
    freePages: db.prepare('PRAGMA freelist_count').pluck(),
    addOwner: db.prepare<[number | null, string, number, number, number]>(
      'INSERT INTO owner (id, host, pid, started_ms, alive_until_ms) VALUES (?, ?, ?, ?, ?)',
    ),
    keepAlive: db.prepare<[number, number]>('UPDATE owner SET alive_until_ms = ? WHERE id = ?'),
    otherOwners: db.prepare<[number], OwnerRow>('SELECT * FROM owner WHERE id <> ?'),
    deleteOwner: db.prepare<[number]>('DELETE FROM owner WHERE id = ?'),
    nextExpiry: db.prepare<[number]>('SELECT min(alive_until_ms) FROM owner WHERE id <> ?').pluck(),
  };
}
