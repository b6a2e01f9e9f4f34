// Chat messages of recorded agent sessions, as the compression cases use them: trained on the first four fifths of the
// recording, timed and measured on messages of the last, which come from later sessions.
import type { CaseContext } from '@perf/bench';
import type { Dictionary } from '@perf/compression';
import { trainDictionary } from '@perf/compression';

export interface RecordedMessages {
  /** JSON text of each message. */
  readonly messages: readonly Uint8Array[];
  readonly rawBytes: number;
  readonly dictionary: Dictionary;
}

/** One message in so many is used, to keep a run short. */
const EVERY = 4;

export function recordedMessages(context: CaseContext): RecordedMessages {
  const lines = context.data('compression/tau-airline-messages.jsonl.gz').toString().trim().split('\n');
  const all = lines.map((line) => Uint8Array.from(Buffer.from(line)));
  const training = all.slice(0, Math.floor(all.length * 0.8));
  const messages = all.slice(training.length).filter((_, i) => i % EVERY === 0);
  return {
    messages,
    rawBytes: messages.reduce((sum, message) => sum + message.length, 0),
    dictionary: trainDictionary(training, { maxBytes: 32 * 1024 }),
  };
}
