// What a tool call may do to the cache. A read is answered from the cache and tagged with what it read; a write names the
// tags that it makes old. Where a command's effect is not known it counts as a write of everything in the agent's
// environment: a lost hit costs time, a stale read is an error.
import type { ToolResult } from './recording.ts';

export type CachePolicy =
  | { readonly kind: 'read'; readonly tags: readonly string[] }
  | { readonly kind: 'write'; readonly tags: readonly string[] }
  | { readonly kind: 'neither' };

/** Tag on everything that depends on an agent's environment. */
export const environmentTag = (agent: string): string => `environment:${agent}`;

const fileReaders = new Set(['Read']);
const treeReaders = new Set(['Grep', 'Glob', 'LS']);
const fileWriters = new Set(['Edit', 'Write', 'MultiEdit', 'NotebookEdit']);
/** Functions of their arguments, or of a timetable that no tool of theirs changes. */
const pureTools = new Set(['calculate', 'think', 'list_all_airports', 'search_direct_flight', 'search_onestop_flight']);
const recordReaders = /^(get|find)_/;
const recordWriters = /^(book|cancel|update|modify|return|exchange|send|transfer)_/;

/** Programs that only look. A command line is a read of the tree when every program in it is one of these. */
const lookers = new Set(
  'ls cat head tail grep rg wc pwd echo which file stat tree sort uniq cut diff true printf date'.split(' '),
);
const gitLookers = new Set('status log diff show branch rev-parse blame ls-files remote'.split(' '));
const sweReaders = new Set(['open', 'find_file', 'search_dir', 'search_file', 'goto', 'scroll_down', 'scroll_up']);

/** How the cache treats a call; tags are scoped to the agent's environment. Pure. */
export function cachePolicy(agent: string, { tool, args }: Pick<ToolResult, 'tool' | 'args'>): CachePolicy {
  const environment = environmentTag(agent);
  const path = typeof args['file_path'] === 'string' ? args['file_path'] : undefined;
  if (fileReaders.has(tool)) {
    return path === undefined ? { kind: 'neither' } : { kind: 'read', tags: [environment, fileTag(agent, path)] };
  }
  // A search depends on every file below its folder: any write in the environment makes it old.
  if (treeReaders.has(tool)) return { kind: 'read', tags: [environment, treeTag(agent)] };
  if (fileWriters.has(tool) && path !== undefined) {
    return { kind: 'write', tags: [fileTag(agent, path), treeTag(agent)] };
  }
  if (pureTools.has(tool)) return { kind: 'read', tags: [] };
  if (recordReaders.test(tool)) return { kind: 'read', tags: [environment, ...recordTags(agent, args)] };
  // A change of any record may move a user's balance or list, and its arguments need not name the user.
  if (recordWriters.test(tool)) return { kind: 'write', tags: [...recordTags(agent, args), usersTag(agent)] };
  const command = typeof args['command'] === 'string' ? args['command'] : undefined;
  if (command !== undefined && onlyLooks(command)) return { kind: 'neither' };
  if (command !== undefined) return { kind: 'write', tags: [environment] };
  return { kind: 'neither' };
}

/** Key of a call's result. Pure tools are shared by all agents; everything else belongs to an agent's environment. */
export function cacheKey(agent: string, { tool, args }: Pick<ToolResult, 'tool' | 'args'>): string {
  const call = `${tool}:${JSON.stringify(Object.entries(args).toSorted(([a], [b]) => (a < b ? -1 : 1)))}`;
  return pureTools.has(tool) ? call : `${agent}:${call}`;
}

const fileTag = (agent: string, path: string): string => `file:${agent}:${path}`;
const treeTag = (agent: string): string => `tree:${agent}`;

const usersTag = (agent: string): string => `users:${agent}`;

/** A record tool touches every record whose id is among its arguments. */
function recordTags(agent: string, args: Readonly<Record<string, unknown>>): string[] {
  const tags = Object.entries(args)
    .filter(([key, value]) => key.endsWith('_id') && typeof value === 'string')
    .map(([key, value]) => `record:${agent}:${key}:${String(value)}`);
  return 'user_id' in args ? [...tags, usersTag(agent)] : tags;
}

function onlyLooks(command: string): boolean {
  const [first = ''] = command.split(/\s/, 1);
  if (sweReaders.has(first)) return true;
  // Redirections into files, substitutions and here-documents may hide anything.
  if (/[`]|\$\(|<<|>(?!\s*&|\s*\/dev\/null)/.test(command.replaceAll(/2>&1|[12]?>\s*\/dev\/null/g, ''))) return false;
  return command.split(/&&|\|\||[;|\n]/).every((part) => {
    const words = part.trim().split(/\s+/).filter((word) => !/^\w+=/.test(word));
    if (words.length === 0 || words[0] === '' || words[0] === 'cd') return true;
    if (words[0] === 'git') return gitLookers.has(words.find((word, i) => i > 0 && !word.startsWith('-')) ?? '');
    return lookers.has(words[0] ?? '');
  });
}
