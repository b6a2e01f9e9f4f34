// What the graph learns from a tool call: which agent used which tool on which file, which symbols the file defines, which
// errors came out of it.
//
//   agent ─used─▶ tool     agent ─read/wrote─▶ file     file ─defines─▶ symbol     tool, file ─raised─▶ error
import type { EdgeInput, NodeInput } from '@perf/graph';
import type { PatternMatch } from '@perf/patterns';
import type { ToolResult } from './recording.ts';

export interface Facts {
  readonly nodes: readonly NodeInput[];
  readonly edges: readonly EdgeInput[];
}

/** Declarations in the languages of the recordings (Elixir, Python, JavaScript, TypeScript), after an optional line number. */
const declaration =
  /^(?:\s*\d+[→:\t])?\s*(?:export\s+)?(?:default\s+)?(?:async\s+)?(defmodule|defp?|class|function|const|interface|type)\s+([\w.]+)/gm;
/** Symbols taken from one result, at most. */
const MAX_SYMBOLS = 200;

const kinds: Readonly<Record<string, string>> = { def: 'function', defp: 'function', defmodule: 'module' };

export const agentId = (agent: string): string => `agent:${agent}`;

export function factsOf(agent: string, result: ToolResult, errors: readonly PatternMatch[]): Facts {
  const nodes: NodeInput[] = [];
  const edges: EdgeInput[] = [];
  const tool = `tool:${result.tool}`;
  nodes.push(
    { id: agentId(agent), type: 'agent', content: agent },
    { id: tool, type: 'tool', content: result.tool },
  );
  edges.push({ source: agentId(agent), target: tool, type: 'used' });

  const path = filePathOf(result);
  const file = path === undefined ? undefined : `file:${path}`;
  if (path !== undefined && file !== undefined) {
    nodes.push({ id: file, type: 'file', content: path });
    edges.push({
      source: agentId(agent),
      target: file,
      type: result.tool === 'Read' || result.tool === 'open' ? 'read' : 'wrote',
    });
    if (!result.isError) {
      let symbols = 0;
      for (const [, keyword = '', name = ''] of result.output.matchAll(declaration)) {
        if (++symbols > MAX_SYMBOLS) break;
        const id = `symbol:${path}#${name}`;
        nodes.push({ id, type: 'symbol', content: name, metadata: { kind: kinds[keyword] ?? keyword } });
        edges.push({ source: file, target: id, type: 'defines' });
      }
    }
  }
  for (const { id, type, text } of errors) {
    const error = `error:${id}`;
    nodes.push({
      id: error,
      type: 'error',
      content: text.slice(0, 200),
      metadata: { failure: type ?? 'unknown' },
    });
    edges.push({ source: file ?? tool, target: error, type: 'raised' });
  }
  return { nodes, edges };
}

function filePathOf({ tool, args }: ToolResult): string | undefined {
  const path = args['file_path'] ?? args['notebook_path'];
  if (typeof path === 'string') return path;
  if ((tool === 'open' || tool === 'create') && typeof args['command'] === 'string') {
    return /^\w+\s+"?([^"\s]+)"?/.exec(args['command'])?.[1];
  }
  return undefined;
}
