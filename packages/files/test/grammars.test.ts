import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { brotliDecompressSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { chunkText, loadLanguage, supportedLanguages } from '@perf/files';

const provenance = readFileSync(new URL('../grammars/PROVENANCE.md', import.meta.url), 'utf8');

it.each(supportedLanguages())(
  'ships the grammar of %s as its provenance says, and it loads',
  async (language) => {
    const compressed = readFileSync(new URL(`../grammars/${language}.wasm.br`, import.meta.url));
    const sha256 = createHash('sha256').update(brotliDecompressSync(compressed)).digest('hex');
    expect(provenance).toContain(sha256);
    await Promise.all([loadLanguage(language), loadLanguage(language)]);
    expect(chunkText('x', { language })[0]?.kind).not.toBe('unparsed');
  },
);
