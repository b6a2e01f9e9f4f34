/**
 * Seeded 32-bit hashes of cache keys, for the frequency sketch and for choosing which keys the shadow caches follow.
 * Never used for identity (the Map of the cache compares keys), so a collision can only cost hit rate. The seed comes
 * from the cache's `random`: an attacker who cannot see it cannot choose keys that collide in the sketch.
 */
export class KeyHash {
  readonly #seed: number;
  #objects: WeakMap<WeakKey, number> | undefined;
  #objectCount = 0;

  constructor(random: () => number) {
    this.#seed = Math.floor(random() * 0x1_0000_0000) | 0;
  }

  /** Unsigned 32 bits, well mixed. Long strings are hashed by their ends and their length. */
  of(key: unknown): number {
    if (typeof key === 'string') return hashString(key, this.#seed);
    if (typeof key === 'number') return hashNumber(key, this.#seed);
    if ((typeof key === 'object' && key !== null) || typeof key === 'function') {
      return hashNumber(this.#identity(key), this.#seed ^ 0x5bd1e995);
    }
    return hashString(`${typeof key}:${String(key)}`, this.#seed);
  }

  /** Objects compare by identity in a Map, so they hash by order of appearance. */
  #identity(key: WeakKey): number {
    this.#objects ??= new WeakMap();
    let id = this.#objects.get(key);
    if (id === undefined) {
      id = this.#objectCount++;
      this.#objects.set(key, id);
    }
    return id;
  }
}

/** Characters hashed at each end of a string longer than twice this. */
const HASHED_END = 128;

function hashString(key: string, seed: number): number {
  const length = key.length;
  let h = seed ^ length;
  if (length <= 2 * HASHED_END) {
    for (let i = 0; i < length; i++) h = Math.imul(h ^ key.charCodeAt(i), 0x01000193);
  } else {
    for (let i = 0; i < HASHED_END; i++) h = Math.imul(h ^ key.charCodeAt(i), 0x01000193);
    for (let i = length - HASHED_END; i < length; i++) h = Math.imul(h ^ key.charCodeAt(i), 0x01000193);
  }
  return mix(h);
}

function hashNumber(key: number, seed: number): number {
  const low = key | 0;
  if (low === key) return mix(seed ^ Math.imul(low, 0x9e3779b1));
  const high = Math.floor(key / 0x1_0000_0000) | 0;
  const fraction = Number.isFinite(key) ? Math.floor((key % 1) * 0x1_0000_0000) | 0 : 0;
  return mix(seed ^ Math.imul(low, 0x9e3779b1) ^ Math.imul(high ^ 0x27d4eb2f, 0x85ebca6b) ^ fraction);
}

/** The finalizer of MurmurHash3 (Appleby), which spreads every input bit over all output bits. */
function mix(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
