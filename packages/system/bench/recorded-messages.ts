// The first messages of a recorded agent session, as text.
import type { CaseContext } from '@perf/bench';

export function recordedMessages(context: CaseContext, count: number): string[] {
  const lines = context.data('system/claude-session-ae4a77f8.jsonl.gz').toString('utf8').split('\n');
  if (lines.length < count) throw new Error(`the recording has only ${lines.length} messages`);
  return lines.slice(0, count);
}
