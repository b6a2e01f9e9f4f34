/** Counting o200k_base tokens, against js-tiktoken. */
import { ratioCase } from '@perf/bench';
import { countTokens } from '@perf/files';

interface Tiktoken {
  encode(text: string, allowedSpecial?: string[], disallowedSpecial?: string[]): number[];
}

interface JsTiktoken {
  getEncoding(name: string): Tiktoken;
}

export const cases = [
  ratioCase<readonly string[], number>({
    name: 'count-tokens',
    about: 'Counts the tokens of the first 400 recorded agent messages, one by one.',
    setup: (context) =>
      context.data('compression/tau-airline-messages.jsonl.gz').toString().trim().split('\n').slice(0, 400),
    operations: (messages) => messages.reduce((sum, { length }) => sum + length, 0),
    contenders: [
      {
        name: '@perf/files',
        ours: true,
        prepare: () => countTokens(''),
        run: (_state: number, messages) => messages.reduce((sum, message) => sum + countTokens(message), 0),
      },
      {
        name: 'js-tiktoken',
        peers: ['js-tiktoken'],
        prepare: async (_messages, context) => {
          const { getEncoding } = await context.peer<JsTiktoken>('js-tiktoken');
          return getEncoding('o200k_base');
        },
        run: (encoding: Tiktoken, messages) =>
          messages.reduce((sum, message) => sum + encoding.encode(message, [], []).length, 0),
      },
    ],
    validate: (tokens, messages) => {
      const expected = messages.reduce((sum, message) => sum + countTokens(message), 0);
      if (tokens !== expected || tokens < 1000) throw new Error(`counted ${tokens} tokens, not ${expected}`);
    },
    goals: [{ versus: 'js-tiktoken', atLeast: 1 }],
  }),
];
