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
