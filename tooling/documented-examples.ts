// Runs the examples of the READMEs: every fenced block marked `ts` is a complete module and is run as such, on `dist`,
// in an empty folder, with the packages that its own package can see. A fragment is marked `ts no-run`.
// Usage: node tooling/documented-examples.ts [package folder]     exit code 1 if an example fails.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { runCommand } from './run-command.ts';
import { workspacePackages, workspaceRoot } from './workspace.ts';

export interface Example {
  /** Relative to the root. */
  readonly file: string;
  readonly line: number;
  readonly code: string;
}

/** The runnable blocks of a Markdown text, with the line of their opening fence (1-based). */
export function examplesIn(markdown: string, file: string): Example[] {
  const examples: Example[] = [];
  const lines = markdown.split('\n');
  let start = -1;
  let info = '';
  for (const [index, line] of lines.entries()) {
    const fence = /^```(.*)$/.exec(line);
    if (!fence) continue;
    if (start < 0) {
      start = index;
      info = (fence[1] ?? '').trim();
    } else {
      if (info === 'ts')
        examples.push({ file, line: start + 1, code: lines.slice(start + 1, index).join('\n') });
      start = -1;
    }
  }
  return examples;
}

/** Runs each example of every package's README and the root's; resolves to one result an example. */
export async function runExamples(only?: string): Promise<{ name: string; ok: boolean; detail: string }[]> {
  const results: { name: string; ok: boolean; detail: string }[] = [];
  for (const pkg of workspacePackages()) {
    if (only !== undefined && pkg.folder !== only) continue;
    const readme = path.join(pkg.dir, 'README.md');
    if (!existsSync(readme)) continue;
    for (const example of examplesIn(readFileSync(readme, 'utf8'), `${pkg.folder}/README.md`)) {
      results.push(await runExample(example, pkg.dir));
    }
  }
  if (only === undefined) {
    // The root README speaks of the composed system: its examples see what that package sees.
    const system = path.join(workspaceRoot, 'packages/system');
    const text = readFileSync(path.join(workspaceRoot, 'README.md'), 'utf8');
    for (const example of examplesIn(text, 'README.md')) results.push(await runExample(example, system));
  }
  return results;
}

async function runExample(
  example: Example,
  packageDir: string,
): Promise<{ name: string; ok: boolean; detail: string }> {
  const name = `example ${example.file}:${example.line}`;
  const home = path.join(packageDir, '.results', 'examples');
  mkdirSync(home, { recursive: true });
  const file = path.join(home, `line-${example.line}.ts`);
  writeFileSync(file, example.code);
  const cwd = mkdtempSync(path.join(tmpdir(), 'perf-example-'));
  try {
    const { code, output } = await runCommand(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', file],
      { cwd },
    );
    return { name, ok: code === 0, detail: code === 0 ? '' : output };
  } finally {
    rmSync(cwd, { recursive: true, force: true });
    rmSync(file, { force: true });
  }
}

if (import.meta.main) {
  const results = await runExamples(process.argv[2]);
  for (const { name, ok, detail } of results)
    console.log(`${ok ? 'ok    ' : 'FAILED'} ${name}${ok ? '' : `\n${detail}`}`);
  process.exitCode = results.every((r) => r.ok) ? 0 : 1;
}
