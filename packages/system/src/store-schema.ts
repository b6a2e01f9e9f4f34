// The one SQLite file that holds what the system itself remembers: patterns, sessions, messages and
// model outcomes. The cache and the graph keep files of their own beside it, so that clearing a
// cache can never touch a memory.
import { migrate } from '@perf/sqlite';
import type { Database, Migration } from '@perf/sqlite';

const migrations: readonly Migration[] = [
  {
    version: 1,
    name: 'patterns, sessions, messages, model outcomes',
    up: `
      CREATE TABLE patterns (
        id TEXT PRIMARY KEY,
        body TEXT NOT NULL,               -- the whole definition as JSON, free fields included
        definition INTEGER NOT NULL,      -- grows with every new or changed definition, in the order of commits
        prior_confidence REAL NOT NULL,   -- what the definition said, before outcomes moved it
        successes INTEGER NOT NULL DEFAULT 0,
        failures INTEGER NOT NULL DEFAULT 0,
        usage_count INTEGER NOT NULL DEFAULT 0,
        created_at_ms INTEGER NOT NULL,
        last_used_ms INTEGER NOT NULL
      ) WITHOUT ROWID;
      CREATE UNIQUE INDEX patterns_definition ON patterns (definition);

      CREATE TABLE sessions (
        ordinal INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        agent TEXT NOT NULL,
        started_at_ms INTEGER NOT NULL,
        outcome TEXT,
        summary TEXT NOT NULL,
        data BLOB                         -- compressed frame
      );
      CREATE INDEX sessions_started ON sessions (started_at_ms);
      CREATE VIRTUAL TABLE session_text USING fts5 (summary, content = 'sessions', content_rowid = 'ordinal');
      CREATE TRIGGER sessions_inserted AFTER INSERT ON sessions BEGIN
        INSERT INTO session_text (rowid, summary) VALUES (new.ordinal, new.summary);
      END;
      CREATE TRIGGER sessions_deleted AFTER DELETE ON sessions BEGIN
        INSERT INTO session_text (session_text, rowid, summary) VALUES ('delete', old.ordinal, old.summary);
      END;
      CREATE TRIGGER sessions_updated AFTER UPDATE OF summary ON sessions BEGIN
        INSERT INTO session_text (session_text, rowid, summary) VALUES ('delete', old.ordinal, old.summary);
        INSERT INTO session_text (rowid, summary) VALUES (new.ordinal, new.summary);
      END;

      CREATE TABLE messages (
        id INTEGER PRIMARY KEY,
        session INTEGER NOT NULL REFERENCES sessions (ordinal) ON DELETE CASCADE,
        sequence INTEGER NOT NULL,        -- given on acceptance; two processes may give the same, then id decides
        raw_bytes INTEGER NOT NULL,
        frame BLOB NOT NULL
      );
      CREATE INDEX messages_order ON messages (session, sequence);
      CREATE INDEX messages_sequence ON messages (sequence);

      CREATE TABLE model_outcomes (
        model TEXT NOT NULL,
        task TEXT NOT NULL,
        successes INTEGER NOT NULL,
        failures INTEGER NOT NULL,
        PRIMARY KEY (model, task)
      ) WITHOUT ROWID;
    `,
  },
];

/** Brings the store to the current schema; throws `ERR_PERF_SQLITE_NEWER_SCHEMA` when a newer version wrote it. */
export function prepareStore(db: Database): void {
  migrate(db, migrations);
}
