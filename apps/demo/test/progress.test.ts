import { describe, expect, it } from 'vitest';
import { Progress } from '../src/progress.ts';

function sink(
  isTTY: boolean,
  columns = 80,
): { written: string[]; isTTY: boolean; columns: number; write(text: string): void } {
  const written: string[] = [];
  return { written, isTTY, columns, write: (text) => void written.push(text) };
}

describe('Progress', () => {
  it('writes a line for every tenth where there is no terminal', () => {
    const out = sink(false);
    const progress = new Progress(out);
    for (let done = 0; done <= 100; done++) progress.update(done, 100, `${done} done`);
    progress.finish();
    expect(out.written).toHaveLength(11);
    expect(out.written[0]).toBe('  0 %  0 done\n');
    expect(out.written.at(-1)).toBe('100 %  100 done\n');
  });

  it('draws one bar over itself on a terminal, and leaves it on its own line', () => {
    const out = sink(true);
    const progress = new Progress(out);
    progress.update(1, 2, 'half');
    progress.update(2, 2, 'all');
    progress.finish();
    progress.finish();
    expect(out.written).toHaveLength(3);
    expect(out.written[0]).toBe(`\r\x1b[2K${'█'.repeat(15)}${'░'.repeat(15)}  50 %  half`);
    expect(out.written[1]).toContain('100 %');
    expect(out.written[2]).toBe('\n');
  });

  it('copes with nothing to do and a narrow terminal', () => {
    const out = sink(true, 20);
    new Progress(out).update(0, 0, '');
    expect(out.written[0]).toContain(`${'█'.repeat(10)} 100 %`);
  });
});
