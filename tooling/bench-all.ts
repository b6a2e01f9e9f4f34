/** `pnpm bench`: every package's cases and one report; the work is in `bench/src/workspace-run.ts`. */
import path from 'node:path';

import { runWorkspace } from '@perf/bench/workspace';

const interrupt = new AbortController();
process.once('SIGINT', () => interrupt.abort());
process.once('SIGTERM', () => interrupt.abort());
process.exitCode = await runWorkspace({
  root: path.resolve(import.meta.dirname, '..'),
  argv: process.argv.slice(2),
  output: process.stdout,
  signal: interrupt.signal,
});
