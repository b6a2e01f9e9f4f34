// The ceiling of the recording: how many tool results a cache with unlimited room and perfect knowledge of what changed
// could have answered. A result is achievable when the same call has been made before and its newest result is the same.
import type { Recording } from './recording.ts';
import { ToolEnvironment } from './tool-environment.ts';

export interface AchievableHits {
  /** Calls that the cache is asked for. */
  readonly lookups: number;
  readonly hits: number;
}

/** One pass over all recordings, agent by agent. O(results). */
export function achievableHits(recordings: readonly Recording[]): AchievableHits {
  const newest = new Map<string, string>();
  let lookups = 0;
  let hits = 0;
  for (const { agent, events, resets } of recordings) {
    const environment = new ToolEnvironment(agent, resets);
    for (const result of events.flatMap((event) => event.results)) {
      if (environment.effectOf(result).kind !== 'read') continue;
      const key = environment.callKey(result);
      lookups += 1;
      if (!result.isError && newest.get(key) === result.output) hits += 1;
      if (result.isError) newest.delete(key);
      else newest.set(key, result.output);
    }
  }
  return { lookups, hits };
}
