/**
 * What must be deleted from a remote store once it can be reached again: every key whose write or deletion
 * was not confirmed, every tag, or everything. Bounded: beyond `maxKeys` it becomes everything.
 */
import type { InvalidationMessage } from './tier.ts';

/** Keys in one message or command. */
const KEYS_PER_MESSAGE = 1000;

export class OwedDeletions {
  readonly #maxKeys: number;
  readonly #keys = new Set<string>();
  readonly #tags = new Set<string>();
  #everything = false;

  constructor(maxKeys: number) {
    this.#maxKeys = maxKeys;
  }

  /** Keys and tags; 1 for everything. */
  get size(): number {
    return this.#everything ? 1 : this.#keys.size + this.#tags.size;
  }

  add(message: InvalidationMessage): void {
    if (this.#everything) return;
    if (message.kind === 'keys') for (const key of message.keys) this.#keys.add(key);
    else if (message.kind === 'tag') this.#tags.add(message.tag);
    if (message.kind !== 'clear' && this.size <= this.#maxKeys) return;
    this.#everything = true;
    this.#keys.clear();
    this.#tags.clear();
  }

  /** Hands over all that is owed, in messages of bounded size; nothing is owed afterwards. */
  take(): readonly InvalidationMessage[] {
    const messages: InvalidationMessage[] = [];
    if (this.#everything) messages.push({ kind: 'clear' });
    const keys = [...this.#keys];
    for (let start = 0; start < keys.length; start += KEYS_PER_MESSAGE) {
      messages.push({ kind: 'keys', keys: keys.slice(start, start + KEYS_PER_MESSAGE) });
    }
    for (const tag of this.#tags) messages.push({ kind: 'tag', tag });
    this.#everything = false;
    this.#keys.clear();
    this.#tags.clear();
    return messages;
  }
}
