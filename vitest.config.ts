// The one test configuration: every package runs `vitest run --config ../../vitest.config.ts` from its own folder.
// Tests see the sources (condition `@perf/source`), in vitest's own resolver and in the workers and child processes
// that tests start; benches and users see `dist`.
import path from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  root: process.cwd(),
  resolve: { conditions: ['@perf/source', 'node', 'import', 'module', 'default'] },
  ssr: { resolve: { conditions: ['@perf/source', 'node', 'import', 'module', 'default'] } },
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    execArgv: ['--conditions=@perf/source', '--expose-gc'],
    // Beside turbo's cache, not in node_modules, whose size is bounded.
    fsModuleCachePath: path.join(import.meta.dirname, '.turbo/vitest-modules'),
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: ['default', ['json', { outputFile: '.results/vitest.json' }]],
  },
});
