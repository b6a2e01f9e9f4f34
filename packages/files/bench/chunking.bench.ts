/** Cutting recorded agent transcripts and source code, against LangChain's splitters. */
import { readFileSync } from 'node:fs';
import { ratioCase } from '@perf/bench';
import { chunkText, loadLanguage } from '@perf/files';

interface Splitter {
  splitText(text: string): Promise<string[]>;
}

interface LangChain {
  readonly RecursiveCharacterTextSplitter: {
    new (o: object): Splitter;
    fromLanguage(language: string, o: object): Splitter;
  };
}

const MAX_CHARS = 2000;
const LIMITS = { chunkSize: MAX_CHARS, chunkOverlap: 0 };

function check(chunks: readonly string[], text: string): void {
  if (chunks.some((chunk) => chunk.length > MAX_CHARS)) throw new Error('a chunk is too long');
  // LangChain trims blanks at the ends of chunks; what is left must be there in order.
  const packed = (s: string): string => s.replaceAll(/\s+/g, '');
  if (packed(chunks.join('')) !== packed(text)) throw new Error('the chunks are not the text');
}

export const cases = [
  ratioCase<string, readonly string[]>({
    name: 'chunk-text',
    about: 'Cuts 3.2 MB of recorded agent messages into chunks of at most 2000 characters.',
    setup: (context) =>
      context
        .data('compression/tau-airline-messages.jsonl.gz')
        .toString()
        .replaceAll(String.raw`\n`, '\n'),
    operations: ({ length }) => length,
    contenders: [
      {
        name: '@perf/files',
        ours: true,
        prepare: () => undefined,
        run: (_state: undefined, text) =>
          chunkText(text, { language: 'text', maxChars: MAX_CHARS }).map((chunk) => chunk.text),
      },
      {
        name: '@langchain/textsplitters',
        peers: ['@langchain/textsplitters', '@langchain/core'],
        prepare: async (_text, context) => {
          const { RecursiveCharacterTextSplitter } =
            await context.peer<LangChain>('@langchain/textsplitters');
          return new RecursiveCharacterTextSplitter(LIMITS);
        },
        run: (splitter: Splitter, text) => splitter.splitText(text),
      },
    ],
    validate: check,
    goals: [{ versus: '@langchain/textsplitters', atLeast: 1 }],
  }),
  ratioCase<string, readonly string[]>({
    name: 'chunk-source',
    about: 'Cuts TypeScript (this package, eight times over) at its syntax; LangChain at keywords.',
    setup: async () => {
      await loadLanguage('typescript');
      const names = [
        'chunk-text',
        'chunker',
        'language',
        'large-file',
        'source-document',
        'syntax-tree',
        'tokens',
      ];
      const read = (name: string): string =>
        readFileSync(new URL(`../src/${name}.ts`, import.meta.url), 'utf8');
      return names.map(read).join('\n').repeat(8);
    },
    operations: ({ length }) => length,
    contenders: [
      {
        name: '@perf/files',
        ours: true,
        prepare: () => undefined,
        run: (_state: undefined, text) =>
          chunkText(text, { language: 'typescript', maxChars: MAX_CHARS }).map((chunk) => chunk.text),
      },
      {
        name: '@langchain/textsplitters',
        peers: ['@langchain/textsplitters', '@langchain/core'],
        prepare: async (_text, context) => {
          const { RecursiveCharacterTextSplitter } =
            await context.peer<LangChain>('@langchain/textsplitters');
          return RecursiveCharacterTextSplitter.fromLanguage('js', LIMITS);
        },
        run: (splitter: Splitter, text) => splitter.splitText(text),
      },
    ],
    validate: check,
  }),
];
