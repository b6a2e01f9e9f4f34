/** Three hops over real graphs, answers as ids, against the usual ways to do it. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { openDatabase } from '@perf/sqlite';
import { ratioCase } from '@perf/bench';
import type { RatioCase } from '@perf/bench';
import { Graph } from '@perf/graph';
import { checkNeighbourhoods, readGraph } from './recorded-graphs.ts';
import type { GRAPHS, Neighbourhood, RecordedGraph } from './recorded-graphs.ts';

interface Input {
  readonly graph: RecordedGraph;
  readonly queries: readonly Neighbourhood[];
  readonly dir: string;
  /** What contenders build once per fork. */
  readonly built: Map<string, unknown>;
}

type Answer = readonly (readonly string[])[];

const CTE = `WITH RECURSIVE reached (id, depth) AS (
    SELECT ?, 0 UNION SELECT target, depth + 1 FROM reached JOIN edges ON source = id WHERE depth < 3)
  SELECT DISTINCT id FROM reached`;

async function once<T>(input: Input, key: string, build: () => T | Promise<T>): Promise<T> {
  if (!input.built.has(key)) input.built.set(key, await build());
  return input.built.get(key) as T;
}

/** One table of text, clustered by source, as most systems keep their edges. */
function textTable({ graph, dir }: Input): ReturnType<typeof openDatabase> {
  const db = openDatabase(join(dir, 'text.db'));
  db.exec(
    'CREATE TABLE edges (source TEXT, type TEXT, target TEXT, PRIMARY KEY (source, type, target)) WITHOUT ROWID',
  );
  const insert = db.prepare('INSERT INTO edges VALUES (?, ?, ?)');
  db.transaction(() => {
    for (const { source, type, target } of graph.list) insert.run(source, type, target);
  })();
  return db;
}

function ourGraph({ graph, dir }: Input): Graph {
  const ours = Graph.open({ path: join(dir, 'ours.db') });
  ours.putEdges(graph.list);
  ours.close();
  // Without caches: the same questions are asked again and again here.
  return Graph.open({ path: join(dir, 'ours.db'), cacheBytes: 0 });
}

function adjacencyMap({ list }: RecordedGraph): Map<string, string[]> {
  const map = new Map<string, string[]>();
  for (const { source, target } of list) {
    const row = map.get(source);
    if (row === undefined) map.set(source, [target]);
    else row.push(target);
  }
  return map;
}

/** Level by level with a set of the visited, as one writes it by hand. */
function levels(start: string, neighboursOf: (id: string) => Iterable<string>): string[] {
  const visited = new Set([start]);
  let frontier = [start];
  for (let depth = 0; depth < 3; depth++) {
    const next: string[] = [];
    for (const id of frontier) {
      for (const neighbour of neighboursOf(id)) {
        if (visited.has(neighbour)) continue;
        visited.add(neighbour);
        next.push(neighbour);
      }
    }
    frontier = next;
  }
  return [...visited];
}

interface Graphology {
  addNode(id: string): void;
  addEdge(source: string, target: string): void;
  hasNode(id: string): boolean;
  outNeighbors(id: string): string[];
}

interface KuzuResult {
  getAll(): Promise<{ id: string }[]>;
}

interface KuzuConnection {
  query(statement: string): Promise<unknown>;
  prepare(statement: string): Promise<unknown>;
  execute(statement: unknown, parameters: object): Promise<KuzuResult>;
}

function threeHops(name: (typeof GRAPHS)[number], cteGoal: number, kuzuGoal: number | undefined): RatioCase {
  return ratioCase<Input, Answer>({
    name: `three-hops-${name.toLowerCase()}`,
    about: `All nodes within 3 outgoing hops of 20 starts in ${name}, as ids.`,
    setup: (context) => {
      const graph = readGraph(context, name) ?? {
        file: name,
        nodes: 0,
        edges: 0,
        neighbourhoods: [],
        shortestPaths: [],
        list: [],
      };
      if (graph.edges === 0)
        console.log(`${name}: not in this checkout (PERF_SHARED_DATA is not set); nothing to do`);
      const queries = graph.neighbourhoods.filter(
        ({ depth, direction }) => depth === 3 && direction === 'out',
      );
      const dir = join(context.scratchDir, name);
      mkdirSync(dir, { recursive: true });
      return { graph, queries, dir, built: new Map() };
    },
    operations: ({ queries }) => Math.max(1, queries.length),
    validate: (answers, { queries }) => checkNeighbourhoods(answers, queries),
    contenders: [
      {
        name: '@perf/graph',
        ours: true,
        prepare: (input) => once(input, 'ours', () => ourGraph(input)),
        run: (graph: Graph, { queries }) =>
          queries.map(({ start }) => graph.traverse(start, { maxDepth: 3 }).ids),
      },
      {
        name: 'recursive CTE',
        prepare: (input) =>
          once(input, 'cte', () => {
            const db = textTable(input);
            return db.prepare(CTE).pluck();
          }),
        run: (cte: { all(start: string): unknown[] }, { queries }) =>
          queries.map(({ start }) => cte.all(start) as string[]),
      },
      {
        name: 'SQL per node',
        prepare: (input) =>
          once(input, 'sql', () => {
            const db = openDatabase(join(input.dir, 'text.db'));
            return db.prepare('SELECT target FROM edges WHERE source = ?').pluck();
          }),
        run: (row: { all(id: string): unknown[] }, { queries }) =>
          queries.map(({ start }) => levels(start, (id) => row.all(id) as string[])),
      },
      {
        name: 'Map of arrays',
        prepare: (input) => once(input, 'map', () => adjacencyMap(input.graph)),
        run: (map: Map<string, string[]>, { queries }) =>
          queries.map(({ start }) => levels(start, (id) => map.get(id) ?? [])),
      },
      {
        name: 'graphology',
        peers: ['graphology'],
        prepare: (input, context) =>
          once(input, 'graphology', async () => {
            const module = await context.peer<{ MultiDirectedGraph: new () => Graphology }>('graphology');
            const graph = new module.MultiDirectedGraph();
            for (const { source, target } of input.graph.list) {
              for (const id of [source, target]) if (!graph.hasNode(id)) graph.addNode(id);
              graph.addEdge(source, target);
            }
            return graph;
          }),
        run: (graph: Graphology, { queries }) =>
          queries.map(({ start }) => levels(start, (id) => graph.outNeighbors(id))),
      },
      {
        name: 'kuzu',
        peers: ['kuzu'],
        prepare: (input, context) =>
          once(input, 'kuzu', async () => {
            const { default: kuzu } = await context.peer<{ default: KuzuModule }>('kuzu');
            return openKuzu(kuzu, input);
          }),
        run: async ({ connection, statement }: Awaited<ReturnType<typeof openKuzu>>, { queries }) => {
          const answers: string[][] = [];
          for (const { start } of queries) {
            const result = await connection.execute(statement, { start });
            answers.push([...new Set([start, ...(await result.getAll()).map(({ id }) => id)])]);
          }
          return answers;
        },
      },
    ],
    goals: [
      { versus: 'recursive CTE', atLeast: cteGoal },
      ...(kuzuGoal === undefined ? [] : [{ versus: 'kuzu', atLeast: kuzuGoal }]),
    ],
    teardown: ({ built }) => (built.get('ours') as Graph | undefined)?.close(),
  });
}

interface KuzuModule {
  Database: new (path: string) => unknown;
  Connection: new (database: unknown, threads?: number) => KuzuConnection;
}

async function openKuzu(
  kuzu: KuzuModule,
  { graph, dir }: Input,
): Promise<{ connection: KuzuConnection; statement: unknown }> {
  const { writeFileSync } = await import('node:fs');
  const nodes = new Set(graph.list.flatMap(({ source, target }) => [source, target]));
  writeFileSync(join(dir, 'nodes.csv'), [...nodes].map((id) => `"${id}"`).join('\n'));
  writeFileSync(
    join(dir, 'edges.csv'),
    graph.list.map((e) => `"${e.source}","${e.target}","${e.type}"`).join('\n'),
  );
  const connection = new kuzu.Connection(new kuzu.Database(join(dir, 'kuzu')), 1);
  await connection.query('CREATE NODE TABLE N(id STRING, PRIMARY KEY (id))');
  await connection.query('CREATE REL TABLE E(FROM N TO N, type STRING)');
  await connection.query(`COPY N FROM '${join(dir, 'nodes.csv')}' (HEADER=false)`);
  await connection.query(`COPY E FROM '${join(dir, 'edges.csv')}' (HEADER=false)`);
  const statement = await connection.prepare(
    'MATCH (a:N {id: $start})-[:E* SHORTEST 1..3]->(b:N) RETURN b.id AS id',
  );
  return { connection, statement };
}

export const cases: readonly RatioCase[] = [
  threeHops('snb-sf01-core', 30, 100),
  threeHops('wn18rr', 20, undefined),
  threeHops('fb15k237', 20, undefined),
  threeHops('ca-HepPh', 1, undefined),
];
