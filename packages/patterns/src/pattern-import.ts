/** Definitions from other people's formats. Each reader returns what `compilePatterns` and `PatternLibrary.putAll` take. */
import { PatternsError } from './errors.ts';
import type { PatternDef } from './pattern-def.ts';

export type UapSection = 'user_agent_parsers' | 'os_parsers' | 'device_parsers';

/**
 * The regexes of uap-core's `regexes.yaml`, as any YAML or JSON parser reads it. The order of the file is the order of
 * priority, as there; `regex_flag: i` becomes the flag `i`. Ids are `<section>/<place>`.
 * @throws {PatternsError} ERR_PERF_PATTERNS_IMPORT when the document has no such list
 */
export function fromUapCore(document: unknown, section: UapSection): PatternDef[] {
  const list = (document as Record<string, unknown> | null | undefined)?.[section];
  if (!Array.isArray(list)) throw malformed(`the document has no list ${section}`);
  return list.map((entry: unknown, place) => {
    const { regex, regex_flag: flags } = (entry ?? {}) as Record<string, unknown>;
    if (typeof regex !== 'string') throw malformed(`${section}[${place}] has no regex`);
    return {
      id: `${section}/${place}`,
      source: regex,
      ...(typeof flags === 'string' ? { flags } : undefined),
      type: section,
    };
  });
}

/** A reference to another pattern: %{NAME} or %{NAME:field}. */
const GROK_REFERENCE = /%\{(\w+)(?::([\w.[\]@-]+))?(?::\w+)?\}/g;
const MAX_DEPTH = 32;

/**
 * Grok patterns: lines of a name, a space and a regex that may refer to other names; `#` starts a comment. A reference
 * with a field becomes a named group. What is Oniguruma's alone is turned into JavaScript where it can be (named groups,
 * atomic groups without their atomicity) and left to be reported as a syntax error where it cannot.
 * @throws {PatternsError} ERR_PERF_PATTERNS_IMPORT for a line without a regex, an unknown name, or one that refers to itself
 */
export function fromGrok(text: string): PatternDef[] {
  const sources = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const [, name, source] = /^(\w+)\s+(\S.*)$/.exec(line) ?? [];
    if (name === undefined || source === undefined)
      throw malformed(`not a grok pattern: ${JSON.stringify(line)}`);
    sources.set(name, source);
  }
  return [...sources.keys()].map((name) => ({
    id: name,
    source: expandGrok(name, sources, new Set()),
    type: 'grok',
  }));
}

function expandGrok(
  name: string,
  sources: ReadonlyMap<string, string>,
  fields: Set<string>,
  depth = 0,
): string {
  const source = sources.get(name);
  if (source === undefined) throw malformed(`no grok pattern ${name}`);
  if (depth > MAX_DEPTH) throw malformed(`the grok pattern ${name} refers to itself`);
  return source
    .replace(/\(\?>/g, '(?:')
    .replace(/\(\?<([^=!>][^>]*)>/g, (_whole, field: string) => `(${groupName(field, fields)}`)
    .replace(GROK_REFERENCE, (_whole, inner: string, field: string | undefined) => {
      const group = field === undefined ? '?:' : groupName(field, fields);
      return `(${group}${expandGrok(inner, sources, fields, depth + 1)})`;
    });
}

/** The first use of a field names its group; JavaScript allows a name once. */
function groupName(field: string, fields: Set<string>): string {
  const name = field.replace(/\W+/g, '_').replace(/^(?=\d)|_$/g, '');
  if (name === '' || fields.has(name)) return '?:';
  fields.add(name);
  return `?<${name}>`;
}

/** One regex a line, `/source/flags` or plain; empty lines and lines that start with `#` are left out. */
export function fromList(text: string, type?: string): PatternDef[] {
  const defs: PatternDef[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const [, source = line, flags = ''] = /^\/(.+)\/([a-z]*)$/.exec(line) ?? [];
    defs.push({ id: `line ${index + 1}`, source, flags, ...(type === undefined ? undefined : { type }) });
  }
  return defs;
}

function malformed(message: string): PatternsError {
  return new PatternsError('ERR_PERF_PATTERNS_IMPORT', message);
}
