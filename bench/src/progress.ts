/** Progress of a long run: a bar on a terminal, a line per finished case elsewhere. */
import type { Verdict } from './result.ts';
import { formatDuration } from './units.ts';

export interface ProgressOutput {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

const BAR_CELLS = 24;

export class Progress {
  readonly #output: ProgressOutput;
  readonly #now: () => number;
  readonly #startedAt: number;
  readonly #expectedMs: number;
  readonly #totalForks: number;
  #doneForks = 0;

  /** @param now milliseconds. */
  constructor(output: ProgressOutput, totalForks: number, expectedMs: number, now: () => number) {
    this.#output = output;
    this.#now = now;
    this.#startedAt = now();
    this.#totalForks = Math.max(1, totalForks);
    this.#expectedMs = expectedMs;
  }

  /** `forks` more are done (or will not be needed) of the case that is running. */
  advance(forks: number, label: string): void {
    this.#doneForks = Math.min(this.#totalForks, this.#doneForks + forks);
    if (this.#output.isTTY !== true) return;
    const filled = Math.floor((this.#doneForks / this.#totalForks) * BAR_CELLS);
    const bar = '#'.repeat(filled).padEnd(BAR_CELLS, '.');
    const line = `[${bar}] ${this.#doneForks}/${this.#totalForks} forks, ${this.#left()} left  ${label}`;
    // A terminal that does not know its width says 0.
    const columns = this.#output.columns || 80;
    this.#output.write(`\r\u001B[2K${line.slice(0, columns - 1)}`);
  }

  caseDone(label: string, verdict: Verdict): void {
    this.clear();
    const percent = Math.floor((100 * this.#doneForks) / this.#totalForks);
    this.#output.write(
      `${`${percent} %`.padStart(5)}  ${(verdict === 'none' ? '-' : verdict).padEnd(5)} ${label}\n`,
    );
  }

  /** Takes the bar away, so that a line can be written. */
  clear(): void {
    if (this.#output.isTTY === true) this.#output.write('\r\u001B[2K');
  }

  /** By the pace so far; by the expectation until a tenth is done. */
  #left(): string {
    const elapsedMs = this.#now() - this.#startedAt;
    const share = this.#doneForks / this.#totalForks;
    const leftMs = share < 0.1 ? this.#expectedMs - elapsedMs : (elapsedMs / share) * (1 - share);
    return formatDuration(Math.max(0, leftMs));
  }
}
