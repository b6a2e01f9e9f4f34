import { join } from 'node:path';
import type { CaseContext } from '@perf/bench';

/** Recorded messages of agents that book flights (bench/data/compression/PROVENANCE.md). */
export function readMessages(context: CaseContext, count: number): readonly string[] {
  const lines = context.data('compression/tau-airline-messages.jsonl.gz').toString('utf8').split('\n');
  const messages = lines.filter((line) => line !== '').slice(0, count);
  if (messages.length !== count) throw new Error(`the recording has only ${messages.length} messages`);
  return messages;
}

/** A path for each call, in the fork's own folder. */
export function freshPaths(context: CaseContext): () => string {
  let files = 0;
  return () => join(context.scratchDir, `${files++}.db`);
}

export const SCHEMA = 'CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY, text TEXT NOT NULL)';
