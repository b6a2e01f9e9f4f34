// The database and its image in memory, kept equal.
//
//   write    BEGIN IMMEDIATE -> catch up with other writers -> rows + image + change record -> log row -> COMMIT
//   read     did anybody commit? -> apply the log rows since ours to the image
//   failure  ROLLBACK -> undo the image step by step
//
// Invariant: outside a transaction the image is the state after log row `at`. Nobody can commit between our BEGIN
// IMMEDIATE and our COMMIT, so inside a transaction the image is that state plus our own changes.

import { channel as diagnosticsChannel } from 'node:diagnostics_channel';
import { setImmediate as turn } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import type { Database } from '@perf/sqlite';
import { ChangeWriter, readChanges } from './change-log.ts';
import type { ChangeSink } from './change-log.ts';
import { PLAIN_EDGE } from './adjacency.ts';
import type { EdgeColumns } from './adjacency.ts';
import { CommitProbe } from './commit-probe.ts';
import { compactionSteps } from './compaction.ts';
import { EdgeBatch } from './edge-batch.ts';
import type { EdgeExtras } from './edge-batch.ts';
import { GraphError } from './errors.ts';
import { GraphImage } from './graph-image.ts';
import type { NodeOrder } from './graph-image.ts';
import { imageFromRows } from './image-from-rows.ts';
import { checkEdge, checkNode, metadataText } from './inputs.ts';
import type { EdgeInput, NodeInput } from './inputs.ts';
import { SnapshotFile, SnapshotUnusable, writeSnapshot, writeSnapshotInPieces } from './snapshot.ts';
import type { SnapshotProblem } from './snapshot.ts';
import { LogRetention } from './log-retention.ts';
import { LOG_START, Store } from './store.ts';
import type { LogRow } from './store.ts';
import type { Direction } from './traverse-options.ts';
import { TypeTable } from './type-table.ts';
import { UndoLog } from './undo-log.ts';

/** Why the image was built from rows. `'missing'`: there was no snapshot, as at the first opening. */
export type RebuildReason = SnapshotProblem | 'diverged';

/** A snapshot that lacks less log than this share of a byte per edge is not written again at close. */
const SNAPSHOT_LAG = 8;
/** Work of a compaction in one turn of the event loop. */
const TURN_MS = 1.5;
const MIN_GARBAGE_WORDS = 65_536;
/** Garbage per word in use. Moved rows cost memory; searches do not meet what they left behind. */
const GARBAGE_SHARE = 1;

/** Plain edges written with one call to the store: three numbers each. */
const PLAIN_TRIPLES = 3 * 64;

const channel = diagnosticsChannel('perf:graph:rebuild');
const failures = diagnosticsChannel('perf:graph:snapshot-failure');

export interface LiveGraphOptions {
  readonly db: Database;
  /** The handle belongs to the caller, who may write through it and roll back around us. */
  readonly sharedHandle: boolean;
  readonly now: () => number;
  readonly changeLogBytes: number;
  readonly maxStalenessMs: number;
  /** Where the snapshot is; undefined for none. */
  readonly snapshotPath: string | undefined;
  /** A node's row may differ from what was read before; undefined: any row. */
  readonly onNodeChange: (key: number | undefined) => void;
  /** After each commit of ours. */
  readonly onCommit: () => void;
}

export class LiveGraph {
  readonly store: Store;
  readonly edgeTypes: TypeTable = new TypeTable();
  readonly nodeTypes: TypeTable = new TypeTable();
  image: GraphImage = new GraphImage();
  /** Times the image was built from rows, by reason. */
  readonly rebuilds: Record<RebuildReason, number> = {
    missing: 0,
    corrupt: 0,
    stale: 0,
    foreign: 0,
    diverged: 0,
  };
  snapshotLoads = 0;
  snapshotWrites = 0;
  snapshotFailures = 0;
  compactions = 0;
  /** Changes of other connections that were applied. */
  foreignChanges = 0;

  readonly #options: LiveGraphOptions;
  readonly #log = new ChangeWriter();
  readonly #undo = new UndoLog();
  readonly #sink: ChangeSink;
  readonly #commits: CommitProbe;
  readonly #retention: LogRetention;
  #at: LogRow = LOG_START;
  #depth = 0;
  /** Edges of `putEdges` that are not written yet; there is one only while it runs. */
  #batch: EdgeBatch | undefined;
  #closed = false;
  #compaction: Promise<void> | undefined;
  /** Log rows since a compaction began. */
  #journal: Buffer[] | undefined;
  #snapshotFile: SnapshotFile | undefined;
  /** The point of the log from which the snapshot on disk is brought up to date. */
  #snapshotAt: LogRow | undefined;

  constructor(options: LiveGraphOptions) {
    this.#options = options;
    this.store = new Store(options.db);
    this.#retention = new LogRetention(this.store, options.changeLogBytes);
    this.#sink = this.#sinkFor(() => this.image);
    this.#commits = options.sharedHandle
      ? new CommitProbe(this.store, undefined, 0)
      : new CommitProbe(this.store, options.db.memory ? 'memory' : options.db.name, options.maxStalenessMs);
    this.#consistently(() => this.#load());
  }

  /** The last row of the change log that the image contains. */
  get at(): LogRow {
    return this.#at;
  }

  /** Grows with every change of the image and of its ordinals. */
  get epoch(): number {
    return this.#at.seq + this.compactions + this.rebuilds.diverged;
  }

  get inTransaction(): boolean {
    return this.#depth > 0;
  }

  /** Before a read: applies what other connections committed, if it may be that they did. */
  freshen(): void {
    if (this.#depth > 0) this.#flushBatch();
    else if (this.#commits.mayHaveHappened()) this.#catchUp();
  }

  /** Applies what other connections committed; returns the number of changes. Cost proportional to them. */
  refresh(): number {
    return this.#depth > 0 ? 0 : this.#catchUp();
  }

  /** Runs `f` in one transaction; a nested call is a savepoint. Whatever `f` throws rolls its changes back. */
  transaction<T>(f: () => T): T {
    return this.#depth === 0 ? this.#outermost(f) : this.#nested(f);
  }

  /** A single put or delete: a transaction of its own, or part of the open one without the price of a savepoint. */
  #atomic<T>(f: () => T): T {
    if (this.#depth === 0) return this.#outermost(f);
    this.#flushBatch();
    return f();
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
    const extras = extrasOf(edge);
    this.#atomic(() => {
      const source = this.#ensureNode(edge.source);
      const target = this.#ensureNode(edge.target);
      const type = this.#intern('edge', edge.type);
      const { columns, metadata } = extras ?? { columns: PLAIN_EDGE, metadata: null };
      this.store.upsertEdge(this.image.keyOf(source), type, this.image.keyOf(target), columns, metadata);
      this.#putEdge(source, type, target, columns);
    });
  }

  /** Puts many edges, in an order that suits the table. Returns how many. */
  putEdges(edges: Iterable<EdgeInput>): number {
    return this.transaction(() => {
      let count = 0;
      for (const edge of edges) {
        const extras = extrasOf(edge);
        const source = this.#ensureNode(edge.source);
        const target = this.#ensureNode(edge.target);
        const type = this.#intern('edge', edge.type);
        const batch = (this.#batch ??= new EdgeBatch());
        const { image } = this;
        if (batch.isFull || !batch.fits(image.nextKey, this.edgeTypes.count)) {
          this.#flushBatch();
          if (!batch.fits(image.nextKey, this.edgeTypes.count)) {
            this.putEdge(edge);
            count++;
            continue;
          }
        }
        batch.add(image.keyOf(source), type, image.keyOf(target), extras);
        count++;
      }
      this.#flushBatch();
      return count;
    });
  }

  /** Writes what `putEdges` has collected. Before any read or other write of the same transaction. */
  #flushBatch(): void {
    const batch = this.#batch;
    if (batch === undefined || batch.isEmpty) return;
    const { image, store } = this;
    const plain: number[] = [];
    batch.drain((source, type, target, extras) => {
      if (extras === undefined) {
        plain.push(source, type, target);
        if (plain.length === PLAIN_TRIPLES) store.upsertPlainEdges(plain.splice(0));
      } else {
        store.upsertEdge(source, type, target, extras.columns, extras.metadata);
      }
      const columns = extras?.columns ?? PLAIN_EDGE;
      this.#putEdge(image.ordinalOfKey(source), type, image.ordinalOfKey(target), columns);
    });
    store.upsertPlainEdges(plain);
  }

  /** The memory half of a put: image, undo, log. */
  #putEdge(source: number, type: number, target: number, columns: EdgeColumns): void {
    const { image } = this;
    const before = image.putEdge(source, type, target, columns);
    if (before === undefined) this.#undo.newEdge(source, type, target);
    else this.#undo.add(() => image.putEdge(source, type, target, before));
    this.#log.edge(image.keyOf(source), type, image.keyOf(target), columns);
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
      removeNodeFrom(image, ordinal, this.#undo);
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
    let result: T;
    let rows: readonly Buffer[];
    try {
      this.#depth = 1;
      this.#catchUp();
      this.ensure('both');
      result = synchronous(f());
      rows = this.#appendLog();
      if (joined) this.store.releaseSavepoint();
      else this.store.commit();
    } catch (failure) {
      this.#batch?.clear();
      if (joined) this.store.rollbackToSavepoint();
      else this.store.rollback();
      this.#rollBackTo(0);
      this.#log.clear();
      throw failure;
    } finally {
      this.#depth = 0;
      this.#undo.clear();
      this.#batch = undefined;
    }
    if (rows.length > 0) {
      this.#journal?.push(...rows);
      this.#compactWhenWorthIt();
      this.#options.onCommit();
    }
    return result;
  }

  #nested<T>(f: () => T): T {
    this.#flushBatch();
    const undo = this.#undo.length;
    const log = this.#log.mark();
    this.store.savepoint();
    this.#depth++;
    try {
      const result = synchronous(f());
      this.#flushBatch();
      this.store.releaseSavepoint();
      return result;
    } catch (failure) {
      this.#batch?.clear();
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

  #appendLog(): readonly Buffer[] {
    if (this.#log.isEmpty) return [];
    const before = this.#at;
    this.#undo.add(() => {
      this.#at = before;
    });
    const rows = this.#log.take();
    for (const data of rows) {
      const { seq, total, chain } = this.#at;
      this.#at = { seq: seq + 1, total: total + data.length, chain: crc32(data, chain) };
      this.store.appendChange(this.#at, data);
    }
    this.#retention.afterAppend(this.#at);
    return rows;
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
    this.#undo.add(() => {
      image.removeLastNode();
      this.#options.onNodeChange(image.nextKey);
    });
    return ordinal;
  }

  #updateNode(ordinal: number, type: number, confidence: number): void {
    const { image } = this;
    const key = image.keyOf(ordinal);
    const typeBefore = image.nodeTypes[ordinal]!;
    const confidenceBefore = image.confidenceOf(ordinal);
    this.#options.onNodeChange(key);
    this.#undo.add(() => this.#options.onNodeChange(key));
    if (typeBefore === type && confidenceBefore === confidence) {
      this.#log.touch(key);
      return;
    }
    this.#log.node(key, type, confidence, image.ids.idOf(ordinal));
    image.setNode(ordinal, type, confidence);
    this.#undo.add(() => image.setNode(ordinal, typeBefore, confidenceBefore));
  }

  #intern(of: 'node' | 'edge', name: string): number {
    const table = of === 'node' ? this.nodeTypes : this.edgeTypes;
    const known = table.keyOf(name);
    if (known !== undefined) return known;
    const key = table.count;
    if (of === 'node') GraphImage.checkNodeTypes(key + 1);
    if (of === 'edge') this.image.reserve(this.image.ordinals, key + 1);
    this.store.addType(of, key, name);
    table.set(key, name);
    this.#undo.add(() => table.truncate(key));
    this.#log.kind(of, key, name);
    return key;
  }

  // Catching up.

  #catchUp(): number {
    const last = this.store.lastChange();
    if (last.seq === this.#at.seq && last.chain === this.#at.chain) return 0;
    this.ensure('both');
    const changes = last.seq > this.#at.seq ? this.#applyLog() : undefined;
    if (changes !== undefined) {
      this.foreignChanges += changes;
      return changes;
    }
    // A shared handle's owner rolled back what we joined, or the log no longer reaches back to our state.
    this.#consistently(() => this.#loadRows('diverged'));
    return 1;
  }

  /** Applies the log from our state on; undefined when it is not the continuation of our state. */
  #applyLog(): number | undefined {
    let changes = 0;
    for (const { seq, total, chain, data } of this.store.changesAfter(this.#at.seq)) {
      if (seq !== this.#at.seq + 1 || crc32(data, this.#at.chain) !== chain) return undefined;
      changes += readChanges(data, this.#sink);
      this.#at = { seq, total, chain };
      this.#journal?.push(data);
    }
    return changes;
  }

  #sinkFor(image: () => GraphImage): ChangeSink {
    return {
      node: (key, type, confidence, id) => {
        const ordinal = image().ordinalOfKey(key);
        if (ordinal === -1) {
          fillHolesBefore(image(), key);
          image().addNode(id, type, confidence);
        } else {
          image().setNode(ordinal, type, confidence);
          this.#options.onNodeChange(key);
        }
      },
      gone: (key) => {
        removeNodeFrom(image(), ordinalIn(image(), key));
        this.#options.onNodeChange(key);
      },
      edge: (source, type, target, columns) => {
        image().putEdge(ordinalIn(image(), source), type, ordinalIn(image(), target), columns ?? PLAIN_EDGE);
      },
      cut: (source, type, target) => {
        image().removeEdge(ordinalIn(image(), source), type, ordinalIn(image(), target));
      },
      kind: (of, key, name) => {
        (of === 'node' ? this.nodeTypes : this.edgeTypes).set(key, name);
        if (of === 'edge') image().reserve(image().ordinals, key + 1);
      },
      touch: (key) => this.#options.onNodeChange(key),
    };
  }

  // Loading.

  /** Makes sure that a side is in memory; a snapshot reads its sides late. */
  ensure(direction: Direction): void {
    if (this.image.has('out') && this.image.has('in')) return;
    try {
      if (direction !== 'in') void this.image.out;
      if (direction !== 'out') void this.image.in;
    } catch (failure) {
      if (!(failure instanceof SnapshotUnusable)) throw failure;
      this.#closeSnapshot();
      this.#consistently(() => this.#loadRows(failure.problem));
    }
  }

  #load(): void {
    try {
      if (this.#options.snapshotPath === undefined)
        throw new SnapshotUnusable('missing', 'snapshots are off');
      this.#loadSnapshot(this.#options.snapshotPath);
    } catch (failure) {
      if (!(failure instanceof SnapshotUnusable)) throw failure;
      this.#closeSnapshot();
      this.#loadRows(failure.problem);
    }
  }

  #loadSnapshot(path: string): void {
    const file = SnapshotFile.open(path);
    this.#snapshotFile = file;
    const { identity, redoFrom, upTo } = file.point;
    const last = this.store.lastChange();
    if (identity !== this.store.identity()) throw new SnapshotUnusable('foreign', 'of another database');
    if (upTo.seq > last.seq) throw new SnapshotUnusable('foreign', 'newer than the database');
    const known = upTo.seq === last.seq ? last : this.store.changeAt(upTo.seq);
    if (redoFrom.seq < last.seq && this.store.oldestChange() > redoFrom.seq + 1) {
      throw new SnapshotUnusable('stale', 'the log no longer reaches back to it');
    }
    if (known?.chain !== upTo.chain) throw new SnapshotUnusable('foreign', 'of another past of the database');
    this.#loadTypes();
    this.image = file.image();
    this.image.reserve(this.image.ordinals, this.edgeTypes.count);
    this.#at = redoFrom;
    this.#snapshotAt = redoFrom;
    this.snapshotLoads++;
    if (redoFrom.seq === last.seq) return;
    this.ensure('both');
    if (this.#applyLog() === undefined)
      throw new SnapshotUnusable('foreign', 'of another past of the database');
  }

  #closeSnapshot(): void {
    this.#snapshotFile?.close();
    this.#snapshotFile = undefined;
  }

  #loadTypes(): void {
    this.nodeTypes.truncate(0);
    this.edgeTypes.truncate(0);
    for (const { key, name } of this.store.types('node')) this.nodeTypes.set(key, name);
    for (const { key, name } of this.store.types('edge')) this.edgeTypes.set(key, name);
  }

  /** Builds the image from the tables. */
  #loadRows(reason: RebuildReason): void {
    this.#loadTypes();
    this.#options.onNodeChange(undefined);
    this.image = imageFromRows(this.store, this.edgeTypes.count);
    this.#at = this.store.lastChange();
    this.rebuilds[reason]++;
    if (channel.hasSubscribers) channel.publish({ reason, nodes: this.image.nodes, edges: this.image.edges });
  }

  // Compaction and snapshots.

  /**
   * Builds a dense image in slices of the event loop, writes the snapshot from it, applies what happened meanwhile
   * and takes it into use. Ordinals change.
   */
  async compact(): Promise<void> {
    await this.#startCompaction(true);
  }

  async #startCompaction(keepsProcessAlive: boolean): Promise<void> {
    this.#compaction ??= this.#compact(keepsProcessAlive).finally(() => {
      this.#compaction = undefined;
      this.#journal = undefined;
    });
    await this.#compaction;
  }

  async #compact(ref: boolean): Promise<void> {
    this.ensure('both');
    const old = this.image;
    const redoFrom = this.#at;
    const journal: Buffer[] = [];
    this.#journal = journal;
    const isOver = (): boolean => this.#closed || this.image !== old;
    const image = await inSlices(compactionSteps(old, orderFor(old)), isOver, ref);
    if (image === undefined || isOver()) return;
    const { snapshotPath } = this.#options;
    if (snapshotPath !== undefined) {
      const point = { identity: this.store.identity(), redoFrom, upTo: this.#at };
      await writeSnapshotInPieces(snapshotPath, image, point).then(
        () => this.#snapshotWritten(redoFrom),
        (failure: unknown) => this.#snapshotFailed(failure),
      );
    }
    const sink = this.#sinkFor(() => image);
    for (let turnEndsAt = performance.now() + TURN_MS; journal.length > 0;) {
      readChanges(journal.shift()!, sink);
      if (performance.now() < turnEndsAt) continue;
      await turn(undefined, { ref });
      turnEndsAt = performance.now() + TURN_MS;
    }
    if (isOver()) return;
    this.image = image;
    this.compactions++;
  }

  /** Whether rows that moved are worth a compaction. */
  get #wantsCompaction(): boolean {
    const { image } = this;
    if (this.#compaction !== undefined || !image.has('out') || !image.has('in')) return false;
    const garbage = image.out.garbageWords + image.in.garbageWords;
    return garbage > MIN_GARBAGE_WORDS && garbage > image.edges * 2 * GARBAGE_SHARE;
  }

  /** Writes the snapshot when enough has changed since the last, and lets go of the files. */
  close(): void {
    this.#closed = true;
    try {
      this.#writeLastSnapshot();
    } finally {
      this.#closeSnapshot();
      this.#commits.close();
    }
  }

  #writeLastSnapshot(): void {
    const { snapshotPath } = this.#options;
    if (snapshotPath === undefined) return;
    if (this.#snapshotAt !== undefined) {
      const behindBytes = this.#at.total - this.#snapshotAt.total;
      if (behindBytes === 0 || behindBytes * SNAPSHOT_LAG < this.image.edges) return;
    }
    this.ensure('both');
    const image = toEnd(compactionSteps(this.image, orderFor(this.image)));
    const point = { identity: this.store.identity(), redoFrom: this.#at, upTo: this.#at };
    try {
      writeSnapshot(snapshotPath, image, point);
      this.#snapshotWritten(this.#at);
    } catch (failure) {
      this.#snapshotFailed(failure);
    }
  }

  #snapshotWritten(at: LogRow): void {
    this.#snapshotAt = at;
    this.snapshotWrites++;
  }

  /** A snapshot only saves time: a full disk or a read-only folder is counted and told, and nothing else. */
  #snapshotFailed(error: unknown): void {
    this.snapshotFailures++;
    if (failures.hasSubscribers) failures.publish({ path: this.#options.snapshotPath, error });
  }

  #compactWhenWorthIt(): void {
    if (!this.#wantsCompaction) return;
    setImmediate(() => {
      if (!this.#closed) this.#startCompaction(false).catch((error: unknown) => this.#snapshotFailed(error));
    }).unref();
  }
}

/** A hub-first order shortens searches of big graphs; small ones fit the cache anyway. */
const REORDER_FROM_EDGES = 100_000;

function orderFor(image: GraphImage): NodeOrder {
  return image.edges >= REORDER_FROM_EDGES || image.nodeOrder === 'in-degree' ? 'in-degree' : 'key';
}

async function inSlices<T>(
  steps: Generator<void, T>,
  isOver: () => boolean,
  ref: boolean,
): Promise<T | undefined> {
  for (let turnEndsAt = performance.now() + TURN_MS; ;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    if (performance.now() < turnEndsAt) continue;
    await turn(undefined, { ref });
    if (isOver()) return undefined;
    turnEndsAt = performance.now() + TURN_MS;
  }
}

function toEnd<T>(steps: Generator<void, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

function fillHolesBefore(image: GraphImage, key: number): void {
  while (image.nextKey < key) image.addHole();
}

function ordinalIn(image: GraphImage, key: number): number {
  const ordinal = image.ordinalOfKey(key);
  if (ordinal === -1)
    throw new GraphError('ERR_PERF_GRAPH_CORRUPT', `the change log names the unknown node ${key}`);
  return ordinal;
}

/** Removes a node and its edges. From the last edge to the first, so that no part of a row moves twice. */
function removeNodeFrom(image: GraphImage, ordinal: number, undo?: UndoLog): void {
  for (const [type, target] of image.rowOf(image.out, ordinal).toReversed()) {
    dropEdge(image, ordinal, type, target, undo);
  }
  for (const [type, source] of image.rowOf(image.in, ordinal).toReversed()) {
    dropEdge(image, source, type, ordinal, undo);
  }
  if (!image.isAlive(ordinal)) return;
  image.removeNode(ordinal);
  undo?.add(() => image.restoreNode(ordinal));
}

function dropEdge(
  image: GraphImage,
  source: number,
  type: number,
  target: number,
  undo: UndoLog | undefined,
): void {
  const columns = image.edgeColumns(source, type, target) ?? PLAIN_EDGE;
  image.removeEdge(source, type, target);
  undo?.add(() => image.putEdge(source, type, target, columns));
}

/** What an edge carries beyond its ends and type; undefined for nothing, which most edges carry. */
function extrasOf(edge: EdgeInput): EdgeExtras | undefined {
  checkEdge(edge);
  const { weight, validFromMs, validToMs, metadata } = edge;
  if (
    metadata === undefined &&
    weight === undefined &&
    validFromMs === undefined &&
    validToMs === undefined
  ) {
    return undefined;
  }
  const columns = {
    weight: weight ?? 1,
    validFromMs: validFromMs ?? -Infinity,
    validToMs: validToMs ?? Infinity,
  };
  return { columns, metadata: metadataText(metadata) };
}

function synchronous<T>(result: T): T {
  if (typeof (result as { then?: unknown } | undefined)?.then === 'function') {
    throw new TypeError('a transaction must be synchronous, its function returned a promise');
  }
  return result;
}
