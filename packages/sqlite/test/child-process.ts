import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { createInterface } from 'node:readline';

/** A Node process that runs `script` (a module) with the package importable by its name. */
export class ScriptProcess {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #lines: AsyncIterator<string>;
  readonly #exit: Promise<void>;
  #stderr = '';

  constructor(script: string, args: readonly string[]) {
    const flags = ['--conditions=@perf/source', '--input-type=module', '-e', script];
    this.#child = spawn(process.execPath, [...flags, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
    this.#child.stderr.on('data', (text) => (this.#stderr += String(text)));
    this.#exit = new Promise((resolve) => this.#child.once('close', () => resolve()));
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** The next line of output; `undefined` at its end. */
  async line(): Promise<string | undefined> {
    const { done, value } = await this.#lines.next();
    return done === true ? undefined : value;
  }

  send(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  /** `kill -9`; resolves when the process is gone. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exit;
  }

  async ended(): Promise<void> {
    await this.#exit;
  }
}
