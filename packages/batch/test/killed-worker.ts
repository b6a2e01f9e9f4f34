/**
 * A process to be killed: adds jobs through a Batcher on a SqliteJobStore as fast as it can, and writes down, in the order
 * they happen, what was acknowledged (`a <n>`) and what was processed (`p <n>`), with plain synchronous appends that outlive
 * the process. Arguments: database, journal, first number, how many producers.
 */
import { openSync, writeSync } from 'node:fs';
import { Batcher } from '@perf/batch';
import { SqliteJobStore } from '@perf/batch/sqlite';

const [database = '', journal = '', first = '0', producers = '8'] = process.argv.slice(2);
// Once, so that the compiled modules are kept: a killed process keeps nothing.
if (producers === '0') process.exit();
const output = openSync(journal, 'a');
const store = SqliteJobStore.open<number>({ path: database, durability: 'process-crash' });
let failing = 0;
const batcher = new Batcher<number>({
  store,
  maxItems: 10,
  concurrency: 2,
  retry: { maxAttempts: 1000, baseDelayMs: 1 },
  process: async (items, { jobs }) => {
    await new Promise((resolve) => setImmediate(resolve));
    // Now and then a batch fails and comes again.
    if (++failing % 50 === 0) throw new Error('now and then');
    writeSync(output, items.map((item, i) => `p ${item} ${jobs[i]?.id}\n`).join(''));
  },
});
let next = Number(first);
const produce = async (): Promise<void> => {
  for (;;) {
    const item = next++;
    const id = await batcher.add(item, {
      priority: item % 8,
      ...(item % 3 === 0 ? { key: `key ${item}` } : {}),
    }).accepted;
    writeSync(output, `a ${item} ${id}\n`);
  }
};
writeSync(output, 'up\n');
await Promise.all(Array.from({ length: Number(producers) }, produce));
