// The recordings that the demo replays, read into one shape: agents, each with its events in the recorded order. An event
// keeps the exact text it was recorded as, so that what was stored can be compared with it byte for byte.
//
//   claude-session, claude-subagent   Claude Code transcripts: one JSON line an event
//   tau-airline                       tool-calling runs: OpenAI chat messages; every run starts from a fresh environment
//   tau-retail                        dialogues as display text
//   sweagent                          SWE-agent trajectories: one action and its observation a step
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';

/** A tool call with the result it was recorded with. */
export interface ToolResult {
  readonly tool: string;
  readonly args: Readonly<Record<string, unknown>>;
  readonly output: string;
  readonly isError: boolean;
}

export interface Usage {
  readonly model: string;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Part of the input that the provider served from its prompt cache. */
  readonly cachedTokens: number;
  readonly cacheWriteTokens: number;
}

export interface ReplayEvent {
  /** As recorded, to the byte. */
  readonly raw: string;
  readonly role: string;
  readonly results: readonly ToolResult[];
  /** Set on the last event of a model's answer only, so that summing counts every answer once. */
  readonly usage?: Usage;
  /** The environment that tools act on was reset before this event. */
  readonly resetsEnvironment?: true;
}

export interface Recording {
  /** Name of the agent, unique. */
  readonly agent: string;
  readonly source: string;
  readonly files: readonly string[];
  readonly events: readonly ReplayEvent[];
  readonly rawBytes: number;
  /** Its environment goes back to the start between runs. */
  readonly resets: boolean;
}

const unzip = promisify(gunzip);

/** A folder or a file that is not a recording; its message is for the user. */
export class RecordingError extends Error {
  override readonly name = 'RecordingError';
}

interface RecordedFile {
  readonly text: string;
}

/**
 * Reads every recording below `folder`. Eight agents come out of the bundled data: three sessions, two sub-agents, one
 * agent for the SWE-agent trajectories, one for the airline runs, one for the retail dialogues.
 * @throws {RecordingError} when the folder cannot be read or holds no recording, or a file is not what its name says.
 */
export async function loadRecordings(folder: string): Promise<Recording[]> {
  const entries = await readdir(folder).catch((cause: unknown) => {
    throw new RecordingError(`the folder ${folder} cannot be read: ${messageOf(cause)}`, { cause });
  });
  const names = entries.filter((name) => name.endsWith('.gz')).toSorted();
  const recordings: Recording[] = [];
  const grouped = new Map<string, { source: string; files: string[]; events: ReplayEvent[] }>();
  for (const name of names) {
    const reader = readers.find((r) => name.startsWith(r.prefix));
    if (!reader) continue;
    let events: ReplayEvent[];
    try {
      const text = (await unzip(await readFile(path.join(folder, name)))).toString('utf8');
      // The dashboard is up already: parsing one file at a time leaves it its turns.
      await nextTurn();
      events = reader.read({ text });
    } catch (cause) {
      const message = `${path.join(folder, name)} is not a recording of the kind its name says: ${messageOf(cause)}`;
      throw new RecordingError(message, { cause });
    }
    const agent = reader.together ?? name.replace(/\.(jsonl|traj)\.gz$/, '');
    const group = grouped.get(agent) ?? { source: reader.source, files: [], events: [] };
    group.files.push(name);
    group.events.push(...events);
    grouped.set(agent, group);
  }
  for (const [agent, { source, files, events }] of grouped) {
    const rawBytes = events.reduce((sum, event) => sum + Buffer.byteLength(event.raw), 0);
    const resets = events.some((event) => event.resetsEnvironment === true);
    recordings.push({ agent, source, files, events, rawBytes, resets });
  }
  if (recordings.length === 0) throw new RecordingError(`there are no recordings in ${folder}`);
  return recordings;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

interface Reader {
  readonly prefix: string;
  readonly source: string;
  /** Files of this kind are one agent of this name; default: an agent each. */
  readonly together?: string;
  read(file: RecordedFile): ReplayEvent[];
}

const readers: readonly Reader[] = [
  { prefix: 'claude-', source: 'Claude Code session', read: readClaude },
  { prefix: 'sweagent-', source: 'SWE-agent trajectory', together: 'sweagent', read: readSweAgent },
  { prefix: 'tau-airline', source: 'tau-bench airline run', together: 'tau-airline', read: readTauRuns },
  {
    prefix: 'tau-retail',
    source: 'tau-bench retail dialogue',
    together: 'tau-retail',
    read: readTauDialogues,
  },
];

const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');

interface ClaudeLine {
  readonly type?: string;
  readonly message?: {
    readonly id?: string;
    readonly role?: string;
    readonly model?: string;
    readonly content?: string | readonly ClaudeBlock[];
    readonly usage?: Readonly<Record<string, unknown>>;
  };
}

interface ClaudeBlock {
  readonly type: string;
  readonly id?: string;
  readonly name?: string;
  readonly input?: Record<string, unknown>;
  readonly tool_use_id?: string;
  readonly content?: unknown;
  readonly is_error?: boolean;
}

function readClaude({ text }: RecordedFile): ReplayEvent[] {
  const raws = lines(text);
  const parsed = raws.map((raw) => JSON.parse(raw) as ClaudeLine);
  // An answer is spread over several lines that repeat its usage, growing: the last line has the final count.
  const lastLineOf = new Map<string, number>();
  for (const [index, { message }] of parsed.entries()) {
    if (message?.id !== undefined && message.usage !== undefined) lastLineOf.set(message.id, index);
  }
  const calls = new Map<string, { tool: string; args: Record<string, unknown> }>();
  return parsed.map((line, index) => {
    const { message } = line;
    const results: ToolResult[] = [];
    for (const block of Array.isArray(message?.content) ? (message.content as readonly ClaudeBlock[]) : []) {
      if (block.type === 'tool_use' && block.id !== undefined) {
        calls.set(block.id, { tool: block.name ?? 'unknown', args: block.input ?? {} });
      } else if (block.type === 'tool_result' && block.tool_use_id !== undefined) {
        const call = calls.get(block.tool_use_id) ?? { tool: 'unknown', args: {} };
        results.push({ ...call, output: plainText(block.content), isError: block.is_error === true });
      }
    }
    const final = message?.id !== undefined && lastLineOf.get(message.id) === index;
    return {
      raw: raws[index] ?? '',
      role: message?.role ?? line.type ?? 'event',
      results,
      ...(final && message.usage ? { usage: claudeUsage(message.model ?? 'unknown', message.usage) } : {}),
    };
  });
}

function claudeUsage(model: string, usage: Readonly<Record<string, unknown>>): Usage {
  const count = (key: string): number => (typeof usage[key] === 'number' ? usage[key] : 0);
  const cachedTokens = count('cache_read_input_tokens');
  const cacheWriteTokens = count('cache_creation_input_tokens');
  return {
    model,
    inputTokens: count('input_tokens') + cachedTokens + cacheWriteTokens,
    outputTokens: count('output_tokens'),
    cachedTokens,
    cacheWriteTokens,
  };
}

/** The text of a tool result's content: a string, or a list of blocks of which the text ones count. */
function plainText(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return content === undefined ? '' : JSON.stringify(content);
  return content
    .map((block: { text?: unknown }) => (typeof block.text === 'string' ? block.text : JSON.stringify(block)))
    .join('\n');
}

interface ChatMessage {
  readonly role: string;
  readonly content?: string | null;
  readonly tool_call_id?: string;
  readonly tool_calls?: readonly { id: string; function: { name: string; arguments: string } }[] | null;
}

function readTauRuns({ text }: RecordedFile): ReplayEvent[] {
  const events: ReplayEvent[] = [];
  for (const line of lines(text)) {
    const run = JSON.parse(line) as { readonly traj: readonly ChatMessage[] };
    const calls = new Map<string, { tool: string; args: Record<string, unknown> }>();
    for (const [index, message] of run.traj.entries()) {
      for (const call of message.tool_calls ?? []) {
        const args = JSON.parse(call.function.arguments) as Record<string, unknown>;
        calls.set(call.id, { tool: call.function.name, args });
      }
      const call = message.role === 'tool' ? calls.get(message.tool_call_id ?? '') : undefined;
      const output = message.content ?? '';
      events.push({
        raw: JSON.stringify(message),
        role: message.role,
        results: call ? [{ ...call, output, isError: output.startsWith('Error') }] : [],
        ...(index === 0 ? { resetsEnvironment: true as const } : {}),
      });
    }
  }
  return events;
}

function readTauDialogues({ text }: RecordedFile): ReplayEvent[] {
  const events: ReplayEvent[] = [];
  for (const line of lines(text)) {
    const { messages_display: display } = JSON.parse(line) as { readonly messages_display: string };
    // Turns begin with a role at the start of a line; a turn itself may hold further lines.
    for (const turn of display.split(/\n(?=(?:user|assistant|tool): )/)) {
      events.push({ raw: turn, role: /^(\w+):/.exec(turn)?.[1] ?? 'event', results: [] });
    }
  }
  return events;
}

function readSweAgent({ text }: RecordedFile): ReplayEvent[] {
  const { trajectory } = JSON.parse(text) as {
    readonly trajectory: readonly { readonly action: string; readonly observation: string }[];
  };
  return trajectory.map((step, index) => {
    const action = step.action.trim();
    const [tool = 'unknown'] = action.split(/\s/, 1);
    return {
      raw: JSON.stringify(step),
      role: 'assistant',
      results: [{ tool, args: { command: action }, output: step.observation, isError: false }],
      ...(index === 0 ? { resetsEnvironment: true as const } : {}),
    };
  });
}
