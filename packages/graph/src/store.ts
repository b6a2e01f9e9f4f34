// Every SQL statement of the graph. Rows in, rows out; no graph logic.

import type { Database } from '@perf/sqlite';
import type { EdgeColumns } from './adjacency.ts';

/** A node as stored, apart from its key. */
export interface NodeRow {
  readonly id: string;
  readonly type: number;
  readonly confidence: number;
  readonly createdAtMs: number;
  readonly content: string | null;
  readonly metadata: string | null;
  readonly embedding: Buffer | null;
}

export interface EdgeRow {
  readonly weight: number | null;
  readonly validFromMs: number | null;
  readonly validToMs: number | null;
  readonly metadata: string | null;
}

export interface LogRow {
  readonly seq: number;
  readonly total: number;
  readonly chain: number;
}

/** A point of the change log. */
export const LOG_START: LogRow = { seq: 0, total: 0, chain: 0 };

const NODE_COLUMNS = `n.key AS key, n.id AS id, n.type AS type, n.confidence AS confidence,
  n.created_at_ms AS createdAtMs, c.content AS content, c.metadata AS metadata, c.embedding AS embedding`;
const NODE_TABLES = 'graph_nodes n LEFT JOIN graph_contents c ON c.key = n.key';

/** One statement for this many edges: what the call and the binding cost is shared. */
const ROWS_PER_INSERT = 64;
const PLAIN_INSERT = plainInsert(1);
const PLAIN_INSERTS = plainInsert(ROWS_PER_INSERT);

function plainInsert(rows: number): string {
  const values = Array.from({ length: rows }, () => '(?, ?, ?)').join(', ');
  return `INSERT INTO graph_edges (source, type, target) VALUES ${values}
    ON CONFLICT DO UPDATE SET weight = NULL, valid_from_ms = NULL, valid_to_ms = NULL, metadata = NULL`;
}

/** The part of better-sqlite3's statement that is used here. */
interface Statement {
  run(...values: readonly unknown[]): { readonly changes: number };
  get(...values: readonly unknown[]): unknown;
  all(...values: readonly unknown[]): unknown[];
  iterate(...values: readonly unknown[]): IterableIterator<unknown>;
  pluck(): Statement;
  raw(): Statement;
}

export class Store {
  readonly #db: Database;
  readonly #statements = new Map<string, Statement>();

  constructor(db: Database) {
    this.#db = db;
  }

  get inTransaction(): boolean {
    return this.#db.inTransaction;
  }

  begin(): void {
    this.#run('BEGIN IMMEDIATE');
  }

  commit(): void {
    this.#run('COMMIT');
  }

  rollback(): void {
    // SQLite may have rolled back by itself (disk full, for example).
    if (this.#db.inTransaction) this.#run('ROLLBACK');
  }

  savepoint(): void {
    this.#run('SAVEPOINT graph_nested');
  }

  releaseSavepoint(): void {
    this.#run('RELEASE graph_nested');
  }

  rollbackToSavepoint(): void {
    if (!this.#db.inTransaction) return;
    this.#run('ROLLBACK TO graph_nested');
    this.#run('RELEASE graph_nested');
  }

  /** Changes whenever another connection commits. */
  dataVersion(): number {
    return this.#pluck('PRAGMA data_version').get() as number;
  }

  identity(): string {
    return this.#pluck(`SELECT value FROM graph_meta WHERE name = 'identity'`).get() as string;
  }

  nextKey(): number {
    return this.#pluck(`SELECT value FROM graph_meta WHERE name = 'next_key'`).get() as number;
  }

  setNextKey(key: number): void {
    this.#statement(`UPDATE graph_meta SET value = ? WHERE name = 'next_key'`).run(key);
  }

  // The change log.

  lastChange(): LogRow {
    const row = this.#statement(
      'SELECT seq, total, chain FROM graph_changes ORDER BY seq DESC LIMIT 1',
    ).get();
    return (row as LogRow | undefined) ?? LOG_START;
  }

  changeAt(seq: number): LogRow | undefined {
    if (seq === 0) return LOG_START;
    const sql = 'SELECT seq, total, chain FROM graph_changes WHERE seq = ?';
    return this.#statement(sql).get(seq) as LogRow | undefined;
  }

  oldestChange(): number {
    return (this.#pluck('SELECT min(seq) FROM graph_changes').get() as number | null) ?? 1;
  }

  appendChange(row: LogRow, data: Buffer): void {
    this.#statement('INSERT INTO graph_changes VALUES (?, ?, ?, ?)').run(row.seq, row.total, row.chain, data);
  }

  changesAfter(seq: number): IterableIterator<LogRow & { readonly data: Buffer }> {
    const sql = 'SELECT seq, total, chain, data FROM graph_changes WHERE seq > ? ORDER BY seq';
    return this.#statement(sql).iterate(seq) as IterableIterator<LogRow & { readonly data: Buffer }>;
  }

  deleteChangesBefore(seq: number): number {
    return this.#statement('DELETE FROM graph_changes WHERE seq < ?').run(seq).changes;
  }

  // Types.

  addType(of: 'node' | 'edge', key: number, name: string): void {
    this.#statement(`INSERT INTO graph_${of}_types VALUES (?, ?)`).run(key, name);
  }

  types(of: 'node' | 'edge'): readonly { readonly key: number; readonly name: string }[] {
    return this.#statement(`SELECT key, name FROM graph_${of}_types ORDER BY key`).all() as {
      key: number;
      name: string;
    }[];
  }

  // Nodes.

  insertNode(key: number, row: NodeRow): void {
    this.#statement('INSERT INTO graph_nodes VALUES (?, ?, ?, ?, ?)').run(
      key,
      row.id,
      row.type,
      row.confidence,
      row.createdAtMs,
    );
    this.#insertContent(key, row);
  }

  updateNode(key: number, row: NodeRow): void {
    this.#deleteContent(key);
    this.#statement('UPDATE graph_nodes SET type = ?, confidence = ?, created_at_ms = ? WHERE key = ?').run(
      row.type,
      row.confidence,
      row.createdAtMs,
      key,
    );
    this.#insertContent(key, row);
  }

  deleteNode(key: number): void {
    this.#deleteContent(key);
    this.#statement('DELETE FROM graph_nodes WHERE key = ?').run(key);
  }

  createdAtMs(key: number): number {
    return this.#pluck('SELECT created_at_ms FROM graph_nodes WHERE key = ?').get(key) as number;
  }

  node(key: number): NodeRow | undefined {
    return this.#statement(`SELECT ${NODE_COLUMNS} FROM ${NODE_TABLES} WHERE n.key = ?`).get(key) as
      | NodeRow
      | undefined;
  }

  /** The nodes of these keys that exist, in no particular order. */
  nodes(keys: readonly number[]): readonly (NodeRow & { readonly key: number })[] {
    const sql = `SELECT ${NODE_COLUMNS} FROM json_each(?) j CROSS JOIN graph_nodes n ON n.key = j.value
      LEFT JOIN graph_contents c ON c.key = n.key`;
    return this.#statement(sql).all(JSON.stringify(keys)) as (NodeRow & { key: number })[];
  }

  /** Every node as [key, id, type, confidence], by ascending key. */
  scanNodes(): IterableIterator<[key: number, id: string, type: number, confidence: number]> {
    const sql = 'SELECT key, id, type, confidence FROM graph_nodes ORDER BY key';
    return this.#raw(sql).iterate() as IterableIterator<[number, string, number, number]>;
  }

  /** Every node whole, by ascending key. */
  scanWholeNodes(afterKey: number, limit: number): readonly (NodeRow & { readonly key: number })[] {
    const sql = `SELECT ${NODE_COLUMNS} FROM ${NODE_TABLES} WHERE n.key > ? ORDER BY n.key LIMIT ?`;
    return this.#statement(sql).all(afterKey, limit) as (NodeRow & { key: number })[];
  }

  // Edges.

  upsertEdge(
    source: number,
    type: number,
    target: number,
    columns: EdgeColumns,
    metadata: string | null,
  ): void {
    this.#statement(
      `INSERT INTO graph_edges VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET weight = excluded.weight, valid_from_ms = excluded.valid_from_ms,
         valid_to_ms = excluded.valid_to_ms, metadata = excluded.metadata`,
    ).run(
      source,
      type,
      target,
      columns.weight === 1 ? null : columns.weight,
      columns.validFromMs === -Infinity ? null : columns.validFromMs,
      columns.validToMs === Infinity ? null : columns.validToMs,
      metadata,
    );
  }

  /** Upserts edges that carry nothing: triples of source, type, target. */
  upsertPlainEdges(triples: readonly number[]): void {
    for (let at = 0; at < triples.length;) {
      const rows = triples.length - at >= ROWS_PER_INSERT * 3 ? ROWS_PER_INSERT : 1;
      this.#statement(rows === 1 ? PLAIN_INSERT : PLAIN_INSERTS).run(...triples.slice(at, at + rows * 3));
      at += rows * 3;
    }
  }

  deleteEdge(source: number, type: number, target: number): void {
    this.#statement('DELETE FROM graph_edges WHERE source = ? AND type = ? AND target = ?').run(
      source,
      type,
      target,
    );
  }

  deleteEdgesFrom(source: number): void {
    this.#statement('DELETE FROM graph_edges WHERE source = ?').run(source);
  }

  edge(source: number, type: number, target: number): EdgeRow | undefined {
    const sql = `SELECT weight, valid_from_ms AS validFromMs, valid_to_ms AS validToMs, metadata
      FROM graph_edges WHERE source = ? AND type = ? AND target = ?`;
    return this.#statement(sql).get(source, type, target) as EdgeRow | undefined;
  }

  /** Every edge as [source, type, target, weight, from, to], in clustered order. */
  scanEdges(): IterableIterator<[number, number, number, number | null, number | null, number | null]> {
    const sql = 'SELECT source, type, target, weight, valid_from_ms, valid_to_ms FROM graph_edges';
    return this.#raw(sql).iterate() as IterableIterator<
      [number, number, number, number | null, number | null, number | null]
    >;
  }

  /** Edges after one in clustered order, whole. */
  scanWholeEdges(
    after: readonly [source: number, type: number, target: number],
    limit: number,
  ): readonly (EdgeRow & { readonly source: number; readonly type: number; readonly target: number })[] {
    const sql = `SELECT source, type, target, weight, valid_from_ms AS validFromMs, valid_to_ms AS validToMs, metadata
      FROM graph_edges WHERE (source, type, target) > (?, ?, ?) ORDER BY source, type, target LIMIT ?`;
    return this.#statement(sql).all(...after, limit) as (EdgeRow & {
      source: number;
      type: number;
      target: number;
    })[];
  }

  // Search.

  /** Keys of the nodes whose content matches, best first. */
  search(match: string, limit: number, offset: number): readonly number[] {
    const sql =
      'SELECT rowid FROM graph_search WHERE graph_search MATCH ? ORDER BY rank, rowid LIMIT ? OFFSET ?';
    return this.#pluck(sql).all(match, limit, offset) as number[];
  }

  #insertContent(key: number, { content, metadata, embedding }: NodeRow): void {
    if (content === null && metadata === null && embedding === null) return;
    this.#statement('INSERT INTO graph_contents VALUES (?, ?, ?, ?)').run(key, content, metadata, embedding);
    if (content !== null)
      this.#statement('INSERT INTO graph_search (rowid, content) VALUES (?, ?)').run(key, content);
  }

  #deleteContent(key: number): void {
    const old = this.#pluck('SELECT content FROM graph_contents WHERE key = ?').get(key) as
      | string
      | null
      | undefined;
    if (old === undefined) return;
    // An external-content index is told what to forget: https://www.sqlite.org/fts5.html#external_content_tables
    if (old !== null) {
      const forget = `INSERT INTO graph_search (graph_search, rowid, content) VALUES ('delete', ?, ?)`;
      this.#statement(forget).run(key, old);
    }
    this.#statement('DELETE FROM graph_contents WHERE key = ?').run(key);
  }

  #run(sql: string): void {
    this.#statement(sql).run();
  }

  #statement(sql: string): Statement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql) as Statement;
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #pluck(sql: string): Statement {
    const known = this.#statements.has(sql);
    const statement = this.#statement(sql);
    return known ? statement : statement.pluck();
  }

  #raw(sql: string): Statement {
    const known = this.#statements.has(sql);
    const statement = this.#statement(sql);
    return known ? statement : statement.raw();
  }
}
