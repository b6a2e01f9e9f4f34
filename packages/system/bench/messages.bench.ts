/** Keeping what agents say: the system's grouped, compressed store against the two usual ways. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { ratioCase } from '@perf/bench';
import type { CaseContext, RatioCase } from '@perf/bench';
import { PerformanceSystem } from '@perf/system';
import { recordedMessages } from './recorded-messages.ts';

const MESSAGES = 500;

interface Input {
  readonly messages: readonly string[];
  readonly digest: string;
}

function digestOf(messages: Iterable<string | Uint8Array>): string {
  const hash = createHash('sha256');
  for (const message of messages) hash.update(message).update('\n');
  return hash.digest('hex');
}

const folder = (context: CaseContext): string => mkdtempSync(path.join(context.scratchDir, 'run-'));

function openLog(context: CaseContext): DatabaseSync {
  const db = new DatabaseSync(path.join(folder(context), 'log.sqlite'));
  // The same promise as the system's: a killed process loses nothing.
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL');
  db.exec('CREATE TABLE messages (id INTEGER PRIMARY KEY, session TEXT NOT NULL, text TEXT NOT NULL)');
  return db;
}

export const cases: readonly RatioCase[] = [
  ratioCase<Input, string>({
    name: 'messages-written-and-read',
    about: `${MESSAGES} messages of a recorded agent session, awaited one by one, made safe from a killed process, read back.`,
    setup(context) {
      const messages = recordedMessages(context, MESSAGES);
      return { messages, digest: digestOf(messages) };
    },
    operations: () => MESSAGES,
    validate(answer, { digest }) {
      if (answer !== digest) throw new Error('what was read back is not what was written');
    },
    contenders: [
      {
        name: '@perf/system',
        ours: true,
        prepare: (_, context) => PerformanceSystem.open({ dir: folder(context), starterPatterns: false }),
        async run(system: PerformanceSystem, { messages }) {
          for (const message of messages) await system.recordMessage('session', message);
          await system.flush();
          const read: Uint8Array[] = [];
          for await (const message of system.messages('session')) read.push(message);
          return digestOf(read);
        },
        dispose: (system: PerformanceSystem) => system.shutdown(),
      },
      {
        name: 'node:sqlite, a transaction each',
        prepare: (_, context) => openLog(context),
        run(db: DatabaseSync, { messages }) {
          const insert = db.prepare("INSERT INTO messages (session, text) VALUES ('session', ?)");
          for (const message of messages) insert.run(message);
          const rows = db.prepare('SELECT text FROM messages ORDER BY id').all() as { text: string }[];
          return digestOf(rows.map(({ text }) => text));
        },
        dispose: (db: DatabaseSync) => db.close(),
      },
      {
        name: 'a JSON file, rewritten each time',
        prepare: (_, context) => path.join(folder(context), 'session.json'),
        run(file: string, { messages }) {
          const all: string[] = [];
          for (const message of messages) {
            all.push(message);
            writeFileSync(`${file}.new`, JSON.stringify(all));
            renameSync(`${file}.new`, file);
          }
          return digestOf(JSON.parse(readFileSync(file, 'utf8')) as string[]);
        },
      },
    ],
  }),
];
