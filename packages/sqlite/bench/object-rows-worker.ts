/** The plain way to query on a thread: rows as better-sqlite3 gives them, in one message. For comparison only. */
import { parentPort, workerData } from 'node:worker_threads';
import BetterSqlite3 from 'better-sqlite3';

const db = new BetterSqlite3(workerData as string, { readonly: true });
parentPort?.on('message', (sql: string) => parentPort?.postMessage(db.prepare(sql).all(), []));
