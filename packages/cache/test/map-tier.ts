import type { Entry, Tier, TierStats } from '@perf/cache';

/** The plainest tier: a Map, with a gate to hold writes back and a failure to throw. */
export class MapTier implements Tier {
  readonly name: string;
  readonly entries = new Map<string, Entry>();
  reads = 0;
  closed = 0;
  failure: Error | undefined;
  gate: { readonly promise: Promise<void> } | undefined;

  constructor(name: string) {
    this.name = name;
  }

  async getMany(keys: readonly string[]): Promise<(Entry | undefined)[]> {
    this.reads++;
    await this.#pass();
    return keys.map((key) => this.entries.get(key));
  }

  async setMany(entries: readonly Entry[]): Promise<void> {
    await this.#pass();
    for (const entry of entries)
      this.entries.set(entry.key, { ...entry, value: Uint8Array.from(entry.value) });
  }

  async deleteMany(keys: readonly string[]): Promise<number> {
    await this.#pass();
    let deleted = 0;
    for (const key of keys) if (this.entries.delete(key)) deleted++;
    return deleted;
  }

  async clear(): Promise<void> {
    await this.#pass();
    this.entries.clear();
  }

  stats(): TierStats {
    return { entries: this.entries.size };
  }

  close(): Promise<void> {
    this.closed++;
    return Promise.resolve();
  }

  async #pass(): Promise<void> {
    if (this.gate !== undefined) await this.gate.promise;
    if (this.failure !== undefined) throw this.failure;
  }
}
