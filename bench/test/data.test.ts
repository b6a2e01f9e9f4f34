import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

const dataFolder = path.join(import.meta.dirname, '../data');
/** In all, so that cloning stays quick. */
const MAX_TOTAL_BYTES = 10_000_000;

const subjects = readdirSync(dataFolder, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
}

/** The digest is stated on the line that names the file, or in the section whose heading is the file's name. */
function statedDigests(provenance: string, file: string): string[] {
  const lines = provenance.split('\n');
  const digests: string[] = [];
  let section = '';
  for (const line of lines) {
    if (line.startsWith('## ')) section = line.slice(3).trim();
    const digest = /\b[0-9a-f]{64}\b/.exec(line)?.[0];
    if (digest === undefined) continue;
    const words = line.split(/[|\s]+/);
    if (words.includes(file) || (section === file && /sha256/.test(line))) digests.push(digest);
  }
  return digests;
}

describe.each(subjects)('bench/data/%s', (subject) => {
  const folder = path.join(dataFolder, subject);
  const provenance = readFileSync(path.join(folder, 'PROVENANCE.md'), 'utf8');
  const files = filesBelow(folder).filter((file) => file !== 'PROVENANCE.md');

  test('has files', () => {
    expect(files.length).toBeGreaterThan(0);
  });

  test.each(files)('%s is the file whose sha256 its provenance states', (file) => {
    const digest = createHash('sha256')
      .update(readFileSync(path.join(folder, file)))
      .digest('hex');
    expect(statedDigests(provenance, file)).toEqual([digest]);
  });
});

test('the data is at most 10,000,000 bytes in all', () => {
  const total = filesBelow(dataFolder).reduce(
    (sum, file) => sum + statSync(path.join(dataFolder, file)).size,
    0,
  );
  expect(total).toBeLessThanOrEqual(MAX_TOTAL_BYTES);
});
