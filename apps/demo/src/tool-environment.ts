// What a tool call does to the cache. A read is answered from the cache and tagged with what it read; a write names the tags
// that it makes old. Where a command's effect is not known it counts as a write of everything in the agent's environment: a
// lost hit costs time, a stale read is an error.
//
// An environment that is reset between runs goes back to what it was at the start. So what a run has written lies over the
// start as a layer of its own: a read of something written in this run has a key that belongs to the run, every other read
// has the key it has in every run. A write makes entries of the run's layer old, the reset all of them, and what was read
// of the start stays true. Without resets there is one layer, and a write makes every entry of what it wrote old.
import type { ToolResult } from './recording.ts';

export type ToolCall = Pick<ToolResult, 'tool' | 'args'>;

export type CacheEffect =
  | { readonly kind: 'read'; readonly key: string; readonly tags: readonly string[] }
  | { readonly kind: 'write'; readonly tags: readonly string[] }
  | { readonly kind: 'neither' };

const fileReaders = new Set(['Read']);
const treeReaders = new Set(['Grep', 'Glob', 'LS']);
const fileWriters = new Set(['Edit', 'Write', 'MultiEdit', 'NotebookEdit']);
/** Functions of their arguments, or of a timetable that no tool of theirs changes. */
const pureTools = new Set([
  'calculate',
  'think',
  'list_all_airports',
  'search_direct_flight',
  'search_onestop_flight',
]);
const recordReaders = /^(get|find)_/;
const recordWriters = /^(book|cancel|update|modify|return|exchange|send|transfer)_/;

/** Programs that only look. A command line is a read of the tree when every program in it is one of these. */
const lookers = new Set(
  'ls cat head tail grep rg wc pwd echo which file stat tree sort uniq cut diff true printf date'.split(' '),
);
const gitLookers = new Set('status log diff show rev-parse blame ls-files'.split(' '));
const sweReaders = new Set([
  'open',
  'find_file',
  'search_dir',
  'search_file',
  'goto',
  'scroll_down',
  'scroll_up',
]);

/** What decides which results may be answered from the cache. */
export interface Environment {
  effectOf(call: ToolCall): CacheEffect;
  /** Ends a run; the tags of what belonged to it alone. */
  reset(): readonly string[];
}

/** The files, or the records, that one agent's tools act on. */
export class ToolEnvironment implements Environment {
  readonly #agent: string;
  readonly #isReset: boolean;
  #run = 0;
  /** What this run has written, as tags of the start. */
  readonly #written = new Set<string>();
  /** Users whose records were asked for in this run: a write may move the balance of any of them. */
  readonly #users = new Set<string>();

  /** @param isReset whether the environment goes back to its start between runs. */
  constructor(agent: string, isReset: boolean) {
    this.#agent = agent;
    this.#isReset = isReset;
  }

  /** What the call does to the cache; a write is remembered until the next reset. */
  effectOf(call: ToolCall): CacheEffect {
    const effect = this.#effectOf(call);
    if (!this.#isReset || effect.kind === 'neither') return effect;
    if (effect.kind === 'write') {
      for (const tag of effect.tags) this.#written.add(tag);
      return { kind: 'write', tags: effect.tags.map((tag) => this.#inRun(tag)) };
    }
    if (!effect.tags.some((tag) => this.#written.has(tag))) return effect;
    return {
      kind: 'read',
      key: this.#inRun(effect.key),
      tags: [this.#inRun(''), ...effect.tags.map((t) => this.#inRun(t))],
    };
  }

  /** Ends the run. Returns the tags of what belonged to it alone. */
  reset(): string[] {
    const tags = [this.#inRun('')];
    this.#written.clear();
    this.#users.clear();
    this.#run += 1;
    return tags;
  }

  /** The key of a call at the start: what the same call has in common through all runs. */
  callKey(call: ToolCall): string {
    return pureTools.has(call.tool) ? keyOf(call) : `${this.#agent}:${keyOf(call)}`;
  }

  #inRun(name: string): string {
    return `${this.#agent}#${this.#run}:${name}`;
  }

  #effectOf(call: ToolCall): CacheEffect {
    const { tool, args } = call;
    const path = typeof args['file_path'] === 'string' ? args['file_path'] : undefined;
    if (fileReaders.has(tool)) {
      return path === undefined ? { kind: 'neither' } : this.#read(call, [this.#tag('file', path)]);
    }
    // A search depends on every file below its folder: any write in the environment makes it old.
    if (treeReaders.has(tool)) return this.#read(call, [this.#tag('tree')]);
    if (fileWriters.has(tool) && path !== undefined) {
      return { kind: 'write', tags: [this.#tag('file', path), this.#tag('tree')] };
    }
    if (pureTools.has(tool)) return { kind: 'read', key: this.callKey(call), tags: [] };
    if (recordReaders.test(tool)) {
      const user = args['user_id'];
      if (typeof user === 'string') this.#users.add(user);
      return this.#read(call, this.#recordTags(call));
    }
    if (recordWriters.test(tool)) {
      const records = this.#recordTags(call).filter((tag) => tag !== this.#tag('users'));
      return { kind: 'write', tags: [...records, ...this.#userTags(call)] };
    }
    const command = typeof args['command'] === 'string' ? args['command'] : undefined;
    if (command === undefined || onlyLooks(command)) return { kind: 'neither' };
    return { kind: 'write', tags: [this.#tag('everything')] };
  }

  #read(call: ToolCall, tags: readonly string[]): CacheEffect {
    return { kind: 'read', key: this.callKey(call), tags: [this.#tag('everything'), ...tags] };
  }

  /** A record tool touches every record whose id is among its arguments. */
  #recordTags({ args }: ToolCall): string[] {
    const ids = Object.entries(args).filter(
      ([key, value]) => key.endsWith('_id') && typeof value === 'string',
    );
    const tags = ids.map(([key, value]) => this.#tag(key, String(value)));
    return 'user_id' in args ? [...tags, this.#tag('users')] : tags;
  }

  /** Users that a write may touch: the one it names, else those of this run, else all. */
  #userTags({ args }: ToolCall): string[] {
    if (typeof args['user_id'] === 'string') return [this.#tag('user_id', args['user_id'])];
    if (this.#users.size === 0) return [this.#tag('users')];
    return [...this.#users].map((user) => this.#tag('user_id', user));
  }

  #tag(kind: string, name = ''): string {
    return `${this.#agent}:${kind}:${name}`;
  }
}

/** The call without its agent; members in order, so that equal arguments have equal keys. */
function keyOf({ tool, args }: ToolCall): string {
  return `${tool}:${JSON.stringify(Object.entries(args).toSorted(([a], [b]) => (a < b ? -1 : 1)))}`;
}

/** Whether a command line changes nothing; when that cannot be seen, it does not. */
export function onlyLooks(command: string): boolean {
  const [first = ''] = command.split(/\s/, 1);
  if (sweReaders.has(first) && !/[;&|\n]/.test(command)) return true;
  const bare = command.replaceAll(/[12]?>&[12]\b|[12]?>\s*\/dev\/null(?![^\s;&|])/g, '');
  // Redirections into files, substitutions and here-documents may hide anything.
  if (/[`>]|\$\(|<<|<\(/.test(bare)) return false;
  return bare.split(/&&|\|\||[;&|\n]/).every((part) => {
    const words = part
      .trim()
      .split(/\s+/)
      .filter((word) => !/^\w+=/.test(word));
    const [program = '', ...args] = words;
    if (program === '' || program === 'cd') return true;
    if (args.some((word) => writesFile(program, word))) return false;
    if (program === 'git') return gitLookers.has(args.find((word) => !word.startsWith('-')) ?? '');
    if (program === 'uniq') return args.filter((word) => !word.startsWith('-')).length <= 1;
    return lookers.has(program);
  });
}

/** Programs that look can be told to write what they found. */
function writesFile(program: string, word: string): boolean {
  if (program === 'date') return /^(-s|--set)/.test(word);
  return /^(sort|tree|git|diff|rg)$/.test(program) && /^(-o|--output|--pre)/.test(word);
}
