// Agents described as Markdown files with YAML front matter, as code assistants keep them:
//
//   ---
//   name: reviewer
//   description: Reviews diffs for defects
//   keywords: [review, code review, diff]
//   ---
//   The agent's prompt.
//
// The front matter becomes routes for `@perf/patterns`' KeywordRouter.
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { parse } from 'yaml';
import { SystemError } from './errors.ts';

export interface AgentDefinition {
  readonly id: string;
  readonly description?: string;
  /** Words and phrases that call for this agent. */
  readonly keywords: readonly string[];
  /** Multiplies the agent's score. Default 1. */
  readonly weight?: number;
  /** The body of the file. */
  readonly prompt?: string;
}

/**
 * Reads one definition. `name` is required; `keywords` is a list, or a string separated by commas, and may be left out.
 * @throws {SystemError} ERR_PERF_SYSTEM_AGENT_DEFINITION when the front matter is missing, not YAML, or has no name.
 */
export function parseAgentDefinition(text: string, file = 'definition'): AgentDefinition {
  const parts = /^---\r?\n([\s\S]*?)\r?\n---[ \t]*(?:\r?\n|$)([\s\S]*)$/.exec(text);
  if (!parts) throw fault(file, 'has no front matter between two lines of ---');
  let matter: unknown;
  try {
    matter = parse(parts[1] ?? '');
  } catch (cause) {
    throw fault(file, 'has front matter that is not YAML', cause);
  }
  if (typeof matter !== 'object' || matter === null)
    throw fault(file, 'has front matter that is not a mapping');
  const { name, description, keywords, weight } = matter as Record<string, unknown>;
  if (typeof name !== 'string' || name === '') throw fault(file, 'has no name');
  if (weight !== undefined && !(typeof weight === 'number' && weight > 0)) {
    throw fault(file, 'has a weight that is not a positive number');
  }
  return {
    id: name,
    ...(typeof description === 'string' ? { description } : {}),
    keywords: keywordList(keywords, file),
    ...(typeof weight === 'number' ? { weight } : {}),
    prompt: (parts[2] ?? '').trim(),
  };
}

/** Every `*.md` of a folder, by file name. @throws as {@link parseAgentDefinition}, or the file system's error. */
export async function loadAgentDefinitions(folder: string): Promise<AgentDefinition[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.md')).toSorted();
  return Promise.all(
    names.map(async (name) => {
      const file = path.join(folder, name);
      return parseAgentDefinition(await readFile(file, 'utf8'), file);
    }),
  );
}

function keywordList(value: unknown, file: string): string[] {
  if (value === undefined || value === null) return [];
  const list: unknown = typeof value === 'string' ? value.split(',') : value;
  if (!Array.isArray(list) || !list.every((word): word is string => typeof word === 'string')) {
    throw fault(file, 'has keywords that are neither a list of strings nor a string');
  }
  return list.map((word) => word.trim()).filter((word) => word !== '');
}

function fault(file: string, problem: string, cause?: unknown): SystemError {
  return new SystemError('ERR_PERF_SYSTEM_AGENT_DEFINITION', `${file} ${problem}`, { cause });
}
