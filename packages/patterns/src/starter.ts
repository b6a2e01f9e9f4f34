/**
 * `@perf/patterns/starter`: what failures look like in the output of the tools that coding agents run. Each pattern
 * brings the texts that show what it matches and what it leaves alone; they run as tests.
 */
import { gitPatterns } from './starter-library/git.ts';
import { goPatterns } from './starter-library/go.ts';
import { httpPatterns } from './starter-library/http.ts';
import { javaPatterns } from './starter-library/java.ts';
import { nodePatterns } from './starter-library/node.ts';
import { npmPatterns } from './starter-library/package-manager.ts';
import { pythonPatterns } from './starter-library/python.ts';
import { rustPatterns } from './starter-library/rust.ts';
import { shellPatterns } from './starter-library/shell.ts';
import { sqlPatterns } from './starter-library/sql.ts';
import type { StarterPattern } from './starter-library/starter-pattern.ts';

export type { FailureType, Severity, StarterPattern } from './starter-library/starter-pattern.ts';

/** All of them; the ids are `<ecosystem>/<name>`, the priority follows the severity. */
export const starterPatterns: readonly StarterPattern[] = [
  ...nodePatterns,
  ...npmPatterns,
  ...pythonPatterns,
  ...javaPatterns,
  ...goPatterns,
  ...rustPatterns,
  ...gitPatterns,
  ...httpPatterns,
  ...sqlPatterns,
  ...shellPatterns,
];
