// Tables of a graph. Names carry the prefix `graph_`, because the database may be shared with other packages.
//
//   nodes     what selection needs, by integer key; the id is unique
//   contents  what only readers of a node need: text, metadata, embedding; a traversal never comes here
//   edges     clustered by (source, type, target): loading is one ordered scan, an upsert touches one leaf
//   changes   the change log: one row per commit (more when it is big), a packed binary list of changes.
//             `total` is the running size of the log, `chain` the CRC-32 of the log up to this row: two files with
//             the same sequence number and different histories differ in it
//   search    FTS5 over contents

import { randomUUID } from 'node:crypto';
import { openDatabase } from '@perf/sqlite';
import type { Database, Migration } from '@perf/sqlite';
import { GraphError } from './errors.ts';

/** Grows with every change of the tables below. */
const SCHEMA_VERSION = 1;

const TABLES = `
  CREATE TABLE graph_meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
  CREATE TABLE graph_node_types (key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
  CREATE TABLE graph_edge_types (key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
  CREATE TABLE graph_nodes (
    key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, type INTEGER NOT NULL, confidence REAL NOT NULL,
    created_at_ms REAL NOT NULL
  );
  CREATE TABLE graph_contents (key INTEGER PRIMARY KEY, content TEXT, metadata TEXT, embedding BLOB);
  CREATE TABLE graph_edges (
    source INTEGER NOT NULL, type INTEGER NOT NULL, target INTEGER NOT NULL,
    weight REAL, valid_from_ms REAL, valid_to_ms REAL, metadata TEXT,
    PRIMARY KEY (source, type, target)
  ) WITHOUT ROWID;
  CREATE TABLE graph_changes (
    seq INTEGER PRIMARY KEY, total INTEGER NOT NULL, chain INTEGER NOT NULL, data BLOB NOT NULL
  );
  CREATE VIRTUAL TABLE graph_search USING fts5(content, content='graph_contents', content_rowid='key');
  INSERT INTO graph_node_types VALUES (0, '');
`;

const MIGRATIONS: readonly Migration[] = [{ version: 1, name: 'graph tables', up: createTables }];

/** Opens the graph's own file. */
export function openGraphFile(path: string, durability: 'process-crash' | 'power-loss'): Database {
  return openDatabase(path, { durability, migrations: MIGRATIONS });
}

/** Makes sure that a database of somebody else has the tables; its `user_version` is left to its owner. */
export function ensureTables(db: Database): void {
  const has = db.prepare(`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'graph_meta'`).pluck();
  if (has.get() === undefined) {
    db.transaction(() => {
      if (has.get() === undefined) createTables(db);
    }).immediate();
  }
  const version = db.prepare(`SELECT value FROM graph_meta WHERE name = 'schema'`).pluck().get();
  if (typeof version !== 'number' || version > SCHEMA_VERSION) {
    throw new GraphError(
      'ERR_PERF_GRAPH_NEWER_SCHEMA',
      `the graph has schema version ${String(version)}, this program knows versions up to ${SCHEMA_VERSION}`,
    );
  }
}

function createTables(db: Database): void {
  db.exec(TABLES);
  const meta = db.prepare('INSERT INTO graph_meta VALUES (?, ?)');
  meta.run('schema', SCHEMA_VERSION);
  meta.run('identity', randomUUID());
  meta.run('next_key', 0);
}
