// Entry of the demo: arguments, Ctrl-C, exit code.
import { UsageError, help, readArguments } from './command-line.ts';
import { RecordingError } from './recording.ts';
import { runDemo } from './run-demo.ts';

/** A stack only where the fault is the program's. */
function describe(error: unknown): string {
  if (error instanceof UsageError) return `${error.message}\n\n${help}`;
  if (error instanceof RecordingError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

async function main(): Promise<number> {
  const options = readArguments(process.argv.slice(2), process.stdout.isTTY);
  if (options.help) {
    process.stdout.write(`${help}\n`);
    return 0;
  }
  const controller = new AbortController();
  const stop = (): void => {
    // A second Ctrl-C does not wait for the drain.
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  return runDemo(options, { out: process.stdout, error: process.stderr }, controller.signal);
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${describe(error)}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
