// Runs a program of the toolchain and keeps what it printed. pnpm is the one that started us (`npm_execpath`), so that
// nothing but `npx pnpm` has to exist on the machine.
import { spawn } from 'node:child_process';

export interface CommandResult {
  readonly code: number;
  /** stdout and stderr, interleaved as they came. */
  readonly output: string;
  readonly stdout: string;
}

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Also print it as it comes. Default false. */
  readonly echo?: boolean;
}

/** Never rejects for a non-zero exit: the code is part of the answer. */
export function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd ?? process.cwd(),
      env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1', ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      stdout += text;
      if (options.echo === true) process.stdout.write(text);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (options.echo === true) process.stderr.write(text);
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      resolve({ code: code ?? (signal === null ? 1 : 128), output, stdout });
    });
  });
}

/** The pnpm that started this process, else the one on the PATH, else npx's. */
export function runPnpm(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const started = process.env['npm_execpath'];
  if (started !== undefined && /pnpm/.test(started)) {
    return /\.[cm]?js$/.test(started)
      ? runCommand(process.execPath, [started, ...args], options)
      : runCommand(started, args, options);
  }
  return runCommand('npx', ['--yes', 'pnpm@12', ...args], options);
}
