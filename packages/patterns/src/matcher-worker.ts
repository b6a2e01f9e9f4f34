/** One worker of a ParallelMatcher: a set of its own, texts from shared memory, and a note of what it is doing. */
import { workerData } from 'node:worker_threads';
import type { MatcherTask, MatcherWorkerData } from './parallel-protocol.ts';
import {
  packLists,
  PROGRESS_TEXT,
  PROGRESS_PATTERN,
  PROGRESS_SEQUENCE,
  textsOf,
} from './parallel-protocol.ts';
import { PatternSet, type PatternSetWatch } from './pattern-set.ts';

// piscina hands over its own channel in front of the user's data.
const data = (Array.isArray(workerData) ? workerData[1] : workerData) as MatcherWorkerData;
const set = PatternSet.deserialize(data.set);
const removed = new Set<string>();
const ordinals = new Map(set.definitions().map(({ id }, ordinal) => [id, ordinal]));
const ordinalOf = (id: string): number => ordinals.get(id) as number;

/** Runs one batch. The result is aligned with the batch's texts. */
// oxlint-disable-next-line import/no-default-export -- what piscina calls
export default function run(task: MatcherTask): unknown {
  for (const id of task.quarantined) {
    if (!removed.has(id)) set.remove(id);
    removed.add(id);
  }
  const progress = new Int32Array(task.progress);
  let sequence = 1;
  const watch: PatternSetWatch = {
    onRun(ordinal) {
      // Plain stores: the watchdog looks every few milliseconds, and an atomic one costs as much as a regex.
      progress[PROGRESS_PATTERN] = ordinal + 1;
      progress[PROGRESS_SEQUENCE] = sequence++;
    },
  };
  set.watch(watch);
  const results: unknown[] = [];
  let index = 0;
  for (const text of textsOf(task)) {
    progress[PROGRESS_TEXT] = index++;
    results.push(task.kind === 'ids' ? set.ids(text).map(ordinalOf) : set.all(text));
  }
  progress[PROGRESS_PATTERN] = 0;
  return task.kind === 'ids' ? packLists(results as number[][]) : results;
}
