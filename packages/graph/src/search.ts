// From what a person types to an FTS5 query.

export interface SearchOptions {
  /** Nodes returned at most, after selection. Default 20. */
  readonly limit?: number | undefined;
  /** `'all'` words must occur, or `'any'`; `'fts5'` passes the text on as an FTS5 query. Default `'all'`. */
  readonly match?: 'all' | 'any' | 'fts5' | undefined;
  readonly nodeTypes?: readonly string[] | undefined;
  readonly minConfidence?: number | undefined;
}

const WORD = /[\p{L}\p{N}\p{M}\p{Co}]+/gu;

/** The FTS5 query, or undefined when the text has no word. Operators in the text are words like any other. */
export function matchExpression(text: string, match: 'all' | 'any' | 'fts5'): string | undefined {
  if (match === 'fts5') return text;
  const words = text.match(WORD);
  if (words === null) return undefined;
  return words.map((word) => `"${word}"`).join(match === 'all' ? ' AND ' : ' OR ');
}
