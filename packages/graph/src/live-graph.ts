// The database and its image in memory, kept equal.
//
//   write    BEGIN IMMEDIATE -> catch up with other writers -> rows + image + change record -> log row -> COMMIT
//   read     did anybody commit? -> apply the log rows since ours to the image
//   failure  ROLLBACK -> undo the image step by step
//
// Invariant: outside a transaction the image is the state after log row `at`. Nobody can commit between our BEGIN
// IMMEDIATE and our COMMIT, so inside a transaction the image is that state plus our own changes.

import { crc32 } from 'node:zlib';
import type { Database } from '@perf/sqlite';
import { ChangeWriter, readChanges } from './change-log.ts';
import type { ChangeSink } from './change-log.ts';
import { GraphImage, PLAIN_EDGE } from './graph-image.ts';
import { checkEdge, checkNode, metadataText } from './inputs.ts';
import type { EdgeInput, NodeInput } from './inputs.ts';
import { LOG_START, Store } from './store.ts';
import type { LogRow } from './store.ts';
import { TypeTable } from './type-table.ts';
import { UndoLog } from './undo-log.ts';

export interface LiveGraphOptions {
  readonly db: Database;
  /** The handle belongs to the caller, who may write through it and roll back around us. */
  readonly sharedHandle: boolean;
  readonly now: () => number;
  /** A node's row may differ from what was read before. */
  readonly onNodeChange: (key: number) => void;
}

export class LiveGraph {
  readonly store: Store;
  readonly edgeTypes: TypeTable = new TypeTable();
  readonly nodeTypes: TypeTable = new TypeTable();
  image: GraphImage = new GraphImage();
  /** Times the image was built from rows. */
  rebuilds = 0;
  /** Changes of other connections that were applied. */
  foreignChanges = 0;

  readonly #options: LiveGraphOptions;
  readonly #log = new ChangeWriter();
  readonly #undo = new UndoLog();
  readonly #sink: ChangeSink;
  #at: LogRow = LOG_START;
  #dataVersion = -1;
  #depth = 0;

  constructor(options: LiveGraphOptions) {
    this.#options = options;
    this.store = new Store(options.db);
    this.#sink = this.#imageSink();
    this.#consistently(() => this.#loadRows());
  }

  /** The last row of the change log that the image contains. */
  get at(): LogRow {
    return this.#at;
  }

  get inTransaction(): boolean {
    return this.#depth > 0;
  }

  /** Applies what other connections committed; returns the number of changes. Cost proportional to them. */
  refresh(): number {
    if (this.#depth > 0 || !this.#mayBeBehind()) return 0;
    return this.#catchUp();
  }

  /** Runs `f` in one transaction; a nested call is a savepoint. Whatever `f` throws rolls its changes back. */
  transaction<T>(f: () => T): T {
    return this.#depth === 0 ? this.#outermost(f) : this.#nested(f);
  }

  /** A single put or delete: a transaction of its own, or part of the open one without the price of a savepoint. */
  #atomic<T>(f: () => T): T {
    return this.#depth === 0 ? this.#outermost(f) : f();
  }

  putNode(node: NodeInput): void {
    checkNode(node);
    const metadata = metadataText(node.metadata);
    this.#atomic(() => {
      const ordinal = this.image.ids.ordinalOf(node.id);
      const type = this.#intern('node', node.type);
      const { embedding } = node;
      const row = {
        id: node.id,
        type,
        confidence: node.confidence ?? 1,
        createdAtMs: node.createdAtMs ?? this.#createdAtMs(ordinal),
        content: node.content ?? null,
        metadata,
        embedding:
          embedding === undefined
            ? null
            : Buffer.from(embedding.buffer, embedding.byteOffset, embedding.byteLength),
      };
      if (ordinal === -1) {
        this.image.reserve(this.image.ordinals + 1, 0);
        this.store.insertNode(this.image.nextKey, row);
        this.#addNode(node.id, type, row.confidence);
      } else {
        this.store.updateNode(this.image.keyOf(ordinal), row);
        this.#updateNode(ordinal, type, row.confidence);
      }
    });
  }

  putEdge(edge: EdgeInput): void {
    checkEdge(edge);
    const metadata = metadataText(edge.metadata);
    this.#atomic(() => {
      const source = this.#ensureNode(edge.source);
      const target = this.#ensureNode(edge.target);
      const type = this.#intern('edge', edge.type);
      const columns = {
        weight: edge.weight ?? 1,
        validFromMs: edge.validFromMs ?? -Infinity,
        validToMs: edge.validToMs ?? Infinity,
      };
      const { image } = this;
      const before = image.edgeColumns(source, type, target);
      const sourceKey = image.keyOf(source);
      const targetKey = image.keyOf(target);
      this.store.upsertEdge(sourceKey, type, targetKey, columns, metadata);
      image.putEdge(source, type, target, columns);
      if (before === undefined) this.#undo.newEdge(source, type, target);
      else this.#undo.add(() => image.putEdge(source, type, target, before));
      this.#log.edge(sourceKey, type, targetKey, columns);
    });
  }

  /** False when there is no such node. Its edges go with it. */
  deleteNode(id: string): boolean {
    return this.#atomic(() => {
      const { image } = this;
      const ordinal = image.ids.ordinalOf(id);
      if (ordinal === -1) return false;
      const key = image.keyOf(ordinal);
      this.store.deleteEdgesFrom(key);
      for (const [type, source] of image.rowOf(image.in, ordinal)) {
        this.store.deleteEdge(image.keyOf(source), type, key);
      }
      this.store.deleteNode(key);
      // Keys are never reused, also not the highest one after loading from rows.
      if (key === image.nextKey - 1) this.store.setNextKey(key + 1);
      this.#removeNode(ordinal, true);
      this.#log.gone(key);
      this.#options.onNodeChange(key);
      return true;
    });
  }

  /** Deletes one edge, or with no type all from `source` to `target`; false when there is none. */
  deleteEdge(source: string, target: string, type: string | undefined): boolean {
    return this.#atomic(() => {
      const from = this.image.ids.ordinalOf(source);
      const to = this.image.ids.ordinalOf(target);
      if (from === -1 || to === -1) return false;
      const key = type === undefined ? undefined : this.edgeTypes.keyOf(type);
      if (type !== undefined && key === undefined) return false;
      const types = key === undefined ? [...this.edgeTypes.names.keys()] : [key];
      let deleted = false;
      for (const candidate of types) deleted = this.#deleteEdge(from, candidate, to) || deleted;
      return deleted;
    });
  }

  /** Runs `f` at one state of the database. */
  #consistently(f: () => void): void {
    if (this.store.inTransaction) f();
    else this.#options.db.transaction(f).deferred();
  }

  #deleteEdge(source: number, type: number, target: number): boolean {
    const { image } = this;
    const before = image.edgeColumns(source, type, target);
    if (before === undefined) return false;
    this.store.deleteEdge(image.keyOf(source), type, image.keyOf(target));
    image.removeEdge(source, type, target);
    this.#undo.add(() => image.putEdge(source, type, target, before));
    this.#log.cut(image.keyOf(source), type, image.keyOf(target));
    return true;
  }

  #outermost<T>(f: () => T): T {
    // A caller's own transaction on a shared handle becomes the outer one.
    const joined = this.store.inTransaction;
    if (joined) this.store.savepoint();
    else this.store.begin();
    try {
      this.#depth = 1;
      if (joined || this.#mayBeBehind()) this.#catchUp();
      const result = synchronous(f());
      this.#appendLog();
      if (joined) this.store.releaseSavepoint();
      else this.store.commit();
      return result;
    } catch (failure) {
      if (joined) this.store.rollbackToSavepoint();
      else this.store.rollback();
      this.#rollBackTo(0);
      this.#log.clear();
      throw failure;
    } finally {
      this.#depth = 0;
      this.#undo.clear();
    }
  }

  #nested<T>(f: () => T): T {
    const undo = this.#undo.length;
    const log = this.#log.mark();
    this.store.savepoint();
    this.#depth++;
    try {
      const result = synchronous(f());
      this.store.releaseSavepoint();
      return result;
    } catch (failure) {
      this.store.rollbackToSavepoint();
      this.#rollBackTo(undo);
      this.#log.resetTo(log);
      throw failure;
    } finally {
      this.#depth--;
    }
  }

  #rollBackTo(length: number): void {
    this.#undo.rollbackTo(length, (source, type, target) => this.image.removeEdge(source, type, target));
  }

  #appendLog(): void {
    if (this.#log.isEmpty) return;
    let at = this.#at;
    for (const data of this.#log.take()) {
      at = { seq: at.seq + 1, total: at.total + data.length, chain: crc32(data, at.chain) };
      this.store.appendChange(at, data);
    }
    const before = this.#at;
    this.#at = at;
    this.#undo.add(() => {
      this.#at = before;
    });
  }

  #createdAtMs(ordinal: number): number {
    return ordinal === -1 ? this.#options.now() : this.store.createdAtMs(this.image.keyOf(ordinal));
  }

  #ensureNode(id: string): number {
    const ordinal = this.image.ids.ordinalOf(id);
    if (ordinal !== -1) return ordinal;
    const row = {
      id,
      type: 0,
      confidence: 1,
      createdAtMs: this.#options.now(),
      content: null,
      metadata: null,
      embedding: null,
    };
    this.image.reserve(this.image.ordinals + 1, 0);
    this.store.insertNode(this.image.nextKey, row);
    return this.#addNode(id, 0, 1);
  }

  #addNode(id: string, type: number, confidence: number): number {
    const { image } = this;
    this.#log.node(image.nextKey, type, confidence, id);
    const ordinal = image.addNode(id, type, confidence);
    this.#undo.add(() => image.removeLastNode());
    return ordinal;
  }

  #updateNode(ordinal: number, type: number, confidence: number): void {
    const { image } = this;
    const key = image.keyOf(ordinal);
    const typeBefore = image.nodeTypes[ordinal]!;
    const confidenceBefore = image.confidenceOf(ordinal);
    this.#options.onNodeChange(key);
    if (typeBefore === type && confidenceBefore === confidence) {
      this.#log.touch(key);
      return;
    }
    this.#log.node(key, type, confidence, image.ids.idOf(ordinal));
    image.setNode(ordinal, type, confidence);
    this.#undo.add(() => {
      image.setNode(ordinal, typeBefore, confidenceBefore);
      this.#options.onNodeChange(key);
    });
  }

  /** Removes a node and its edges from the image. From the last edge to the first: no row moves twice. */
  #removeNode(ordinal: number, undoable: boolean): void {
    const { image } = this;
    for (const [type, target] of image.rowOf(image.out, ordinal).toReversed()) {
      this.#dropEdge(ordinal, type, target, undoable);
    }
    for (const [type, source] of image.rowOf(image.in, ordinal).toReversed()) {
      this.#dropEdge(source, type, ordinal, undoable);
    }
    image.removeNode(ordinal);
    if (undoable) this.#undo.add(() => image.restoreNode(ordinal));
  }

  #dropEdge(source: number, type: number, target: number, undoable: boolean): void {
    const { image } = this;
    const columns = image.edgeColumns(source, type, target) ?? PLAIN_EDGE;
    image.removeEdge(source, type, target);
    if (undoable) this.#undo.add(() => image.putEdge(source, type, target, columns));
  }

  #intern(of: 'node' | 'edge', name: string): number {
    const table = of === 'node' ? this.nodeTypes : this.edgeTypes;
    const known = table.keyOf(name);
    if (known !== undefined) return known;
    const key = table.count;
    if (of === 'edge') this.image.reserve(this.image.ordinals, key + 1);
    this.store.addType(of, key, name);
    table.set(key, name);
    this.#undo.add(() => table.truncate(key));
    this.#log.kind(of, key, name);
    return key;
  }

  // Catching up.

  /** False only when nobody else can have committed since the last look. */
  #mayBeBehind(): boolean {
    if (this.#options.sharedHandle) return true;
    const version = this.store.dataVersion();
    if (version === this.#dataVersion) return false;
    this.#dataVersion = version;
    return true;
  }

  #catchUp(): number {
    const last = this.store.lastChange();
    if (last.seq === this.#at.seq && last.chain === this.#at.chain) return 0;
    const known = this.store.changeAt(this.#at.seq);
    if (last.seq < this.#at.seq || known?.chain !== this.#at.chain) {
      // A shared handle's owner rolled back what we joined, or the log no longer reaches back to our state.
      this.#consistently(() => this.#loadRows());
      return 1;
    }
    let changes = 0;
    for (const row of this.store.changesAfter(this.#at.seq)) {
      changes += readChanges(row.data, this.#sink);
      this.#at = { seq: row.seq, total: row.total, chain: row.chain };
    }
    this.foreignChanges += changes;
    return changes;
  }

  #imageSink(): ChangeSink {
    return {
      node: (key, type, confidence, id) => {
        const ordinal = this.image.ordinalOfKey(key);
        if (ordinal === -1) {
          this.#fillHolesBefore(key);
          this.image.addNode(id, type, confidence);
        } else {
          this.image.setNode(ordinal, type, confidence);
          this.#options.onNodeChange(key);
        }
      },
      gone: (key) => {
        this.#removeNode(this.image.ordinalOfKey(key), false);
        this.#options.onNodeChange(key);
      },
      edge: (source, type, target, columns) => {
        const { image } = this;
        image.putEdge(image.ordinalOfKey(source), type, image.ordinalOfKey(target), columns ?? PLAIN_EDGE);
      },
      cut: (source, type, target) => {
        this.image.removeEdge(this.image.ordinalOfKey(source), type, this.image.ordinalOfKey(target));
      },
      kind: (of, key, name) => {
        (of === 'node' ? this.nodeTypes : this.edgeTypes).set(key, name);
        if (of === 'edge') this.image.reserve(this.image.ordinals, key + 1);
      },
      touch: (key) => this.#options.onNodeChange(key),
    };
  }

  #fillHolesBefore(key: number): void {
    while (this.image.nextKey < key) this.image.addHole();
  }

  /** Builds the image from the tables. */
  #loadRows(): void {
    this.image = new GraphImage();
    this.rebuilds++;
    this.nodeTypes.truncate(0);
    this.edgeTypes.truncate(0);
    for (const { key, name } of this.store.types('node')) this.nodeTypes.set(key, name);
    for (const { key, name } of this.store.types('edge')) this.edgeTypes.set(key, name);
    this.image.reserve(0, this.edgeTypes.count);
    for (const [key, id, type, confidence] of this.store.scanNodes()) {
      this.#fillHolesBefore(key);
      this.image.addNode(id, type, confidence);
    }
    this.#fillHolesBefore(this.store.nextKey());
    for (const [source, type, target, weight, from, to] of this.store.scanEdges()) {
      const plain = weight === null && from === null && to === null;
      this.image.putEdge(
        source,
        type,
        target,
        plain
          ? PLAIN_EDGE
          : { weight: weight ?? 1, validFromMs: from ?? -Infinity, validToMs: to ?? Infinity },
      );
    }
    this.#at = this.store.lastChange();
  }
}

function synchronous<T>(result: T): T {
  if (typeof (result as { then?: unknown } | undefined)?.then === 'function') {
    throw new TypeError('a transaction must be synchronous, its function returned a promise');
  }
  return result;
}
