// Entry of the demo: arguments, Ctrl-C, exit code.
import { UsageError, help, readArguments } from './command-line.ts';
import { runDemo } from './run-demo.ts';

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
  const usage = error instanceof UsageError;
  process.stderr.write(
    `${usage ? `${error.message}\n\n${help}` : error instanceof Error ? error.stack : String(error)}\n`,
  );
  process.exitCode = usage ? 2 : 1;
}
