import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { SqliteError } from '@perf/sqlite';

/** An empty folder that is removed after the tests of the file. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'perf-sqlite-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Name and hash of every file of a folder. */
export function snapshot(folder: string): Record<string, string> {
  const files = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files.map(({ name }) => [
      name,
      createHash('sha256')
        .update(readFileSync(join(folder, name)))
        .digest('hex'),
    ]),
  );
}

/** The code of the SqliteError that `act` throws; any other outcome is reported as it is. */
export function codeThrownBy(act: () => unknown): unknown {
  try {
    return { returned: act() };
  } catch (failure) {
    return failure instanceof SqliteError ? failure.code : failure;
  }
}
