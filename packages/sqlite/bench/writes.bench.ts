/** Writing: against better-sqlite3 and node:sqlite as they open a file by default. */
import { DatabaseSync } from 'node:sqlite';
import { openDatabase } from '@perf/sqlite';
import type { Database } from '@perf/sqlite';
import { ratioCase } from '@perf/bench';
import type { Contender, RatioCase } from '@perf/bench';
import BetterSqlite3 from 'better-sqlite3';
import { SCHEMA, freshPaths, readMessages } from './messages.ts';

const COMMITS = 50;

interface Input {
  readonly messages: readonly string[];
  readonly nextPath: () => string;
}

interface Answer {
  readonly rows: number;
  readonly bytes: number;
}

const ANSWER = 'SELECT count(*) AS rows, sum(octet_length(text)) AS bytes FROM messages';
const INSERT = 'INSERT INTO messages (text) VALUES (?)';

function validate({ rows, bytes }: Answer, { messages }: Input): void {
  const expected = messages.reduce((sum, message) => sum + Buffer.byteLength(message), 0);
  if (rows !== messages.length || bytes !== expected) throw new Error(`stored ${rows} rows, ${bytes} bytes`);
}

function withBetterSqlite3(
  name: string,
  open: (path: string) => Database,
  together: boolean,
): Contender<Input, Database, Answer> {
  return {
    name,
    ours: name.startsWith('@perf/sqlite'),
    prepare({ nextPath }) {
      const db = open(nextPath());
      db.exec(SCHEMA);
      return db;
    },
    run(db, { messages }) {
      const insert = db.prepare(INSERT);
      const all = (): void => {
        for (const message of messages) insert.run(message);
      };
      if (together) db.transaction(all)();
      else all();
      return db.prepare(ANSWER).get() as Answer;
    },
    dispose: (db) => void db.close(),
  };
}

function withNodeSqlite(together: boolean): Contender<Input, DatabaseSync, Answer> {
  return {
    name: 'node:sqlite, defaults',
    prepare({ nextPath }) {
      const db = new DatabaseSync(nextPath());
      db.exec(SCHEMA);
      return db;
    },
    run(db, { messages }) {
      const insert = db.prepare(INSERT);
      if (together) db.exec('BEGIN');
      for (const message of messages) insert.run(message);
      if (together) db.exec('COMMIT');
      return { ...db.prepare(ANSWER).get() } as unknown as Answer;
    },
    dispose: (db) => db.close(),
  };
}

export const cases: readonly RatioCase[] = [
  ratioCase<Input, Answer>({
    name: 'single-row-commits',
    about: `${COMMITS} recorded messages, each in a transaction of its own, to a new file; durability process-crash.`,
    setup: (context) => ({ messages: readMessages(context, COMMITS), nextPath: freshPaths(context) }),
    operations: () => COMMITS,
    contenders: [
      withBetterSqlite3('@perf/sqlite', (path) => openDatabase(path), false),
      withBetterSqlite3('better-sqlite3, defaults', (path) => new BetterSqlite3(path), false),
      withNodeSqlite(false),
    ],
    validate,
    goals: [{ versus: 'better-sqlite3, defaults', atLeast: 2 }],
  }),
  ratioCase<Input, Answer>({
    name: 'single-row-commits-power-loss',
    about: `The same with durability power-loss: one fsync per commit, as the defaults of the others have two or more.`,
    setup: (context) => ({ messages: readMessages(context, COMMITS), nextPath: freshPaths(context) }),
    operations: () => COMMITS,
    contenders: [
      withBetterSqlite3('@perf/sqlite', (path) => openDatabase(path, { durability: 'power-loss' }), false),
      withBetterSqlite3('better-sqlite3, defaults', (path) => new BetterSqlite3(path), false),
      withNodeSqlite(false),
    ],
    validate,
  }),
  ratioCase<Input, Answer>({
    name: 'bulk-insert',
    about: '5,000 recorded messages in one transaction, to a new file.',
    setup: (context) => ({ messages: readMessages(context, 5_000), nextPath: freshPaths(context) }),
    operations: ({ messages }) => messages.length,
    contenders: [
      withBetterSqlite3('@perf/sqlite', (path) => openDatabase(path), true),
      withBetterSqlite3('better-sqlite3, defaults', (path) => new BetterSqlite3(path), true),
      withNodeSqlite(true),
    ],
    validate,
  }),
];
