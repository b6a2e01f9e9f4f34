export { compilePatterns, PatternSet } from './pattern-set.ts';
export type {
  CompileResult,
  Explanation,
  PatternCost,
  PatternSetOptions,
  PatternSetStats,
} from './pattern-set.ts';
export type { PatternDef, PatternError, PatternErrorCode, PatternMatch } from './pattern-def.ts';
export { KeywordRouter } from './keyword-router.ts';
export type { Route, RoutedTask } from './keyword-router.ts';
export { PatternsError } from './errors.ts';
export type { PatternsErrorCode } from './errors.ts';
