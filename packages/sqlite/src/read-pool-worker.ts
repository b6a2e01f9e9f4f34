/** A thread of a read pool: a read-only handle, a statement cache, and a loop over messages. */
import { parentPort, workerData } from 'node:worker_threads';
import type { Database } from './open-database.ts';
import { openDatabase } from './open-database.ts';
import { SqliteError } from './errors.ts';
import { StatementCache } from './statement-cache.ts';
import type { CachedStatement } from './statement-cache.ts';
import type { Failure, Query, Rows, WorkerSettings } from './read-pool-protocol.ts';

/** Below this a blob is cheaper to copy than to hand over. */
const TRANSFER_FROM_BYTES = 16 * 1024;

const settings = workerData as WorkerSettings;
let handle: { readonly db: Database; readonly statements: StatementCache } | undefined;

parentPort?.on('message', (query: Query) => {
  try {
    const transfer: ArrayBuffer[] = [];
    const rows = read(query, transfer);
    parentPort?.postMessage(rows, transfer);
  } catch (failure) {
    parentPort?.postMessage(describe(query.id, failure), []);
  }
});

/** Opened by the first query, so that what is wrong with the file is that query's error. */
function open(): StatementCache {
  if (handle === undefined) {
    const { path, mmapBytes, busyTimeoutMs } = settings;
    const db = openDatabase(path, {
      readonly: true,
      slowQueryMs: Infinity,
      ...(mmapBytes === undefined ? {} : { mmapBytes }),
      ...(busyTimeoutMs === undefined ? {} : { busyTimeoutMs }),
    });
    handle = { db, statements: new StatementCache(db) };
  }
  return handle.statements;
}

function read({ id, sql, params }: Query, transfer: ArrayBuffer[]): Rows {
  const statement = open().prepare<readonly unknown[]>(sql, 'array');
  requireQuery(statement);
  const names = statement.columns().map(({ name }) => name);
  const columns: unknown[][] = names.map(() => []);
  const blobColumns = new Set<number>();
  let count = 0;
  // Row by row rather than all at once: the end of the thread is noticed between rows, and the limit holds.
  for (const row of params === undefined ? statement.iterate() : statement.iterate(params)) {
    if (count === settings.maxRows) {
      throw new SqliteError('ERR_PERF_SQLITE_TOO_MANY_ROWS', `the query gives more than ${count} rows`);
    }
    count++;
    for (let index = 0; index < columns.length; index++) {
      const value = row[index];
      columns[index]?.push(value);
      if (value instanceof Uint8Array) {
        blobColumns.add(index);
        // better-sqlite3 gives each blob a buffer of its own.
        if (value.byteLength >= TRANSFER_FROM_BYTES) transfer.push(value.buffer as ArrayBuffer);
      }
    }
  }
  return { id, names, columns, count, blobColumns: [...blobColumns] };
}

/**
 * The handle is read-only, so nothing here can change the file. What could change the thread for the queries after it
 * is refused: BEGIN would pin a snapshot, a PRAGMA or ATTACH would hold for one thread of several.
 */
function requireQuery(statement: CachedStatement): void {
  const { source } = statement;
  if (!statement.readonly) {
    throw new SqliteError('ERR_PERF_SQLITE_READONLY', `a read pool does not write: ${source}`);
  }
  if (!statement.reader || /^(?:\s|--[^\n]*(?:\n|$)|\/\*[^]*?\*\/)*PRAGMA\b/i.test(source)) {
    throw new TypeError(`a read pool takes queries; use pragma_...() functions to read settings: ${source}`);
  }
}

function describe(id: number, failure: unknown): Failure {
  if (!(failure instanceof Error))
    return { id, className: 'Error', code: undefined, message: String(failure) };
  const code = 'code' in failure && typeof failure.code === 'string' ? failure.code : undefined;
  return { id, className: failure.name, code, message: failure.message };
}
