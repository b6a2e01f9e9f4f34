/** Reading by key, preparing, opening, and what the slow-query reports cost. */
import { DatabaseSync } from 'node:sqlite';
import { StatementCache, openDatabase } from '@perf/sqlite';
import type { Database } from '@perf/sqlite';
import { ratioCase } from '@perf/bench';
import type { CaseContext, RatioCase } from '@perf/bench';
import BetterSqlite3 from 'better-sqlite3';
import { SCHEMA, freshPaths, readMessages } from './messages.ts';

const ROWS = 5_000;
const READS = 5_000;
const BY_ID = 'SELECT text FROM messages WHERE id = ?';

interface Input {
  readonly path: string;
  readonly ids: Int32Array;
  readonly characters: number;
}

interface Message {
  readonly text: string;
}

function setup(context: CaseContext): Input {
  const messages = readMessages(context, ROWS);
  const path = freshPaths(context)();
  const db = openDatabase(path);
  db.exec(SCHEMA);
  const insert = db.prepare('INSERT INTO messages (text) VALUES (?)');
  db.transaction(() => {
    for (const message of messages) insert.run(message);
  })();
  db.close();
  const ids = Int32Array.from({ length: READS }, () => 1 + Math.floor(context.random() * ROWS));
  let characters = 0;
  for (const id of ids) characters += messages[id - 1]?.length ?? 0;
  return { path, ids, characters };
}

function validate(answer: number, { characters }: Input): void {
  if (answer !== characters) throw new Error(`read ${answer} characters instead of ${characters}`);
}

function readAll(statement: { get(id: number): unknown }, ids: Int32Array): number {
  let characters = 0;
  for (const id of ids) characters += (statement.get(id) as Message).text.length;
  return characters;
}

/** Reads every page, so that the page cache or the memory map is filled before the clock starts. */
function warm<Handle extends { prepare(sql: string): { get(): unknown } }>(db: Handle): Handle {
  db.prepare('SELECT sum(octet_length(text)) FROM messages').get();
  return db;
}

const close = (db: Database): void => void db.close();

export const cases: readonly RatioCase[] = [
  ratioCase<Input, number>({
    name: 'reads-by-key',
    about: `${READS} reads of recorded messages by random key through one prepared statement of a handle that has read them before.`,
    setup,
    operations: () => READS,
    contenders: [
      {
        name: '@perf/sqlite',
        ours: true,
        prepare: ({ path }) => warm(openDatabase(path)),
        run: (db: Database, { ids }) => readAll(db.prepare(BY_ID), ids),
        dispose: close,
      },
      {
        name: '@perf/sqlite, mmapBytes: 0',
        prepare: ({ path }) => warm(openDatabase(path, { mmapBytes: 0 })),
        run: (db: Database, { ids }) => readAll(db.prepare(BY_ID), ids),
        dispose: close,
      },
      {
        name: 'better-sqlite3, defaults',
        prepare: ({ path }) => warm(new BetterSqlite3(path)),
        run: (db: Database, { ids }) => readAll(db.prepare(BY_ID), ids),
        dispose: close,
      },
      {
        name: 'node:sqlite, defaults',
        prepare: ({ path }) => warm(new DatabaseSync(path)),
        run: (db: DatabaseSync, { ids }) => readAll(db.prepare(BY_ID), ids),
        dispose: (db: DatabaseSync) => db.close(),
      },
    ],
    validate,
  }),
  ratioCase<Input, number>({
    name: 'slow-query-overhead',
    about: 'The same reads with a listener for slow queries, against none, and against the bare handle.',
    setup,
    operations: () => READS,
    contenders: [
      {
        name: '@perf/sqlite, listening',
        ours: true,
        prepare: ({ path }) => openDatabase(path, { mmapBytes: 0, onSlowQuery: () => {} }),
        run: (db: Database, { ids }) => readAll(db.prepare(BY_ID), ids),
        dispose: close,
      },
      {
        name: '@perf/sqlite, nobody listens',
        prepare: ({ path }) => openDatabase(path, { mmapBytes: 0 }),
        run: (db: Database, { ids }) => readAll(db.prepare(BY_ID), ids),
        dispose: close,
      },
      {
        name: 'better-sqlite3, defaults',
        prepare: ({ path }) => new BetterSqlite3(path),
        run: (db: Database, { ids }) => readAll(db.prepare(BY_ID), ids),
        dispose: close,
      },
    ],
    validate,
  }),
  ratioCase<Input, number>({
    name: 'prepared-statements',
    about: 'The same reads where each call has the SQL text in its hand: from the cache, or prepared anew.',
    setup,
    operations: () => READS,
    contenders: [
      {
        name: '@perf/sqlite StatementCache',
        ours: true,
        prepare: ({ path }) => {
          const db = openDatabase(path);
          return { db, cache: new StatementCache(db) };
        },
        run: ({ cache }: { cache: StatementCache }, { ids }) => {
          let characters = 0;
          for (const id of ids) characters += cache.prepare<Message>(BY_ID).get(id)?.text.length ?? 0;
          return characters;
        },
        dispose: ({ db }: { db: Database }) => void db.close(),
      },
      {
        name: 'better-sqlite3 prepare, defaults',
        prepare: ({ path }) => new BetterSqlite3(path),
        run: (db: Database, { ids }) => {
          let characters = 0;
          for (const id of ids) characters += (db.prepare(BY_ID).get(id) as Message).text.length;
          return characters;
        },
        dispose: close,
      },
    ],
    validate,
    goals: [{ versus: 'better-sqlite3 prepare, defaults', atLeast: 2 }],
  }),
  ratioCase<Input, number>({
    name: 'open-and-close',
    about:
      'Opening a file of 5,000 messages, reading one, closing: the look at the file and the settings cost here.',
    setup,
    operations: () => 1,
    contenders: [
      {
        name: '@perf/sqlite',
        ours: true,
        prepare: () => undefined,
        run: (_: undefined, { path, characters }) => {
          const db = openDatabase(path);
          db.prepare(BY_ID).get(1);
          db.close();
          return characters;
        },
      },
      {
        name: 'better-sqlite3, defaults',
        prepare: () => undefined,
        run: (_: undefined, { path, characters }) => {
          const db = new BetterSqlite3(path);
          db.prepare(BY_ID).get(1);
          db.close();
          return characters;
        },
      },
    ],
    validate,
  }),
];
