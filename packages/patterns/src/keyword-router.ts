/**
 * Task text to routes (agents, tools, queues) by the words in it.
 *
 * A keyword is a sequence of words; it is found only as whole words, adjacent and in order. All keywords of all routes
 * share one trie over words, so a task costs (words of the task) x (words of the longest keyword it starts), however
 * many keywords there are.
 *
 * Confidence of a route = 1 - 2^-(weight x evidence), where evidence is the number of words in the distinct keywords
 * found: one plain word gives 0.5, two words or a phrase of two 0.75, and so on towards 1. It does not depend on the
 * other routes, so adding a route never changes the confidence of another.
 */
import { words } from './words.ts';

export interface Route {
  /** Unique within a router. */
  readonly id: string;
  /** Words or phrases; case, width and accents composition do not matter (NFKC, lower case). */
  readonly keywords: readonly string[];
  /** Above 0; how much one word of evidence for this route counts. Default 1. */
  readonly weight?: number;
}

export interface RoutedTask {
  readonly id: string;
  /** In (0, 1). */
  readonly confidence: number;
}

/** A word of some keywords: what ends here, and the words that may follow. */
interface TrieNode {
  readonly next: Map<string, TrieNode>;
  /** Number of the keyword that ends here, or -1. */
  keyword: number;
}

const MAX_EXPONENT = 50;

export class KeywordRouter {
  readonly #ids: readonly string[];
  readonly #weights: Float64Array;
  readonly #root: TrieNode = { next: new Map(), keyword: -1 };
  /** By keyword: how many words it has, and the routes that list it. */
  readonly #wordCounts: number[] = [];
  readonly #routesOf: number[][] = [];

  /**
   * @throws {TypeError} when a route or one of its fields has the wrong type
   * @throws {RangeError} for a repeated id, a weight that is not above 0, or a keyword without a word in it
   */
  constructor(routes: readonly Route[]) {
    if (!Array.isArray(routes)) throw new TypeError('routes must be an array');
    this.#ids = routes.map((route: Route) => route.id);
    this.#weights = new Float64Array(routes.length);
    const seen = new Set<string>();
    routes.forEach((route: Route, index) => {
      checkRoute(route, index, seen);
      this.#weights[index] = route.weight ?? 1;
      for (const keyword of route.keywords) this.#learn(keyword, index);
    });
  }

  /** The routes with a keyword in the task, best first; the order of definition breaks ties. O(words). */
  route(task: string): readonly RoutedTask[] {
    if (typeof task !== 'string') throw new TypeError('task must be a string');
    const evidence = this.#evidence(words(task));
    const found = [...evidence.entries()].map(([route, amount]) => ({
      route,
      exponent: Math.min(MAX_EXPONENT, (this.#weights[route] as number) * amount),
      strength: (this.#weights[route] as number) * amount,
    }));
    found.sort((a, b) => b.strength - a.strength || a.route - b.route);
    return found.map(({ route, exponent }) => ({
      id: this.#ids[route] as string,
      confidence: 1 - 2 ** -exponent,
    }));
  }

  #learn(keyword: string, route: number): void {
    const sequence = words(keyword);
    let node = this.#root;
    for (const word of sequence) {
      let next = node.next.get(word);
      if (next === undefined) node.next.set(word, (next = { next: new Map(), keyword: -1 }));
      node = next;
    }
    if (node.keyword === -1) {
      node.keyword = this.#wordCounts.length;
      this.#wordCounts.push(sequence.length);
      this.#routesOf.push([]);
    }
    const routes = this.#routesOf[node.keyword] as number[];
    if (routes.at(-1) !== route) routes.push(route);
  }

  #evidence(task: readonly string[]): Map<number, number> {
    const seen = new Set<number>();
    const evidence = new Map<number, number>();
    for (let start = 0; start < task.length; start++) {
      let node = this.#root.next.get(task[start] as string);
      for (let next = start + 1; node !== undefined; next++) {
        if (node.keyword !== -1 && !seen.has(node.keyword)) {
          seen.add(node.keyword);
          const amount = this.#wordCounts[node.keyword] as number;
          for (const route of this.#routesOf[node.keyword] as number[]) {
            evidence.set(route, (evidence.get(route) ?? 0) + amount);
          }
        }
        node = next < task.length ? node.next.get(task[next] as string) : undefined;
      }
    }
    return evidence;
  }
}

function checkRoute(route: Route, index: number, seen: Set<string>): void {
  const at = `routes[${index}]`;
  if (typeof route.id !== 'string' || route.id === '')
    throw new TypeError(`${at}.id must be a non-empty string`);
  if (seen.has(route.id)) throw new RangeError(`${at}.id repeats ${JSON.stringify(route.id)}`);
  seen.add(route.id);
  if (!Array.isArray(route.keywords)) throw new TypeError(`${at}.keywords must be an array of strings`);
  for (const keyword of route.keywords) {
    if (typeof keyword !== 'string') throw new TypeError(`${at}.keywords must be an array of strings`);
    if (words(keyword).length === 0)
      throw new RangeError(`${at}.keywords has ${JSON.stringify(keyword)}, which holds no word`);
  }
  const { weight } = route;
  if (weight !== undefined && typeof weight !== 'number')
    throw new TypeError(`${at}.weight must be a number`);
  if (weight !== undefined && !(weight > 0 && weight < Infinity))
    throw new RangeError(`${at}.weight must be above 0 and finite`);
}
