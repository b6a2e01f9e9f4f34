import { RegExpParser, RegExpSyntaxError } from '@eslint-community/regexpp';

/** One pattern as its author writes it. */
export interface PatternDef {
  /** Unique within a set. */
  readonly id: string;
  /** What one would pass to `new RegExp(source, flags)`. */
  readonly source: string;
  /** Default none. `g` has no effect on a single match; `y` pins the match to the start of the text. */
  readonly flags?: string;
  /** Free classification, handed back with every match. */
  readonly type?: string;
  /** Decides `first`; higher wins, definition order breaks ties. Default 0. */
  readonly priority?: number;
  /** In [0, 1]; handed back with every match. Default 1. */
  readonly confidence?: number;
  /** An inactive pattern is kept, and serialised, but never matches. Default true. */
  readonly active?: boolean;
}

export type PatternErrorCode =
  /** `new RegExp` refuses the source. */
  | 'ERR_PERF_PATTERNS_SYNTAX'
  /** `new RegExp` refuses the flags. */
  | 'ERR_PERF_PATTERNS_FLAGS'
  /** An earlier pattern has this id; that one stays. */
  | 'ERR_PERF_PATTERNS_DUPLICATE_ID'
  /** A field is missing, of the wrong type or out of range. */
  | 'ERR_PERF_PATTERNS_DEFINITION';

/** Why one pattern was left out; the others are not affected. */
export interface PatternError {
  readonly id: string;
  readonly code: PatternErrorCode;
  readonly message: string;
  /** Where in `source` the syntax error is, in UTF-16 units, when it can be told. */
  readonly index?: number;
}

/** A definition with its defaults filled in and everything else dropped. */
export interface Pattern {
  readonly id: string;
  readonly source: string;
  readonly flags: string;
  readonly type: string | undefined;
  readonly priority: number;
  readonly confidence: number;
  readonly active: boolean;
}

/** One match: what `new RegExp(source, flags).exec(text)` found, with the pattern it belongs to. */
export interface PatternMatch {
  readonly id: string;
  /** Start in the text, in UTF-16 units. */
  readonly index: number;
  /** One past the last unit. */
  readonly end: number;
  readonly text: string;
  /** `captures[0]` is the whole match. */
  readonly captures: readonly (string | undefined)[];
  /** The named groups that took part; absent when the pattern names none. */
  readonly groups?: Record<string, string>;
  readonly type?: string;
  readonly confidence: number;
}

/** Checks every field and the syntax. Returns the pattern, or the reason why it cannot be one. */
export function readDefinition(def: PatternDef): Pattern | PatternError {
  const problem = fieldProblem(def);
  if (problem !== undefined) {
    const id: unknown = (def as PatternDef | undefined)?.id;
    return {
      id: typeof id === 'string' ? id : String(id),
      code: 'ERR_PERF_PATTERNS_DEFINITION',
      message: problem,
    };
  }
  const flags = def.flags ?? '';
  return (
    syntaxProblem(def.id, def.source, flags) ?? {
      id: def.id,
      source: def.source,
      flags,
      type: def.type,
      priority: def.priority ?? 0,
      confidence: def.confidence ?? 1,
      active: def.active ?? true,
    }
  );
}

export function isPatternError(value: Pattern | PatternError): value is PatternError {
  return 'code' in value;
}

/** The match object of a successful `exec`. */
export function matchOf(pattern: Pattern, found: RegExpExecArray): PatternMatch {
  const text = found[0];
  return {
    id: pattern.id,
    index: found.index,
    end: found.index + text.length,
    text,
    captures: found.slice(),
    ...(found.groups === undefined ? undefined : { groups: participating(found.groups) }),
    ...(pattern.type === undefined ? undefined : { type: pattern.type }),
    confidence: pattern.confidence,
  };
}

function participating(groups: Record<string, string | undefined>): Record<string, string> {
  // fromEntries defines own properties, so a group called __proto__ is a group like any other.
  return Object.fromEntries(
    Object.entries(groups).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

function fieldProblem(def: unknown): string | undefined {
  if (typeof def !== 'object' || def === null) return 'a pattern must be an object';
  const { id, source, flags, type, priority, confidence, active } = def as Record<string, unknown>;
  if (typeof id !== 'string' || id === '') return 'id must be a non-empty string';
  if (typeof source !== 'string') return 'source must be a string';
  if (flags !== undefined && typeof flags !== 'string') return 'flags must be a string';
  if (type !== undefined && typeof type !== 'string') return 'type must be a string';
  if (priority !== undefined && !(typeof priority === 'number' && Number.isFinite(priority))) {
    return 'priority must be a finite number';
  }
  if (confidence !== undefined && !(typeof confidence === 'number' && confidence >= 0 && confidence <= 1)) {
    return 'confidence must be a number from 0 to 1';
  }
  if (active !== undefined && typeof active !== 'boolean') return 'active must be a boolean';
  return undefined;
}

/** V8 is the judge of what is valid, because V8 will run it; the parser only says where the error is. */
function syntaxProblem(id: string, source: string, flags: string): PatternError | undefined {
  try {
    // oxlint-disable-next-line no-new -- built only to see whether it throws
    new RegExp(source, flags);
    return undefined;
  } catch (error) {
    const message = (error as Error).message;
    if (!flagsAreValid(flags)) return { id, code: 'ERR_PERF_PATTERNS_FLAGS', message };
    const index = syntaxErrorIndex(source, flags);
    return {
      id,
      code: 'ERR_PERF_PATTERNS_SYNTAX',
      message,
      ...(index === undefined ? undefined : { index }),
    };
  }
}

function flagsAreValid(flags: string): boolean {
  try {
    return new RegExp('', flags).flags.length === flags.length;
  } catch {
    return false;
  }
}

function syntaxErrorIndex(source: string, flags: string): number | undefined {
  try {
    new RegExpParser().parsePattern(source, 0, source.length, {
      unicode: flags.includes('u'),
      unicodeSets: flags.includes('v'),
    });
    return undefined;
  } catch (error) {
    return error instanceof RegExpSyntaxError ? error.index : undefined;
  }
}
