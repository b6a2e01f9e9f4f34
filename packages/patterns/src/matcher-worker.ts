/** One worker of a ParallelMatcher: a set of its own, texts from shared memory, and a note of what it is doing. */
import { workerData } from 'node:worker_threads';
import type { MatcherTask, MatcherWorkerData } from './parallel-protocol.ts';
import { PROGRESS_TEXT, PROGRESS_PATTERN, PROGRESS_SEQUENCE, textsOf } from './parallel-protocol.ts';
import { PatternSet, type PatternSetWatch } from './pattern-set.ts';

// piscina hands over its own channel in front of the user's data.
const data = (Array.isArray(workerData) ? workerData[1] : workerData) as MatcherWorkerData;
const set = PatternSet.deserialize(data.set);
const removed = new Set<string>();

/** Runs one batch. The result is aligned with the batch's texts. */
// oxlint-disable-next-line import/no-default-export -- what piscina calls
export default function run(task: MatcherTask): unknown {
  for (const id of task.quarantined) {
    if (!removed.has(id)) set.remove(id);
    removed.add(id);
  }
  const progress = new Int32Array(task.progress);
  const watch: PatternSetWatch = {
    onRun(ordinal) {
      Atomics.store(progress, PROGRESS_PATTERN, ordinal + 1);
      Atomics.add(progress, PROGRESS_SEQUENCE, 1);
    },
  };
  set.watch(watch);
  const results: unknown[] = [];
  let index = 0;
  for (const text of textsOf(task)) {
    Atomics.store(progress, PROGRESS_TEXT, index++);
    results.push(task.kind === 'ids' ? set.ids(text) : set.all(text));
  }
  Atomics.store(progress, PROGRESS_PATTERN, 0);
  return results;
}
