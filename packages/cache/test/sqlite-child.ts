/** Writes entries until it is killed, and says after some batches how many are surely in the file. */
import { setImmediate as turn } from 'node:timers/promises';
import { SqliteTier } from '@perf/cache/sqlite';

const BATCH = 64;
const tier = SqliteTier.open({ path: process.argv.at(2) ?? '', maxPending: BATCH });
for (let i = 0; ; i++) {
  await tier.setMany([{ key: `k${i}`, value: new Uint8Array(100).fill(i % 251) }]);
  if (i % BATCH === BATCH - 1) await turn();
  if (i === 50 * BATCH - 1) process.send?.(i + 1);
}
