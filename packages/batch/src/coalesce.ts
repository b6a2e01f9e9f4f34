import { functionOption } from './option-checks.ts';

export interface CoalesceOptions<Args extends readonly unknown[]> {
  /** Calls with equal keys that overlap in time are one call. */
  readonly key: (...args: Args) => string | number;
}

/**
 * Makes concurrent calls with the same key share one call of `fn`, and its outcome. Nothing is remembered once it has
 * settled: for that there are caches. The arguments are those of the first caller; a signal in them is the first
 * caller's too, so do not pass one that only one caller may abort.
 *
 * @throws {TypeError} when `fn` or `key` is no function.
 */
export function coalesce<Args extends readonly unknown[], V>(
  fn: (...args: Args) => Promise<V>,
  options: CoalesceOptions<Args>,
): (...args: Args) => Promise<V> {
  functionOption('fn', fn);
  const key = functionOption('key', options.key);
  const underWay = new Map<string | number, Promise<V>>();
  return (...args) => {
    const id = key(...args);
    const shared = underWay.get(id);
    if (shared !== undefined) return shared;
    const call = start(fn, args);
    underWay.set(id, call);
    const forget = (): void => {
      underWay.delete(id);
    };
    call.then(forget, forget);
    return call;
  };
}

function start<Args extends readonly unknown[], V>(
  fn: (...args: Args) => Promise<V>,
  args: Args,
): Promise<V> {
  try {
    return Promise.resolve(fn(...args));
  } catch (error) {
    return Promise.reject(error);
  }
}
