/** A process to be killed: takes ten jobs from a BullMQ store and never finishes them. Arguments: queue, port. */
import { BullMqJobStore } from '@perf/batch/bullmq';

const [queueName = '', port = ''] = process.argv.slice(2);
const store = await BullMqJobStore.open({
  queueName,
  connection: { host: '127.0.0.1', port: Number(port) },
  visibilityTimeoutMs: 300,
});
const jobs = await store.claim(10);
process.stdout.write(`${jobs.length}\n`);
