/**
 * What SQLite intends to do with a statement, from EXPLAIN QUERY PLAN (https://www.sqlite.org/eqp.html), with the
 * tables that are read from end to end called by name. The text of a plan is not a stable interface of SQLite; the
 * forms read here are those of the bundled version, and the tests hold them.
 *
 *   SCAN t                                full scan, of the table or (USING ...) of a whole index
 *   SEARCH t                              (no USING) min() or max() without an index: reads every row
 *   SEARCH t USING AUTOMATIC ... INDEX    builds an index for this one run, from every row
 *   SCAN t VIRTUAL TABLE INDEX 0:         a virtual table without a constraint; `2:` is the same for R-trees
 *   CO-ROUTINE c, MATERIALIZE c           a subquery or WITH; SCAN c then reads its result, not a table
 */
import type DatabaseConstructor from 'better-sqlite3';
import { SqliteError } from './errors.ts';

type Database = DatabaseConstructor.Database;

export interface Explanation {
  /** Whether some part of the statement looks rows up by an index or a primary key. */
  readonly usesIndex: boolean;
  /** Tables read from end to end, each once, in plan order. An alias is resolved to its table. */
  readonly fullScans: readonly string[];
  /** The lines of the plan, indented by two spaces per level. */
  readonly plan: readonly string[];
}

interface PlanRow {
  readonly id: number;
  readonly parent: number;
  readonly detail: string;
}

/** `db.explain` of better-sqlite3 13 takes a statement whose parameters are not bound; its types do not know it yet. */
type ExplainingDatabase = Database & { explain(sql: string): unknown[] };

const READ = /^(SCAN|SEARCH) (.+?)(?: (USING .+|VIRTUAL TABLE INDEX .*))?$/;
const NOT_A_TABLE = /^(CONSTANT ROW|\d+-ROW VALUES CLAUSE)$/;

/**
 * Explains one statement without running it; its parameters need no values. Costs about one `prepare`.
 *
 * @throws {SqliteError} `ERR_PERF_SQLITE_CLOSED`; what `prepare` throws when the SQL is wrong
 */
export function explain(db: Database, sql: string): Explanation {
  if (typeof sql !== 'string') throw new TypeError('sql must be a string');
  if (!db.open) throw new SqliteError('ERR_PERF_SQLITE_CLOSED', 'the database handle is closed');
  const rows = (db as ExplainingDatabase).explain(`QUERY PLAN ${sql}`) as PlanRow[];
  const byId = new Map(rows.map((row) => [row.id, row]));
  const tables = tablesOf(db);
  const plan: string[] = [];
  const fullScans = new Set<string>();
  let usesIndex = false;
  for (const row of rows) {
    const parents = parentsOf(row, byId);
    plan.push('  '.repeat(parents.length) + row.detail);
    const [, verb, read, how = ''] = READ.exec(row.detail.replace(/ LEFT-JOIN$/, '')) ?? [];
    if (verb === undefined || read === undefined || NOT_A_TABLE.test(read)) continue;
    const name = tableRead(read, sql, tables, resultNames(rows, parents));
    if (name === undefined) continue;
    const full = readsEverything(verb, how);
    if (full) fullScans.add(name);
    if (how !== '' && !how.includes('AUTOMATIC') && !(full && how.startsWith('VIRTUAL'))) usesIndex = true;
  }
  return { usesIndex, fullScans: [...fullScans], plan };
}

function readsEverything(verb: string, how: string): boolean {
  if (how.startsWith('VIRTUAL')) return /INDEX [02]:$/.test(how);
  return verb === 'SCAN' || how === '' || how.startsWith('USING AUTOMATIC');
}

function parentsOf(row: PlanRow, byId: ReadonlyMap<number, PlanRow>): readonly PlanRow[] {
  const parents: PlanRow[] = [];
  for (let parent = byId.get(row.parent); parent !== undefined; parent = byId.get(parent.parent)) {
    parents.push(parent);
  }
  return parents;
}

/** Names of subqueries whose result a row may read. Inside its own body such a name means the table it hides. */
function resultNames(rows: readonly PlanRow[], parents: readonly PlanRow[]): readonly string[] {
  const recursive = parents.some(({ detail }) => detail === 'RECURSIVE STEP');
  return rows
    .filter((row) => recursive || !parents.includes(row))
    .flatMap(({ detail }) => /^(?:CO-ROUTINE|MATERIALIZE) (.+)$/.exec(detail)?.[1] ?? []);
}

/** The table behind a name in the plan; `undefined` when it is the result of a subquery. */
function tableRead(
  read: string,
  sql: string,
  tables: ReadonlySet<string>,
  results: readonly string[],
): string | undefined {
  if (results.includes(read)) return undefined;
  const table = read.slice(read.indexOf('.') + 1);
  if (tables.has(table.toLowerCase())) return table;
  // An alias: look for `name [AS] alias` in the SQL, which only misleads when a text literal looks like that.
  const alias = new RegExp(
    `([\\w$]+)["'\`\\]]?\\s+(?:AS\\s+)?["'\`\\[]?${read.replace(/[^\w]/gu, String.raw`\$&`)}(?![\\w$])`,
    'gi',
  );
  for (const [, name = ''] of sql.matchAll(alias)) {
    if (tables.has(name.toLowerCase())) return name;
    if (results.includes(name)) return undefined;
  }
  return read.startsWith('(') ? undefined : read;
}

function tablesOf(db: Database): ReadonlySet<string> {
  const names = db.prepare('SELECT lower(name) FROM pragma_table_list').pluck().all() as string[];
  return new Set(names);
}
