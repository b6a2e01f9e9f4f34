/**
 * The languages whose syntax is known, and their grammars. A grammar is a WebAssembly module of tree-sitter, shipped
 * compressed in `grammars/` (see PROVENANCE.md there) and compiled when it is asked for.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { brotliDecompress } from 'node:zlib';
import type { Language, Tree } from 'web-tree-sitter';
import { FilesError } from './errors.ts';

/** Other names of languages, file extensions among them. */
const ALIASES: Readonly<Record<string, string>> = {
  js: 'javascript',
  mjs: 'javascript',
  cjs: 'javascript',
  jsx: 'javascript',
  ts: 'typescript',
  mts: 'typescript',
  cts: 'typescript',
  py: 'python',
  pyi: 'python',
  rs: 'rust',
};

const GRAMMARS: readonly string[] = ['javascript', 'typescript', 'tsx', 'python', 'go', 'rust', 'java'];

// A compiled grammar belongs to the process, like the WebAssembly runtime of tree-sitter it lives in: loading it is
// asynchronous, chunking is not, so what was loaded is remembered here. Nothing is loaded by importing this module.
const loaded = new Map<
  string,
  { readonly language: Language; readonly parse: (text: string) => Tree | undefined }
>();
const loading = new Map<string, Promise<void>>();

/** The name a language goes by here: lower case, without alias. */
export function canonicalLanguage(language: string): string {
  if (typeof language !== 'string' || language === '') throw new TypeError('language must be a name');
  const name = language.toLowerCase();
  return Object.hasOwn(ALIASES, name) ? (ALIASES[name] as string) : name;
}

/** The language of a file, by its extension; `'text'` when that says nothing. */
export function languageOfPath(file: string): string {
  const extension = path.extname(file).slice(1);
  const language = extension === '' ? 'text' : canonicalLanguage(extension);
  return GRAMMARS.includes(language) ? language : 'text';
}

/** Whether there is a grammar for it, loaded or not. */
export function hasGrammar(language: string): boolean {
  return GRAMMARS.includes(canonicalLanguage(language));
}

/** Languages that {@link loadLanguage} can load. */
export function supportedLanguages(): readonly string[] {
  return [...GRAMMARS];
}

/**
 * Compiles the grammar of a language, once per process; from then on `chunkText` cuts it at its syntax.
 * @throws {FilesError} ERR_PERF_FILES_UNKNOWN_LANGUAGE when there is no grammar for it.
 */
export async function loadLanguage(language: string): Promise<void> {
  const name = canonicalLanguage(language);
  if (!GRAMMARS.includes(name)) {
    throw new FilesError(
      'ERR_PERF_FILES_UNKNOWN_LANGUAGE',
      `no grammar for ${name}; there are ${GRAMMARS.join(', ')}`,
    );
  }
  const started = loading.get(name) ?? compile(name);
  loading.set(name, started);
  try {
    await started;
  } catch (error) {
    loading.delete(name);
    throw error;
  }
}

async function compile(name: string): Promise<void> {
  const [{ Language, Parser }, compressed] = await Promise.all([
    import('web-tree-sitter'),
    readFile(new URL(`../grammars/${name}.wasm.br`, import.meta.url)),
  ]);
  await Parser.init();
  const language = await Language.load(await promisify(brotliDecompress)(compressed));
  const parse = (text: string): Tree | undefined => {
    const parser = new Parser();
    try {
      parser.setLanguage(language);
      return parser.parse(text) ?? undefined;
    } finally {
      parser.delete();
    }
  };
  loaded.set(name, { language, parse });
}

/** The syntax tree, which the caller deletes; `undefined` when the grammar is not loaded. */
export function parseLoaded(text: string, language: string): Tree | undefined {
  return loaded.get(canonicalLanguage(language))?.parse(text);
}
