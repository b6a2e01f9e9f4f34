/** `@perf/patterns/library`: patterns in SQLite. Needs the peer `@perf/sqlite`. */
export { PatternLibrary } from './pattern-library.ts';
export type {
  Json,
  LibraryOptions,
  LibraryPatternDef,
  ListOptions,
  PruneOptions,
  StoredPattern,
} from './pattern-library.ts';
export { fromGrok, fromList, fromUapCore } from './pattern-import.ts';
export type { UapSection } from './pattern-import.ts';
