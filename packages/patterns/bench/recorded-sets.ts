/** The recorded pattern sets and texts that the cases run on. */
import type { CaseContext } from '@perf/bench';
import type { PatternDef } from '@perf/patterns';

export interface RecordedSet {
  readonly defs: readonly PatternDef[];
  readonly texts: readonly string[];
  /** Ids expected for each text. */
  readonly expected: readonly (readonly string[])[];
}

interface Recorded {
  readonly source: string;
  readonly flags: string;
}

const MAX_TEXTS = 800;

/** `uap-ua`, `uap-os`, `uap-device`, `crawlers`, or `log-templates`, which needs the larger data folder. */
export function recordedSet(context: CaseContext, name: string): RecordedSet | undefined {
  if (name === 'crawlers') return crawlers(context);
  if (name === 'log-templates') return logTemplates(context);
  const { cases } = parse(context.data(`patterns/${name}.cases.json.gz`)) as {
    cases: readonly { text: string; matches: readonly number[] }[];
  };
  const patterns = parse(context.data(`patterns/${name}.patterns.json.gz`)) as readonly Recorded[];
  return {
    defs: definitions(patterns),
    texts: cases.slice(0, MAX_TEXTS).map((entry) => entry.text),
    expected: cases.slice(0, MAX_TEXTS).map((entry) => entry.matches.map(String)),
  };
}

function crawlers(context: CaseContext): RecordedSet {
  const entries = parse(context.data('patterns/crawler-user-agents.json.gz')) as readonly {
    pattern: string;
    instances: readonly string[];
  }[];
  const defs = definitions(entries.map(({ pattern }) => ({ source: pattern, flags: '' })));
  const texts = entries.flatMap((entry) => entry.instances).slice(0, MAX_TEXTS);
  return { defs, texts, expected: sequential(defs, texts) };
}

function logTemplates(context: CaseContext): RecordedSet | undefined {
  const patterns = context.sharedData('patterns/loghub.patterns.json.gz');
  const lines = context.sharedData('patterns/loghub.lines.json.gz');
  if (patterns === undefined || lines === undefined) return undefined;
  const { lines: all } = parse(lines) as {
    lines: readonly { content: string; matches: readonly number[] }[];
  };
  // The lines come system by system; an even sample has some of each.
  const sample = all.filter((_, index) => index % Math.ceil(all.length / MAX_TEXTS) === 0);
  return {
    defs: definitions(parse(patterns) as readonly Recorded[]),
    texts: sample.map((line) => line.content),
    expected: sample.map((line) => line.matches.map(String)),
  };
}

function definitions(patterns: readonly Recorded[]): PatternDef[] {
  return patterns.map(({ source, flags }, index) => ({ id: String(index), source, flags }));
}

export function sequential(defs: readonly PatternDef[], texts: readonly string[]): string[][] {
  const regexes = compiled(defs);
  return texts.map((text) => idsOneByOne(defs, regexes, text));
}

export function compiled(defs: readonly PatternDef[]): RegExp[] {
  return defs.map(({ source, flags }) => new RegExp(source, flags));
}

export function idsOneByOne(defs: readonly PatternDef[], regexes: readonly RegExp[], text: string): string[] {
  const found: string[] = [];
  for (const [i, regex] of regexes.entries()) {
    if (regex.test(text)) found.push(defs[i]?.id ?? '');
  }
  return found;
}

function parse(bytes: Buffer): unknown {
  return JSON.parse(bytes.toString('utf8'));
}
