/** Names of node or edge types and their small integers, in the order they were first seen. */
export class TypeTable {
  #keys = new Map<string, number>();
  #names: string[] = [];

  get count(): number {
    return this.#names.length;
  }

  get names(): readonly string[] {
    return this.#names;
  }

  keyOf(name: string): number | undefined {
    return this.#keys.get(name);
  }

  nameOf(key: number): string {
    const name = this.#names[key];
    if (name === undefined) throw new RangeError(`no type has the key ${key}`);
    return name;
  }

  /** Adds what another process or this one interned; keys come in order. */
  set(key: number, name: string): void {
    this.#keys.set(name, key);
    this.#names[key] = name;
  }

  /** Forgets the types from `count` on, as a rollback does. */
  truncate(count: number): void {
    for (const name of this.#names.splice(count)) this.#keys.delete(name);
  }
}
