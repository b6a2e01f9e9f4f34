import type { PatternDef } from '../pattern-def.ts';

/** How bad it is: `warning` may be ignored, `error` fails the step, `fatal` takes the process or the data with it. */
export type Severity = 'warning' | 'error' | 'fatal';

/** What kind of failure it is, whatever tool reported it. */
export type FailureType =
  | 'missing-dependency'
  | 'dependency-conflict'
  | 'syntax'
  | 'type'
  | 'reference'
  | 'runtime'
  | 'assertion'
  | 'test-failure'
  | 'build'
  | 'memory'
  | 'crash'
  | 'concurrency'
  | 'timeout'
  | 'network'
  | 'auth'
  | 'permission'
  | 'rate-limit'
  | 'not-found'
  | 'bad-request'
  | 'server-error'
  | 'filesystem'
  | 'disk-full'
  | 'version-control'
  | 'database'
  | 'configuration'
  | 'command';

/** A pattern of the starter library, with texts that show what it is for. */
export interface StarterPattern extends PatternDef {
  readonly type: FailureType;
  readonly severity: Severity;
  readonly priority: number;
  /** What went wrong, in a few words. */
  readonly title: string;
  /** Texts it must match, and near misses it must not match. */
  readonly examples: { readonly matches: readonly string[]; readonly misses: readonly string[] };
}

/** How an entry is written down: the rest follows from it. */
export interface StarterEntry {
  readonly name: string;
  readonly title: string;
  readonly type: FailureType;
  readonly severity: Severity;
  readonly regex: RegExp;
  readonly matches: readonly string[];
  readonly misses: readonly string[];
}

/** The most severe failure of a text is its `first` match. */
const PRIORITY: Readonly<Record<Severity, number>> = { warning: 10, error: 20, fatal: 30 };

/** Entries of one ecosystem, as patterns called `<ecosystem>/<name>`. */
export function defineStarter(
  ecosystem: string,
  entries: readonly StarterEntry[],
): readonly StarterPattern[] {
  return entries.map(({ name, title, type, severity, regex, matches, misses }) => ({
    id: `${ecosystem}/${name}`,
    source: regex.source,
    flags: regex.flags,
    type,
    severity,
    priority: PRIORITY[severity],
    title,
    examples: { matches, misses },
  }));
}
