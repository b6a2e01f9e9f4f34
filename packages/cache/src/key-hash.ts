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
  if (length <= 2 * HASHED_END) return mix(hashRange(key, 0, length, seed ^ length));
  const start = hashRange(key, 0, HASHED_END, seed ^ length);
  return mix(hashRange(key, length - HASHED_END, length, start));
}

/** FNV-1a in two lanes, even and odd characters, so that the multiplications overlap. */
function hashRange(key: string, from: number, to: number, seed: number): number {
  let even = seed;
  let odd = seed ^ 0x85ebca6b;
  let i = from;
  for (; i + 1 < to; i += 2) {
    even = Math.imul(even ^ key.charCodeAt(i), 0x01000193);
    odd = Math.imul(odd ^ key.charCodeAt(i + 1), 0x01000193);
  }
  if (i < to) even = Math.imul(even ^ key.charCodeAt(i), 0x01000193);
  return even ^ ((odd << 13) | (odd >>> 19));
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
