// The face of the package: checks what callers hand in, keeps the image fresh, and calls the room that does the work.

import type { Database } from '@perf/sqlite';
import { GraphError } from './errors.ts';
import { sidesOf } from './expand.ts';
import type { GraphImage } from './graph-image.ts';
import { checkId, checkType } from './inputs.ts';
import type { EdgeInput, GraphEdge, GraphNode, Json, NodeInput } from './inputs.ts';
import { LiveGraph } from './live-graph.ts';
import type { RebuildReason } from './live-graph.ts';
import { NodeReader } from './node-reader.ts';
import type { CacheStats } from './node-reader.ts';
import { planTraversal } from './planner.ts';
import type { TraversePlan } from './planner.ts';
import { ensureTables, openGraphFile } from './schema.ts';
import { ScratchPool } from './scratch-pool.ts';
import { matchExpression } from './search.ts';
import type { SearchOptions } from './search.ts';
import { fewestHops, leastWeight } from './shortest-path.ts';
import type { OrdinalPath } from './shortest-path.ts';
import { QueryLog } from './query-log.ts';
import type { QueryStats } from './query-log.ts';
import type { EdgeRow } from './store.ts';
import { cacheKey, MIN_CACHED_VISITS, TraversalCache } from './traversal-cache.ts';
import type { Dependencies } from './traversal-cache.ts';
import { degreeStatistics, sizeAlerts } from './degree-statistics.ts';
import type { DegreeStatistics, SizeAlert } from './degree-statistics.ts';
import { passes, streamNodes } from './stream.ts';
import { budgetOf, chooseNodes, eachNeighbour } from './subgraph.ts';
import type { SubgraphOptions } from './subgraph.ts';
import { breadthFirst, depthFirst, Traversal } from './traversal.ts';
import type { Found, Select, TraversalSource } from './traversal.ts';
import { checkDepth, selectionOf, walkOf } from './traverse-options.ts';
import type { Direction, Selection, TraverseOptions, Walk } from './traverse-options.ts';

export type { TraversePlan } from './planner.ts';

export interface GraphOptions {
  /** A file, `':memory:'`, or an open database, which stays its owner's to close. */
  readonly path: string | Database;
  /** What a commit survives; only for a path. Default `'process-crash'`. */
  readonly durability?: 'process-crash' | 'power-loss' | undefined;
  /** Whether `<path>.csr` is kept next to the file, so that opening needs no row per edge. Default true. */
  readonly snapshot?: boolean | undefined;
  /** How much of the change log is kept for processes and snapshots that are behind. Default 64 MiB. */
  readonly changeLogBytes?: number | undefined;
  /**
   * A read sees every commit of another process that was over this long before it began. 0 looks at every read, for
   * about a microsecond each. Default 0.005, less than a commit takes.
   */
  readonly maxStalenessMs?: number | undefined;
  /** Memory for the caches of nodes and of traversals, half each. 0 turns them off. Default 16 MiB. */
  readonly cacheBytes?: number | undefined;
  readonly clock?: { now(): number } | undefined;
}

export interface NeighborOptions {
  readonly direction?: Direction | undefined;
  readonly edgeTypes?: readonly string[] | undefined;
  readonly validAtMs?: number | undefined;
}

export interface PathOptions extends NeighborOptions {
  /** Least sum of weights instead of fewest edges. Default false. */
  readonly weighted?: boolean | undefined;
  /** Edges at most; for unweighted paths. Default 65,535. */
  readonly maxDepth?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Path {
  readonly ids: readonly string[];
  /** One per hop, as stored: for direction `'in'` and `'both'` an edge may point against the path. */
  readonly edges: readonly {
    readonly source: string;
    readonly target: string;
    readonly type: string;
    readonly weight: number;
  }[];
  /** Number of edges, or the sum of their weights when `weighted`. */
  readonly cost: number;
}

export interface StreamOptions extends TraverseOptions {
  /** Nodes per batch, 1 to 65,536. Default 256. */
  readonly batchSize?: number | undefined;
}

export interface Subgraph {
  /** Best first. */
  readonly nodes: readonly GraphNode[];
  /** Every edge between two of the nodes. */
  readonly edges: readonly GraphEdge[];
  readonly tokens: number;
  /** Whether something was reached that did not fit the budget. */
  readonly truncated: boolean;
}

export interface GraphStats {
  readonly nodes: number;
  readonly edges: number;
  readonly epoch: number;
  readonly nodeTypes: readonly string[];
  readonly edgeTypes: readonly string[];
  /** The image in memory: adjacency, ids, types, confidences. */
  readonly sizeBytes: number;
  /** Adjacency alone, both directions, over the number of edges; 0 for no edges. */
  readonly bytesPerEdge: number;
  readonly degrees: DegreeStatistics;
  /** What has outgrown its limit, with advice; also published on `perf:graph:alert`. */
  readonly alerts: readonly SizeAlert[];
  readonly queries: QueryStats;
  readonly caches: { readonly nodes: CacheStats; readonly traversals: CacheStats };
  /** Share of the adjacency that is left behind by rows that moved; what compaction gives back. */
  readonly garbageShare: number;
  /** Times the image was built from rows, by reason; the first opening of a file is `'missing'`. */
  readonly rebuilds: Readonly<Record<RebuildReason, number>>;
  readonly snapshotLoads: number;
  readonly snapshotWrites: number;
  /** Snapshots that could not be written. */
  readonly snapshotFailures: number;
  readonly compactions: number;
  /** Changes of other connections that were applied. */
  readonly foreignChanges: number;
}

const DEFAULT_BATCH_SIZE = 256;
const MAX_BATCH_SIZE = 65_536;
const DEFAULT_SEARCH_LIMIT = 20;
const DEFAULT_STALENESS_MS = 0.005;
const DEFAULT_CACHE_BYTES = 16 * 1024 * 1024;
const DEFAULT_CHANGE_LOG_BYTES = 64 * 1024 * 1024;
const SEARCH_PAGE = 256;
const EDGES_PER_PAGE = 1_024;

/** A graph in SQLite, walked in memory. All calls but `stream` and `compact` are synchronous. */
export class Graph implements Disposable {
  readonly #db: Database;
  readonly #ownsDb: boolean;
  readonly #live: LiveGraph;
  readonly #nodes: NodeReader;
  readonly #cache: TraversalCache | undefined;
  readonly #log = new QueryLog();
  readonly #pool = new ScratchPool();
  readonly #source: TraversalSource;
  #closed = false;
  /**
   * Whether a search wanted the side that a snapshot had not read yet. The next one reads it: the first answer of a
   * cold process is not to wait for it.
   */
  #missedSide = false;

  private constructor(db: Database, ownsDb: boolean, settings: Settings) {
    this.#db = db;
    this.#ownsDb = ownsDb;
    let reader: NodeReader | undefined;
    this.#live = new LiveGraph({
      db,
      sharedHandle: !ownsDb,
      now: settings.now,
      onNodeChange: (key) => {
        // Loading tells of changes before there is a reader.
        if (key === undefined) reader?.forgetAll();
        else reader?.forget(key);
      },
      onCommit: () => this.#log.checkSize(this.#live.image),
      changeLogBytes: settings.changeLogBytes,
      maxStalenessMs: settings.maxStalenessMs,
      snapshotPath: settings.snapshot && !db.memory ? `${db.name}.csr` : undefined,
    });
    reader = new NodeReader(this.#live.store, this.#live.nodeTypes, settings.cacheBytes / 2);
    this.#nodes = reader;
    if (settings.cacheBytes > 0) this.#cache = new TraversalCache(settings.cacheBytes / 2);
    this.#source = {
      readNodes: (image, ordinals) => this.#readNodes(image, ordinals),
      isCurrent: (image) => this.#live.image === image,
    };
  }

  /**
   * Opens a graph, making its tables when they are missing.
   * @throws {SqliteError} as `openDatabase` does: not a database, corrupt, locked, newer schema.
   * @throws {GraphError} ERR_PERF_GRAPH_NEWER_SCHEMA for a shared database written by a newer version.
   */
  static open(options: GraphOptions): Graph {
    const settings = settingsOf(options);
    const { path } = options;
    if (typeof path === 'string') {
      const db = openGraphFile(path, settings.durability);
      try {
        return new Graph(db, true, settings);
      } catch (failure) {
        db.close();
        throw failure;
      }
    }
    if (typeof path !== 'object' || path === null || typeof path.prepare !== 'function') {
      throw new TypeError('path must be a string or an open database');
    }
    ensureTables(path);
    return new Graph(path, false, settings);
  }

  // Writing.

  /** Inserts a node, or replaces what is known of it. Durable and visible when it returns. */
  putNode(node: NodeInput): void {
    this.#checkOpen();
    this.#live.putNode(node);
  }

  /** Inserts an edge or replaces what it carries. Missing ends are created with type `''`. */
  putEdge(edge: EdgeInput): void {
    this.#checkOpen();
    this.#live.putEdge(edge);
  }

  /** Puts all of them in one transaction: all or none. Returns how many. */
  putNodes(nodes: Iterable<NodeInput>): number {
    this.#checkOpen();
    checkIterable(nodes);
    return this.#live.transaction(() => {
      let count = 0;
      for (const node of nodes) {
        this.#live.putNode(node);
        count++;
      }
      return count;
    });
  }

  /** Puts all of them in one transaction: all or none. Returns how many. */
  putEdges(edges: Iterable<EdgeInput>): number {
    this.#checkOpen();
    checkIterable(edges);
    return this.#live.putEdges(edges);
  }

  /** Deletes a node and every edge at it. False when there is none. O(its edges). */
  deleteNode(id: string): boolean {
    this.#checkOpen();
    checkId('id', id);
    return this.#live.deleteNode(id);
  }

  /** Deletes one edge, or without a type every edge from source to target. False when there is none. */
  deleteEdge(source: string, target: string, type?: string): boolean {
    this.#checkOpen();
    checkId('source', source);
    checkId('target', target);
    if (type !== undefined) checkType('type', type);
    return this.#live.deleteEdge(source, target, type);
  }

  /**
   * Runs `f`; what it writes is committed together, or not at all when it throws. Reads inside see the writes.
   * A nested call rolls back alone. `f` must be synchronous.
   */
  transaction<T>(f: () => T): T {
    this.#checkOpen();
    if (typeof f !== 'function') throw new TypeError('f must be a function');
    return this.#live.transaction(f);
  }

  // Reading.

  getNode(id: string): GraphNode | undefined {
    const ordinal = this.#find('id', id);
    return ordinal === -1 ? undefined : this.#nodes.one(this.#live.image.keyOf(ordinal));
  }

  getEdge(source: string, target: string, type: string): GraphEdge | undefined {
    const from = this.#find('source', source);
    const to = this.#live.image.ids.ordinalOf(target);
    const key = this.#live.edgeTypes.keyOf(type);
    return from === -1 || to === -1 || key === undefined ? undefined : this.#readEdge(from, key, to);
  }

  /** Every node in the order of creation, read a page at a time; writes meanwhile may or may not be seen. */
  *nodes(): Generator<GraphNode, void, undefined> {
    this.#fresh();
    for (const node of this.#nodes.all()) {
      yield node;
      this.#checkOpen();
    }
  }

  /** Every edge, read a page at a time; writes meanwhile may or may not be seen. */
  *edges(): Generator<GraphEdge, void, undefined> {
    this.#fresh();
    for (let after: [number, number, number] = [-1, -1, -1]; ;) {
      const rows = this.#live.store.scanWholeEdges(after, EDGES_PER_PAGE);
      this.#live.freshen();
      for (const row of rows) {
        after = [row.source, row.type, row.target];
        const source = this.#live.image.ordinalOfKey(row.source);
        const target = this.#live.image.ordinalOfKey(row.target);
        if (source !== -1 && target !== -1) yield this.#edgeOf(source, row.type, target, row);
        this.#checkOpen();
      }
      if (rows.length < EDGES_PER_PAGE) return;
    }
  }

  /** Distinct neighbours, in the order of their ordinals. */
  neighbors(id: string, options: NeighborOptions = {}): string[] {
    this.#fresh();
    const walk = walkOf(options, this.#live.edgeTypes);
    const ordinal = this.#find('id', id, walk.direction);
    if (ordinal === -1) return [];
    const found = new Set<number>();
    eachNeighbour(this.#live.image, walk, ordinal, (neighbour) => found.add(neighbour));
    const { ids } = this.#live.image;
    return Array.from(Uint32Array.from(found).sort(), (neighbour) => ids.idOf(neighbour));
  }

  /** Number of edges at a node; 0 for a missing node. For `'both'` an edge to itself counts twice. O(1). */
  degree(id: string, direction: Direction = 'out'): number {
    this.#checkOpen();
    const { direction: checked } = walkOf({ direction }, this.#live.edgeTypes);
    const ordinal = this.#find('id', id, checked);
    if (ordinal === -1) return 0;
    return sidesOf(this.#live.image, checked).reduce((sum, side) => sum + side.degree(ordinal), 0);
  }

  /**
   * Every node whose shortest distance from a start is at most `maxDepth`, starts included.
   * @throws {GraphError} ERR_PERF_GRAPH_CLOSED
   */
  traverse(start: string | readonly string[], options: TraverseOptions): Traversal {
    const startedAt = this.#log.startedAt();
    const search = this.#search(start, options);
    const { image } = this.#live;
    const { ordinals, levels } = this.#run(search, options, startedAt);
    return new Traversal(this.#source, image, ordinals, levels);
  }

  /**
   * The nodes of a traversal in batches, without holding them all: memory is the queue of ordinals and one batch.
   * The consumer sets the pace. See the README on writes that happen meanwhile.
   */
  stream(
    start: string | readonly string[],
    options: StreamOptions,
  ): AsyncGenerator<readonly GraphNode[], void, undefined> {
    const search = this.#search(start, options);
    const { batchSize = DEFAULT_BATCH_SIZE } = options;
    if (typeof batchSize !== 'number') throw new TypeError('batchSize must be a number');
    if (!Number.isInteger(batchSize) || batchSize < 1 || batchSize > MAX_BATCH_SIZE) {
      throw new RangeError(`batchSize must be an integer from 1 to ${MAX_BATCH_SIZE}`);
    }
    this.#log.streams++;
    return streamNodes(this.#pool, {
      image: this.#live.image,
      walk: search.walk,
      starts: search.starts,
      maxDepth: options.maxDepth,
      selection: search.selection,
      batchSize,
      signal: options.signal,
      readNodes: (image, ordinals) => {
        this.#checkOpen();
        return this.#nodes.manyUncached(ordinals.map((ordinal) => image.keyOf(ordinal)));
      },
    });
  }

  /** A shortest path from `a` to `b`, or undefined when there is none. From a node to itself: no edges. */
  shortestPath(a: string, b: string, options: PathOptions = {}): Path | undefined {
    const startedAt = this.#log.startedAt();
    const from = this.#find('a', a, 'both');
    checkId('b', b);
    const { weighted = false, maxDepth } = options;
    if (typeof weighted !== 'boolean') throw new TypeError('weighted must be a boolean');
    if (maxDepth !== undefined) checkDepth('maxDepth', maxDepth);
    if (weighted && maxDepth !== undefined) throw new TypeError('maxDepth is for unweighted paths');
    const walk = walkOf(options, this.#live.edgeTypes);
    options.signal?.throwIfAborted();
    const { image } = this.#live;
    const to = image.ids.ordinalOf(b);
    if (from === -1 || to === -1) return undefined;
    const search = { image, walk, from, to, maxDepth: maxDepth ?? 65_535, signal: options.signal };
    const path = weighted ? leastWeight(search) : fewestHops(this.#pool, search);
    if (weighted) this.#log.weightedPaths++;
    else this.#log.paths++;
    this.#log.publish('shortestPath', startedAt, search.maxDepth, path?.ordinals.length ?? 0);
    return path === undefined ? undefined : this.#named(path);
  }

  /** The best nodes around the seeds that fit a budget, with the edges between them. */
  subgraph(seeds: string | readonly string[], options: SubgraphOptions = {}): Subgraph {
    const startedAt = this.#log.startedAt();
    this.#fresh('both');
    const budget = budgetOf(options);
    const walk = walkOf(options, this.#live.edgeTypes, 'both');
    const { image } = this.#live;
    const starts = this.#ordinalsOf('seeds', seeds);
    const nodeAt = (ordinal: number): GraphNode | undefined => this.#nodes.one(image.keyOf(ordinal));
    const chosen = chooseNodes(image, walk, starts, budget, nodeAt, options.signal);
    const members = new Set(chosen.nodes.map(({ ordinal }) => ordinal));
    const edges: GraphEdge[] = [];
    for (const ordinal of members) {
      eachNeighbour(image, { ...walk, direction: 'out' }, ordinal, (neighbour, type) => {
        if (!members.has(neighbour)) return;
        const edge = this.#readEdge(ordinal, type, neighbour);
        if (edge !== undefined) edges.push(edge);
      });
    }
    this.#log.subgraphs++;
    this.#log.publish('subgraph', startedAt, budget.maxDepth, chosen.nodes.length);
    return {
      nodes: chosen.nodes.map(({ node }) => node),
      edges,
      tokens: chosen.tokens,
      truncated: chosen.truncated,
    };
  }

  /** Nodes whose content matches, best first (BM25). */
  search(text: string, options: SearchOptions = {}): readonly GraphNode[] {
    const startedAt = this.#log.startedAt();
    this.#fresh();
    if (typeof text !== 'string') throw new TypeError('text must be a string');
    const { limit = DEFAULT_SEARCH_LIMIT, match = 'all', nodeTypes, minConfidence } = options;
    if (match !== 'all' && match !== 'any' && match !== 'fts5') {
      throw new RangeError(`match must be 'all', 'any' or 'fts5'`);
    }
    const selection = selectionOf({ maxDepth: 0, limit, nodeTypes, minConfidence }, this.#live.nodeTypes);
    const expression = matchExpression(text, match);
    if (expression === undefined) return [];
    const found: GraphNode[] = [];
    for (let offset = 0; found.length < selection.limit; offset += SEARCH_PAGE) {
      const keys = this.#live.store.search(expression, SEARCH_PAGE, offset);
      const chosen = keys
        .filter((key) => this.#selects(selection, key))
        .slice(0, selection.limit - found.length);
      for (const node of this.#nodes.many(chosen)) if (node !== undefined) found.push(node);
      if (keys.length < SEARCH_PAGE) break;
    }
    this.#log.searches++;
    this.#log.publish('search', startedAt, 0, found.length);
    return found;
  }

  /** How `traverse` with the same arguments would go about it, without doing it. */
  explain(start: string | readonly string[], options: TraverseOptions): TraversePlan {
    const { walk, selection, starts } = this.#search(start, options);
    const { image } = this.#live;
    const { maxDepth, strategy = 'auto' } = options;
    const key = cacheKey(walk, selection, starts, options);
    const cached =
      selection.filter === undefined &&
      this.#cache?.has(key, dependenciesOf(image, walk, selection)) === true;
    return planTraversal({ image, walk, starts, maxDepth, strategy, cached });
  }

  // Life.

  stats(): GraphStats {
    this.#fresh('both');
    const live = this.#live;
    const { image, nodeTypes, edgeTypes } = live;
    const adjacencyBytes = image.out.sizeBytes + image.in.sizeBytes;
    const garbage = image.out.garbageWords + image.in.garbageWords;
    return {
      nodes: image.nodes,
      edges: image.edges,
      epoch: live.epoch,
      nodeTypes: [...nodeTypes.names],
      edgeTypes: [...edgeTypes.names],
      sizeBytes: image.sizeBytes,
      bytesPerEdge: image.edges === 0 ? 0 : adjacencyBytes / image.edges,
      degrees: degreeStatistics(image),
      alerts: sizeAlerts(image),
      queries: this.#log.stats,
      caches: { nodes: this.#nodes.stats, traversals: this.#cache?.stats ?? NO_CACHE },
      garbageShare: garbage / Math.max(1, image.out.usedWords + image.in.usedWords),
      rebuilds: { ...live.rebuilds },
      snapshotLoads: live.snapshotLoads,
      snapshotWrites: live.snapshotWrites,
      snapshotFailures: live.snapshotFailures,
      compactions: live.compactions,
      foreignChanges: live.foreignChanges,
    };
  }

  /** Grows with every commit of any process that this one has seen, and whenever nodes get new ordinals. */
  get epoch(): number {
    this.#fresh();
    return this.#live.epoch;
  }

  /** Applies what other processes committed; returns the number of changes. Every read does this by itself. */
  refresh(): number {
    this.#checkOpen();
    return this.#live.refresh();
  }

  /**
   * Makes the image dense again and writes the snapshot, in slices of the event loop; writes may go on meanwhile.
   * Gives nodes new ordinals.
   */
  async compact(): Promise<void> {
    this.#fresh();
    if (this.#live.inTransaction) throw new TypeError('compact cannot run inside a transaction');
    await this.#live.compact();
  }

  /** Writes the snapshot when it is due and closes the file. Everything put is in the file already. Idempotent. */
  close(): void {
    if (this.#closed) return;
    if (this.#live.inTransaction) throw new TypeError('close cannot run inside a transaction');
    this.#live.refresh();
    this.#closed = true;
    try {
      this.#live.close();
    } finally {
      if (this.#ownsDb) this.#db.close();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #checkOpen(): void {
    if (this.#closed) throw new GraphError('ERR_PERF_GRAPH_CLOSED', 'the graph is closed');
  }

  /** Brings the image up to date, with the sides that are going to be read. May replace it: ordinals come after. */
  #fresh(sides?: Direction): void {
    this.#checkOpen();
    this.#live.freshen();
    if (sides !== undefined) this.#live.ensure(sides);
  }

  #find(name: string, id: string, sides?: Direction): number {
    checkId(name, id);
    this.#fresh(sides);
    return this.#live.image.ids.ordinalOf(id);
  }

  #ordinalsOf(name: string, ids: string | readonly string[]): number[] {
    const { image } = this.#live;
    const list = typeof ids === 'string' ? [ids] : ids;
    if (!Array.isArray(list)) throw new TypeError(`${name} must be a string or an array of strings`);
    const found: number[] = [];
    for (const id of list as readonly string[]) {
      checkId(name, id);
      const ordinal = image.ids.ordinalOf(id);
      if (ordinal !== -1) found.push(ordinal);
    }
    return found;
  }

  #search(start: string | readonly string[], options: TraverseOptions): Search {
    this.#fresh();
    if (typeof options !== 'object' || options === null) throw new TypeError('options must be an object');
    checkDepth('maxDepth', options.maxDepth);
    const walk = walkOf(options, this.#live.edgeTypes);
    const selection = selectionOf(options, this.#live.nodeTypes);
    options.signal?.throwIfAborted();
    this.#live.ensure(this.#missedSide ? 'both' : walk.direction);
    return { walk, selection, starts: this.#ordinalsOf('start', start) };
  }

  #run({ walk, selection, starts }: Search, options: TraverseOptions, startedAt: number): Found {
    const { maxDepth, strategy, signal } = options;
    const { image } = this.#live;
    const dependencies = dependenciesOf(image, walk, selection);
    // One hop is cheaper than a look into the cache, and nobody knows what a filter depends on.
    const cache = maxDepth > 1 && selection.filter === undefined ? this.#cache : undefined;
    const isWorthALook = cache !== undefined && !cache.isEmpty;
    const key = isWorthALook ? cacheKey(walk, selection, starts, options) : undefined;
    const known = key === undefined ? undefined : cache?.get(key, dependencies);
    if (known !== undefined) {
      this.#log.traversed(maxDepth, undefined);
      this.#log.publish('traverse', startedAt, maxDepth, known.ordinals.length, true);
      return known;
    }
    const { limit } = selection;
    const search = {
      image,
      walk,
      starts,
      maxDepth,
      select: this.#selectOf(selection),
      limit,
      signal,
      mode: 'auto' as const,
    };
    const found = strategy === 'dfs' ? depthFirst(this.#pool, search) : breadthFirst(this.#pool, search);
    if (cache !== undefined && found.visited >= MIN_CACHED_VISITS) {
      cache.set(key ?? cacheKey(walk, selection, starts, options), found, dependencies);
    }
    this.#log.traversed(maxDepth, found.modes);
    this.#missedSide ||= found.missedSide;
    if (strategy === 'dfs') this.#log.depthFirst++;
    this.#log.publish('traverse', startedAt, maxDepth, found.ordinals.length);
    return found;
  }

  #selectOf(selection: Selection): Select | undefined {
    const { nodeTypes, minConfidence, filter } = selection;
    if (nodeTypes === undefined && minConfidence <= 0 && filter === undefined) return undefined;
    const { image } = this.#live;
    return (ordinal) =>
      passes(image, selection, ordinal) && (filter === undefined || filter(this.#nodes.lazy(image, ordinal)));
  }

  #selects(selection: Selection, key: number): boolean {
    const ordinal = this.#live.image.ordinalOfKey(key);
    return ordinal !== -1 && passes(this.#live.image, selection, ordinal);
  }

  #readNodes(image: GraphImage, ordinals: Iterable<number>): readonly (GraphNode | undefined)[] {
    this.#checkOpen();
    return this.#nodes.many(Array.from(ordinals, (ordinal) => image.keyOf(ordinal)));
  }

  #readEdge(source: number, type: number, target: number): GraphEdge | undefined {
    const { image, store } = this.#live;
    const row = store.edge(image.keyOf(source), type, image.keyOf(target));
    return row === undefined ? undefined : this.#edgeOf(source, type, target, row);
  }

  #edgeOf(source: number, type: number, target: number, row: EdgeRow): GraphEdge {
    const { image, edgeTypes } = this.#live;
    return {
      source: image.ids.idOf(source),
      target: image.ids.idOf(target),
      type: edgeTypes.nameOf(type),
      weight: row.weight ?? 1,
      ...(row.metadata !== null && { metadata: JSON.parse(row.metadata) as Json }),
      ...(row.validFromMs !== null && { validFromMs: row.validFromMs }),
      ...(row.validToMs !== null && { validToMs: row.validToMs }),
    };
  }

  #named({ ordinals, steps, cost }: OrdinalPath): Path {
    const { ids } = this.#live.image;
    return {
      ids: ordinals.map((ordinal) => ids.idOf(ordinal)),
      edges: steps.map(({ source, target, type, weight }) => ({
        source: ids.idOf(source),
        target: ids.idOf(target),
        type: this.#live.edgeTypes.nameOf(type),
        weight,
      })),
      cost,
    };
  }
}

function dependenciesOf(image: GraphImage, { edgeTypes }: Walk, selection: Selection): Dependencies {
  return { image, edgeTypes, readsNodes: selection.nodeTypes !== undefined || selection.minConfidence > 0 };
}

const NO_CACHE: CacheStats = { hits: 0, misses: 0, entries: 0, sizeBytes: 0 };

interface Search {
  readonly walk: Walk;
  readonly selection: Selection;
  readonly starts: number[];
}

interface Settings {
  readonly durability: 'process-crash' | 'power-loss';
  readonly snapshot: boolean;
  readonly changeLogBytes: number;
  readonly cacheBytes: number;
  readonly maxStalenessMs: number;
  readonly now: () => number;
}

function settingsOf(options: GraphOptions): Settings {
  if (typeof options !== 'object' || options === null) throw new TypeError('options must be an object');
  const { durability = 'process-crash', snapshot = true, clock = Date } = options;
  if (typeof snapshot !== 'boolean') throw new TypeError('snapshot must be a boolean');
  if (typeof clock?.now !== 'function') throw new TypeError('clock must have a now function');
  const changeLogBytes = bytesOption('changeLogBytes', options.changeLogBytes, DEFAULT_CHANGE_LOG_BYTES);
  const { maxStalenessMs = DEFAULT_STALENESS_MS } = options;
  if (typeof maxStalenessMs !== 'number') throw new TypeError('maxStalenessMs must be a number');
  if (!(maxStalenessMs >= 0 && maxStalenessMs < Infinity))
    throw new RangeError('maxStalenessMs must be at least 0');
  const cacheBytes = bytesOption('cacheBytes', options.cacheBytes, DEFAULT_CACHE_BYTES);
  return { durability, snapshot, changeLogBytes, cacheBytes, maxStalenessMs, now: () => clock.now() };
}

function bytesOption(name: string, value: number | undefined, fallback: number): number {
  const bytes = value ?? fallback;
  if (typeof bytes !== 'number') throw new TypeError(`${name} must be a number`);
  if (!Number.isSafeInteger(bytes) || bytes < 0)
    throw new RangeError(`${name} must be an integer of at least 0`);
  return bytes;
}

function checkIterable(items: Iterable<unknown>): void {
  if (typeof (items as Iterable<unknown> | undefined)?.[Symbol.iterator] !== 'function') {
    throw new TypeError('expected an iterable');
  }
}
