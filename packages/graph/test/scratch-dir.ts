import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

/** A folder for this test file, removed when it is done. */
export function scratchDir(): (name: string) => string {
  const dir = mkdtempSync(join(tmpdir(), 'perf-graph-'));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  return (name) => join(dir, name);
}
