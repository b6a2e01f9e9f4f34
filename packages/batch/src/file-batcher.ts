/**
 * Reads, writes and edits of many files, grouped by path.
 *
 * Operations on one path happen in the order they were asked for; what is waiting for a path when its turn comes is one
 * group: the file is read at most once and written at most once, so a hundred edits of a file cost one write. Up to
 * `concurrency` paths are worked on at once. Each operation has its own outcome: an edit that throws fails alone and
 * leaves the others' content as it was.
 *
 * A file is never seen half written: the content goes to a temporary file beside it, is synced, and takes the file's
 * name; then the folder is synced, once for all renames in it that are waiting. Mode bits are kept and symbolic links
 * are followed, not replaced.
 *
 * Files too large for memory go through `readStream`, `write` with an iterable, and `transform`.
 */
import { createReadStream } from 'node:fs';
import { lstat, mkdir, open, realpath, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { BatchError } from './errors.ts';
import { functionOption, integerOption } from './option-checks.ts';

export type FileContent = string | Uint8Array;
export type ByteStream = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

export interface FileBatcherOptions {
  /** Paths worked on at once. Default 8. */
  readonly concurrency?: number;
  /** Operations waiting or under way; more are rejected with ERR_PERF_BATCH_FULL. Default 100,000. */
  readonly maxPending?: number;
  /** Files larger than this are not read into memory. Default 64 MiB. */
  readonly maxReadBytes?: number;
  /** Whether a write survives a power loss once it has resolved. Default true. */
  readonly sync?: boolean;
}

export interface FileCallOptions {
  /** Takes the operation out while it waits; one that has begun is finished. */
  readonly signal?: AbortSignal;
}

export type FileOperation =
  | { readonly kind: 'read'; readonly path: string }
  | { readonly kind: 'write'; readonly path: string; readonly content: FileContent | ByteStream }
  | { readonly kind: 'edit'; readonly path: string; readonly edit: (text: string) => string };

export type FileResult =
  /** `content` for a read. */
  | { readonly ok: true; readonly path: string; readonly content?: Buffer }
  | { readonly ok: false; readonly path: string; readonly error: unknown };

export interface FileBatcherStats {
  readonly pending: number;
  readonly pathsUnderWay: number;
  readonly reads: number;
  readonly writes: number;
  readonly edits: number;
  readonly failures: number;
  /** What reached the disk: below `writes` plus `edits` when they were grouped. */
  readonly filesRead: number;
  readonly filesWritten: number;
  readonly foldersSynced: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

type Transform = (chunks: AsyncIterable<Uint8Array>) => ByteStream;

type Action =
  | { readonly kind: 'read' }
  | { readonly kind: 'write'; readonly content: FileContent }
  | { readonly kind: 'edit'; readonly edit: (text: string) => string }
  /** These work on the disk alone: what is in memory is written before. */
  | { readonly kind: 'stream'; readonly content: ByteStream }
  | { readonly kind: 'transform'; readonly transform: Transform }
  | { readonly kind: 'readStream'; readonly consume: () => Promise<void> };

interface Operation {
  readonly action: Action;
  resolve(content?: Buffer): void;
  reject(reason: unknown): void;
  stopListening(): void;
  cancelled: boolean;
}

/** The content of a path while its group is worked on. */
interface Draft {
  /** Undefined: not read yet. Null: there is no such file. */
  content: Buffer | null | undefined;
  dirty: boolean;
  /** Waiting for the write: they wrote it, or read what is not on disk yet. */
  readonly dependents: { readonly operation: Operation; readonly content: Buffer | undefined }[];
}

const DEFAULT_FILE_MODE = 0o666;
const MODE_BITS = 0o7777;

export class FileBatcher implements AsyncDisposable {
  readonly #concurrency: number;
  readonly #maxPending: number;
  readonly #maxReadBytes: number;
  readonly #sync: boolean;
  /** Waiting operations by path, in order of each path's first. */
  readonly #queues = new Map<string, Operation[]>();
  readonly #underWay = new Set<string>();
  readonly #ready: string[] = [];
  readonly #folderSyncs = new Map<string, Promise<void>>();
  #idleWaiters: (() => void)[] = [];
  #pending = 0;
  #temporaries = 0;
  #closed = false;
  #reads = 0;
  #writes = 0;
  #edits = 0;
  #failures = 0;
  #filesRead = 0;
  #filesWritten = 0;
  #foldersSynced = 0;
  #bytesRead = 0;
  #bytesWritten = 0;

  /** @throws {RangeError | TypeError} naming the option. */
  constructor(options: FileBatcherOptions = {}) {
    this.#concurrency = integerOption('concurrency', options.concurrency ?? 8, 1, 1024);
    this.#maxPending = integerOption('maxPending', options.maxPending ?? 100_000, 1);
    this.#maxReadBytes = integerOption('maxReadBytes', options.maxReadBytes ?? 64 * 2 ** 20, 0);
    this.#sync = options.sync ?? true;
  }

  /** The content after every earlier operation on the path. Rejects with the system's error, such as ENOENT. */
  async read(file: string, options?: FileCallOptions): Promise<Buffer> {
    const content = await this.#submit(file, { kind: 'read' }, options);
    return content as Buffer;
  }

  /**
   * Replaces the content as a whole; resolves when it is durable. Folders are made as needed. An iterable is
   * written as it comes and need not fit in memory.
   */
  async write(file: string, content: FileContent | ByteStream, options?: FileCallOptions): Promise<void> {
    if (typeof content === 'string' || content instanceof Uint8Array) {
      await this.#submit(file, { kind: 'write', content }, options);
    } else if (isIterable(content)) {
      await this.#submit(file, { kind: 'stream', content }, options);
    } else {
      throw new TypeError('content must be a string, bytes, or an iterable of bytes');
    }
  }

  /** Changes UTF-8 text. `edit` is synchronous; what it throws rejects this call alone. */
  async edit(file: string, edit: (text: string) => string, options?: FileCallOptions): Promise<void> {
    await this.#submit(file, { kind: 'edit', edit: functionOption('edit', edit) }, options);
  }

  /** An edit of a file of any size: chunks in, chunks out, then the new file takes the old one's place. */
  async transform(file: string, transform: Transform, options?: FileCallOptions): Promise<void> {
    await this.#submit(
      file,
      { kind: 'transform', transform: functionOption('transform', transform) },
      options,
    );
  }

  /** The content in chunks. Later operations on the path wait until the reading has ended. */
  async *readStream(file: string, options: FileCallOptions = {}): AsyncGenerator<Uint8Array> {
    const gate = Promise.withResolvers<void>();
    const done = Promise.withResolvers<void>();
    const consume = (): Promise<void> => {
      gate.resolve();
      return done.promise;
    };
    this.#submit(file, { kind: 'readStream', consume }, options).catch(gate.reject);
    await gate.promise;
    try {
      this.#filesRead++;
      for await (const chunk of createReadStream(path.resolve(file))) {
        options.signal?.throwIfAborted();
        this.#bytesRead += (chunk as Buffer).length;
        yield chunk as Buffer;
      }
    } finally {
      done.resolve();
    }
  }

  /** Many operations at once; one result each, in order. Never rejects for what a single operation does. */
  run(operations: readonly FileOperation[], options?: FileCallOptions): Promise<FileResult[]> {
    return Promise.all(
      operations.map(async (operation): Promise<FileResult> => {
        const { path: file } = operation;
        try {
          if (operation.kind === 'read')
            return { ok: true, path: file, content: await this.read(file, options) };
          if (operation.kind === 'write') await this.write(file, operation.content, options);
          else await this.edit(file, operation.edit, options);
          return { ok: true, path: file };
        } catch (error) {
          return { ok: false, path: file, error };
        }
      }),
    );
  }

  stats(): FileBatcherStats {
    return {
      pending: this.#pending,
      pathsUnderWay: this.#underWay.size,
      reads: this.#reads,
      writes: this.#writes,
      edits: this.#edits,
      failures: this.#failures,
      filesRead: this.#filesRead,
      filesWritten: this.#filesWritten,
      foldersSynced: this.#foldersSynced,
      bytesRead: this.#bytesRead,
      bytesWritten: this.#bytesWritten,
    };
  }

  /** Resolves when nothing is waiting or under way. */
  async flush(): Promise<void> {
    if (this.#pending > 0) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  /** Refuses new operations and finishes the others. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.flush();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // -- Queues -------------------------------------------------------------------------------------------------------

  #submit(file: string, action: Action, options: FileCallOptions = {}): Promise<Buffer | undefined> {
    if (typeof file !== 'string' || file === '')
      return Promise.reject(new TypeError('path must be a non-empty string'));
    const { signal } = options;
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    if (this.#closed)
      return Promise.reject(new BatchError('ERR_PERF_BATCH_CLOSED', 'the file batcher is closed'));
    if (this.#pending >= this.#maxPending) {
      return Promise.reject(new BatchError('ERR_PERF_BATCH_FULL', `${this.#pending} operations are waiting`));
    }
    const key = path.resolve(file);
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        operation.cancelled = true;
        reject(signal?.reason);
      };
      const operation: Operation = {
        action,
        resolve,
        reject,
        stopListening: () => signal?.removeEventListener('abort', onAbort),
        cancelled: false,
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#pending++;
      const queue = this.#queues.get(key);
      if (queue !== undefined) {
        queue.push(operation);
        return;
      }
      this.#queues.set(key, [operation]);
      if (!this.#underWay.has(key)) this.#makeReady(key);
    });
  }

  #makeReady(key: string): void {
    this.#ready.push(key);
    // From a microtask: what is asked for in the same breath is one group.
    if (this.#underWay.size < this.#concurrency) queueMicrotask(() => this.#startReady());
  }

  #startReady(): void {
    while (this.#underWay.size < this.#concurrency) {
      const key = this.#ready.shift();
      if (key === undefined) return;
      const operations = this.#queues.get(key) as Operation[];
      this.#queues.delete(key);
      this.#underWay.add(key);
      void this.#runGroup(key, operations).then(() => {
        this.#underWay.delete(key);
        this.#pending -= operations.length;
        if (this.#queues.has(key)) this.#ready.push(key);
        this.#startReady();
        if (this.#pending === 0) for (const resolve of this.#idleWaiters.splice(0)) resolve();
      });
    }
  }

  // -- One group ----------------------------------------------------------------------------------------------------

  async #runGroup(file: string, operations: readonly Operation[]): Promise<void> {
    const draft: Draft = { content: undefined, dirty: false, dependents: [] };
    for (const operation of operations) {
      if (operation.cancelled) continue;
      operation.stopListening();
      try {
        await this.#runOne(file, operation, draft);
      } catch (error) {
        this.#failures++;
        operation.reject(error);
      }
    }
    await this.#writeDraft(file, draft);
  }

  async #runOne(file: string, operation: Operation, draft: Draft): Promise<void> {
    const { action } = operation;
    switch (action.kind) {
      case 'read': {
        this.#reads++;
        const content = await this.#contentOf(file, draft);
        if (draft.dirty) draft.dependents.push({ operation, content });
        else operation.resolve(content);
        return;
      }
      case 'write': {
        this.#writes++;
        draft.content = Buffer.from(action.content as Uint8Array);
        draft.dirty = true;
        draft.dependents.push({ operation, content: undefined });
        return;
      }
      case 'edit': {
        this.#edits++;
        const before = decodeUtf8(await this.#contentOf(file, draft), file);
        const after: unknown = action.edit(before);
        if (typeof after !== 'string') throw new TypeError(`edit must return a string, got ${typeof after}`);
        if (after !== before) {
          draft.content = Buffer.from(after);
          draft.dirty = true;
        }
        if (draft.dirty) draft.dependents.push({ operation, content: undefined });
        else operation.resolve();
        return;
      }
      default:
        await this.#writeDraft(file, draft);
        draft.content = undefined;
        await this.#runStreaming(file, action);
        operation.resolve();
    }
  }

  async #runStreaming(
    file: string,
    action: Extract<Action, { kind: 'stream' | 'transform' | 'readStream' }>,
  ): Promise<void> {
    if (action.kind === 'readStream') {
      this.#reads++;
      await stat(file);
      await action.consume();
    } else if (action.kind === 'stream') {
      this.#writes++;
      await this.#replace(file, action.content);
    } else {
      this.#edits++;
      await stat(file);
      this.#filesRead++;
      await this.#replace(file, action.transform(createReadStream(file) as AsyncIterable<Uint8Array>));
    }
  }

  async #contentOf(file: string, draft: Draft): Promise<Buffer> {
    if (draft.content === undefined) draft.content = await this.#load(file);
    if (draft.content === null)
      throw Object.assign(new Error(`ENOENT: no such file, ${file}`), { code: 'ENOENT' });
    return draft.content;
  }

  async #load(file: string): Promise<Buffer> {
    await using handle = await open(file, 'r');
    const { size } = await handle.stat();
    if (size > this.#maxReadBytes) {
      const message = `${file} has ${size} bytes, more than maxReadBytes; use readStream or transform`;
      throw new BatchError('ERR_PERF_BATCH_ITEM_TOO_LARGE', message);
    }
    const content = await handle.readFile();
    this.#filesRead++;
    this.#bytesRead += content.length;
    return content;
  }

  async #writeDraft(file: string, draft: Draft): Promise<void> {
    const dependents = draft.dependents.splice(0);
    if (!draft.dirty) return;
    draft.dirty = false;
    try {
      await this.#replace(file, [draft.content as Buffer]);
      for (const { operation, content } of dependents) operation.resolve(content);
    } catch (error) {
      draft.content = undefined;
      this.#failures += dependents.length;
      for (const { operation } of dependents) operation.reject(error);
    }
  }

  // -- The disk -----------------------------------------------------------------------------------------------------

  /** Temporary file, sync, rename, sync of the folder. */
  async #replace(file: string, chunks: ByteStream): Promise<void> {
    const target = await targetOf(file);
    const folder = path.dirname(target);
    await mkdir(folder, { recursive: true });
    const mode = await modeOf(target);
    const temporary = path.join(
      folder,
      `.${path.basename(target)}.${process.pid}.${++this.#temporaries}.tmp`,
    );
    let bytes = 0;
    try {
      await using handle = await open(temporary, 'wx', mode ?? DEFAULT_FILE_MODE);
      for await (const chunk of chunks) {
        await handle.writeFile(chunk);
        bytes += chunk.length;
      }
      // What `open` was given is cut by the umask.
      if (mode !== undefined) await handle.chmod(mode);
      if (this.#sync) await handle.sync();
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    try {
      await rename(temporary, target);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    if (this.#sync) await this.#syncFolder(folder);
    this.#filesWritten++;
    this.#bytesWritten += bytes;
  }

  /** Renames that are waiting when a sync begins share it. */
  #syncFolder(folder: string): Promise<void> {
    const waiting = this.#folderSyncs.get(folder);
    if (waiting !== undefined) return waiting;
    const sync = new Promise<void>((resolve) => setImmediate(resolve)).then(async () => {
      this.#folderSyncs.delete(folder);
      await using handle = await open(folder, 'r');
      await handle.sync();
      this.#foldersSynced++;
    });
    this.#folderSyncs.set(folder, sync);
    return sync;
  }
}

function isIterable(value: unknown): value is ByteStream {
  return (
    typeof value === 'object' && value !== null && (Symbol.asyncIterator in value || Symbol.iterator in value)
  );
}

/** An edit must not replace bytes it cannot read by question marks. */
function decodeUtf8(content: Buffer, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content);
  } catch (cause) {
    throw new TypeError(`${file} is not UTF-8 text`, { cause });
  }
}

async function targetOf(file: string): Promise<string> {
  try {
    return (await lstat(file)).isSymbolicLink() ? await realpath(file) : file;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return file;
    throw error;
  }
}

async function modeOf(file: string): Promise<number | undefined> {
  try {
    return (await stat(file)).mode & MODE_BITS;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
