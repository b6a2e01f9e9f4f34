/** An answer that is there already: what the key, the tiers and the counting cost over a bare Map. */
import { createHash } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import path from 'node:path';
import { ratioCase } from '@perf/bench';
import type { RatioCase } from '@perf/bench';
import { PerformanceSystem } from '@perf/system';
import { recordedMessages } from './recorded-messages.ts';

const REQUESTS = 200;
const ROUNDS = 10;

interface Input {
  readonly requests: readonly object[];
}

const answerTo = (index: number): string => `answer ${index}`;

export const cases: readonly RatioCase[] = [
  ratioCase<Input, number>({
    name: 'respond-hit',
    about: `${REQUESTS} different requests with a recorded message each, all answered before, asked ${ROUNDS} times over.`,
    setup(context) {
      const messages = recordedMessages(context, REQUESTS);
      const requests = messages.map((content, n) => ({
        model: 'model',
        temperature: 0,
        messages: [{ role: 'user', content: `${n} ${content}` }],
      }));
      return { requests };
    },
    operations: () => REQUESTS * ROUNDS,
    validate(answer) {
      const expected =
        Array.from({ length: REQUESTS }, (_, n) => answerTo(n).length).reduce((a, b) => a + b) * ROUNDS;
      if (answer !== expected) throw new Error(`answers of ${answer} characters instead of ${expected}`);
    },
    contenders: [
      {
        name: '@perf/system',
        ours: true,
        async prepare({ requests }, context) {
          const dir = mkdtempSync(path.join(context.scratchDir, 'run-'));
          const system = await PerformanceSystem.open({ dir, starterPatterns: false });
          for (const [n, request] of requests.entries())
            await system.respond(request, async () => answerTo(n));
          return system;
        },
        async run(system: PerformanceSystem, { requests }) {
          let characters = 0;
          for (let round = 0; round < ROUNDS; round++) {
            for (const request of requests) {
              const answer = await system.respond(request, () => Promise.reject(new Error('asked again')));
              characters += (answer as string).length;
            }
          }
          return characters;
        },
        dispose: (system: PerformanceSystem) => system.shutdown(),
      },
      {
        name: 'Map by SHA-256 of JSON.stringify',
        prepare({ requests }) {
          return new Map(requests.map((request, n) => [hashOf(request), answerTo(n)]));
        },
        async run(answers: Map<string, string>, { requests }) {
          let characters = 0;
          for (let round = 0; round < ROUNDS; round++) {
            for (const request of requests) {
              const answer = await Promise.resolve(answers.get(hashOf(request)));
              characters += answer?.length ?? 0;
            }
          }
          return characters;
        },
      },
    ],
  }),
];

function hashOf(request: object): string {
  return createHash('sha256').update(JSON.stringify(request)).digest('base64url');
}
