import { expect, test } from 'vitest';

import { Progress } from '../src/progress.ts';
import { formatBytes, formatDuration, formatNs, formatRatio, formatValue } from '../src/units.ts';

function output(
  isTTY: boolean,
  columns = 100,
): { text: string; write(text: string): void; isTTY: boolean; columns: number } {
  return {
    text: '',
    isTTY,
    columns,
    write(text) {
      this.text += text;
    },
  };
}

test('elsewhere than on a terminal there is one line per finished case and nothing else', () => {
  const log = output(false);
  const progress = new Progress(log, 4, 1000, () => 0);
  progress.advance(1, 'a');
  progress.advance(1, 'a');
  progress.caseDone('a', 'pass');
  progress.advance(2, 'b');
  progress.caseDone('b', 'none');
  progress.clear();
  expect(log.text).toBe(' 50 %  pass  a\n100 %  -     b\n');
});

test('on a terminal a bar is redrawn in place, with the time left by the pace so far', () => {
  let nowMs = 0;
  const screen = output(true);
  const progress = new Progress(screen, 4, 60_000, () => nowMs);
  progress.advance(0, 'a');
  expect(screen.text).toBe('\r\u001B[2K[........................] 0/4 forks, 60.0 s left  a');
  nowMs = 10_000;
  screen.text = '';
  progress.advance(2, 'a');
  expect(screen.text).toBe('\r\u001B[2K[############............] 2/4 forks, 10.0 s left  a');
});

test('the bar never wraps, also when the terminal does not know its width', () => {
  for (const [columns, most] of [
    [30, 29],
    [0, 79],
  ] as const) {
    const screen = output(true, columns);
    new Progress(screen, 4, 1000, () => 0).advance(1, 'x'.repeat(200));
    expect(screen.text.replace('\r\u001B[2K', '')).toHaveLength(most);
  }
});

test('more forks than planned do not run over the end', () => {
  const screen = output(true);
  new Progress(screen, 2, 1000, () => 0).advance(5, 'a');
  expect(screen.text).toContain('2/2 forks, 0 ms left');
});

test('numbers have three digits and the unit that fits', () => {
  expect([0.2345, 12.3456, 999, 1500, 2.5e6, 3e9].map(formatNs)).toEqual([
    '0.234 ns',
    '12.3 ns',
    '999 ns',
    '1.50 us',
    '2.50 ms',
    '3.00 s',
  ]);
  expect([0.5, 1.234, 56.78, 1234.5].map(formatRatio)).toEqual(['0.500x', '1.23x', '56.8x', '1235x']);
  expect([450, 12_345, 200_000].map(formatDuration)).toEqual(['450 ms', '12.3 s', '3.33 min']);
  expect([0, 12, 1_234_567, 0.1234, 12_345.6].map(formatValue)).toEqual([
    '0',
    '12',
    '1 234 567',
    '0.123',
    '12 346',
  ]);
  expect([2 ** 20 * 3.5, 2 ** 33].map(formatBytes)).toEqual(['3.50 MiB', '8.00 GiB']);
});
