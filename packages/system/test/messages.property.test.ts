import fc from 'fast-check';
import { expect, it } from 'vitest';
import { collect } from './opened-system.ts';
import { createTestPerformanceSystem } from '@perf/system';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const message = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme', maxLength: 200 }),
  fc.uint8Array({ maxLength: 300 }),
  fc.jsonValue().map((value) => JSON.stringify(value)),
);
const action = fc.oneof(
  { weight: 12, arbitrary: fc.record({ session: fc.constantFrom('a', 'b', 'ä🙂'), message }) },
  { weight: 1, arbitrary: fc.constantFrom('reopen' as const, 'flush' as const, 'read' as const) },
);

it('messages of interleaved sessions come back byte for byte, in order, across reopens', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 60 }), async (actions) => {
      const dir = mkdtempSync(path.join(tmpdir(), 'perf-system-bytes-'));
      const open = (): ReturnType<typeof createTestPerformanceSystem> =>
        createTestPerformanceSystem({ dir, starterPatterns: false, lingerMs: 1 });
      const expected = new Map<string, Buffer[]>();
      const writes: Promise<void>[] = [];
      let system = await open();
      const check = async (): Promise<void> => {
        for (const [session, messages] of expected)
          expect(await collect(system.messages(session))).toEqual(messages);
      };
      try {
        for (const one of actions) {
          if (one === 'read') await check();
          else if (one === 'flush') await system.flush();
          else if (one === 'reopen') {
            // Not awaited writes are accepted ones: shutdown commits them.
            await system.shutdown();
            system = await open();
          } else {
            const bytes = Buffer.from(one.message as string);
            expected.set(one.session, [...(expected.get(one.session) ?? []), bytes]);
            writes.push(system.recordMessage(one.session, one.message));
          }
        }
        await Promise.all(writes);
        await check();
        const total = [...expected.values()].flat();
        expect(system.getStatistics().sessions).toMatchObject({
          messages: total.length,
          rawBytes: total.reduce((sum, { length }) => sum + length, 0),
        });
      } finally {
        await system.shutdown();
        rmSync(dir, { recursive: true, force: true });
      }
    }),
    { numRuns: 25 },
  );
});
