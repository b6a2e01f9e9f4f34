// A process that writes into a system and says when; its parent kills it, or lets it end by itself.
import { setTimeout as pause } from 'node:timers/promises';
import { PerformanceSystem } from '@perf/system';

const [, , dir = '', mode = ''] = process.argv;
const system = await PerformanceSystem.open({
  dir,
  durability: mode === 'sync' ? 'sync' : 'batched',
  starterPatterns: false,
});

if (mode === 'ends') {
  // Neither shut down nor told to exit: nothing of the system may keep the process alive.
  await system.recordMessage('s', 'last words');
  await system.flush();
} else if (mode === 'open-fails') {
  process.stdout.write('opened');
} else {
  await system.storePattern({ id: 'p', source: 'x' });
  for (let n = 0; n < 500; n++) {
    await system.recordMessage('s', `message ${n}`);
    if (n % 10 === 0) system.detect('x');
    if (mode === 'sync') process.stdout.write(`${n}\n`);
  }
  if (mode === 'flush') {
    await system.flush();
    process.stdout.write('flushed\n');
  }
  await pause(60_000);
}
