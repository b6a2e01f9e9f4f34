import { getHeapStatistics } from 'node:v8';
import type { PressureReading, PressureSource } from './pressure-source.ts';

/** V8's heap against the limit at which the process aborts (--max-old-space-size and the young generation). */
export class HeapSource implements PressureSource {
  readonly name = 'heap';

  read(): PressureReading {
    const { used_heap_size: usedBytes, heap_size_limit: limitBytes } = getHeapStatistics();
    return { value: usedBytes / limitBytes, usedBytes, limitBytes };
  }
}
