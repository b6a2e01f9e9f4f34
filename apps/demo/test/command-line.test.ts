import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { UsageError, readArguments } from '../src/command-line.ts';

describe('readArguments', () => {
  it('has defaults: port 8090, as fast as it goes, the bundled recordings', () => {
    expect(readArguments([], false)).toEqual({
      serve: false,
      port: 8090,
      eventsPerSecond: undefined,
      dataFolder: path.resolve(import.meta.dirname, '../../../bench/data/system'),
      dir: undefined,
      json: false,
      help: false,
    });
  });

  it('serves after the report on a terminal, unless told otherwise', () => {
    expect(readArguments([], true).serve).toBe(true);
    expect(readArguments(['--once'], true).serve).toBe(false);
    expect(readArguments(['--serve'], false).serve).toBe(true);
  });

  it('ignores the -- that pnpm hands on', () => {
    expect(readArguments(['--', '--once', '--json'], true)).toMatchObject({ serve: false, json: true });
  });

  it('reads every option', () => {
    const args = ['--port', '0', '--speed', '2.5', '--data', 'there', '--dir', '/kept', '-h'];
    expect(readArguments(args, false)).toMatchObject({
      port: 0,
      eventsPerSecond: 2.5,
      dataFolder: path.resolve('there'),
      dir: path.resolve('/kept'),
      help: true,
    });
  });

  it.each([
    [['--port', 'x'], '--port cannot be x'],
    [['--port', '65536'], '--port cannot be 65536'],
    [['--port', ''], '--port cannot be '],
    [['--port', '1.5'], '--port cannot be 1.5'],
    [['--speed', '0'], '--speed cannot be 0'],
    [['--speed', 'fast'], '--speed cannot be fast'],
    [['--once', '--serve'], 'exclude'],
    [['--unknown'], '--unknown'],
    [['replay'], 'replay'],
    [['--data'], '--data'],
  ])('refuses %o', (args, message) => {
    expect(() => readArguments(args, false)).toThrow(UsageError);
    expect(() => readArguments(args, false)).toThrow(message);
  });
});
