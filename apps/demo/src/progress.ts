// Shows how far the replay is: a bar that redraws itself on a terminal, a line for every tenth elsewhere.

export interface ProgressSink {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export class Progress {
  readonly #sink: ProgressSink;
  #lastTenth = -1;
  #drawn = false;

  constructor(sink: ProgressSink) {
    this.#sink = sink;
  }

  update(done: number, total: number, note: string): void {
    const part = total === 0 ? 1 : done / total;
    if (this.#sink.isTTY === true) {
      const width = Math.max(10, Math.min(40, (this.#sink.columns ?? 80) - 50));
      const filled = Math.round(part * width);
      const bar = `${'█'.repeat(filled)}${'░'.repeat(width - filled)}`;
      this.#sink.write(`\r\x1b[2K${bar} ${(part * 100).toFixed(0).padStart(3)} %  ${note}`);
      this.#drawn = true;
      return;
    }
    const tenth = Math.floor(part * 10);
    if (tenth <= this.#lastTenth) return;
    this.#lastTenth = tenth;
    this.#sink.write(`${(part * 100).toFixed(0).padStart(3)} %  ${note}\n`);
  }

  /** Leaves the bar and goes on below it. */
  finish(): void {
    if (this.#drawn) this.#sink.write('\n');
    this.#drawn = false;
  }
}
