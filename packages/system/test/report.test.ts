import { formatBytes, formatQuantity, formatTable } from '@perf/system';
import { expect, it } from 'vitest';

it.each([
  [0.0000012, 'seconds', '1.2 us'],
  [0.0125, 'seconds', '12.50 ms'],
  [2.5, 'seconds', '2.50 s'],
  [1536, 'bytes', '1.5 KiB'],
  [0.876, 'ratio', '87.6 %'],
  [0.01234, 'usd', '$0.0123'],
  [12.5, 'usd', '$12.50'],
  [7, 'count', '7'],
  [7.125, 'count', '7.13'],
  [undefined, 'seconds', 'no data'],
  [Number.NaN, 'ratio', 'no data'],
] as const)('formats %s %s as %s', (value, unit, text) => {
  expect(formatQuantity(value, unit)).toBe(text);
});

it('formats bytes up to the largest unit', () => {
  expect(formatBytes(0)).toBe('0 B');
  expect(formatBytes(1023)).toBe('1023 B');
  expect(formatBytes(5 * 1024 ** 3)).toBe('5.0 GiB');
  expect(formatBytes(5 * 1024 ** 4)).toBe('5120.0 GiB');
});

it('pads columns to their widest cell and leaves no blanks at the end', () => {
  expect(
    formatTable(
      ['a', 'long head'],
      [
        ['wide cell', 'x'],
        ['y', ''],
      ],
    ),
  ).toBe(['a          long head', '---------  ---------', 'wide cell  x', 'y'].join('\n'));
});
