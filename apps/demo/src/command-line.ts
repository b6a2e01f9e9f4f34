// The demo's arguments, read with node:util.
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

export const help = `Replays recorded agent sessions through the whole system, live, and judges it.

  npx --yes pnpm@12 start [options]

  --once           exit after the report (the default when the output is not a terminal)
  --serve          keep the dashboard up after the report until Ctrl-C (the default on a terminal)
  --port <n>       dashboard port, 0 for any free one; the next free one is taken when it is in use (default 8090)
  --speed <n>      events a second and agent at most, to watch it slowly (default: as fast as the system goes)
  --data <folder>  recordings to replay (default: the bundled ones, bench/data/system)
  --dir <folder>   keep the system's files there (default: a temporary folder, removed at the end)
  --json           print the report as JSON on standard output; progress goes to standard error
  --help           this text

Exit code: 0 when every KPI is met, 1 when one is missed, 2 when the arguments are wrong, 130 after Ctrl-C during the
replay (everything accepted is committed first).`;

export interface DemoOptions {
  readonly serve: boolean;
  readonly port: number;
  readonly eventsPerSecond: number | undefined;
  readonly dataFolder: string;
  readonly dir: string | undefined;
  readonly json: boolean;
  readonly help: boolean;
}

/** Thrown for arguments that make no sense; its message is for the user. */
export class UsageError extends Error {}

const bundled = fileURLToPath(new URL('../../../bench/data/system', import.meta.url));

export function readArguments(args: readonly string[], isTerminal: boolean): DemoOptions {
  let values;
  try {
    ({ values } = parseArgs({
      // pnpm hands on the -- that separates its own arguments from the script's.
      args: args.filter((arg) => arg !== '--'),
      options: {
        once: { type: 'boolean' },
        serve: { type: 'boolean' },
        port: { type: 'string' },
        speed: { type: 'string' },
        data: { type: 'string' },
        dir: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }));
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  if (values.once === true && values.serve === true)
    throw new UsageError('--once and --serve exclude each other');
  return {
    serve: values.serve ?? (values.once === true ? false : isTerminal),
    port: readNumber('--port', values.port ?? '8090', (n) => Number.isInteger(n) && n >= 0 && n <= 65_535),
    eventsPerSecond:
      values.speed === undefined ? undefined : readNumber('--speed', values.speed, (n) => n > 0 && n <= 1000),
    dataFolder: path.resolve(values.data ?? bundled),
    dir: values.dir === undefined ? undefined : path.resolve(values.dir),
    json: values.json ?? false,
    help: values.help ?? false,
  };
}

function readNumber(name: string, text: string, valid: (value: number) => boolean): number {
  const value = Number(text);
  if (text.trim() === '' || !valid(value)) throw new UsageError(`${name} cannot be ${text}`);
  return value;
}
