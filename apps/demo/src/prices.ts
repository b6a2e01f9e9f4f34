// List prices of the recorded models, US dollars per million tokens, as their provider publishes them. The recordings hold
// token counts, not invoices: a cost on screen is these prices times those counts.
import type { Usage } from './recording.ts';

interface Price {
  readonly input: number;
  readonly output: number;
  readonly cacheRead: number;
  /** One-hour prompt cache, which the recorded sessions used. */
  readonly cacheWrite: number;
}

const prices: readonly (readonly [prefix: string, Price])[] = [
  ['claude-opus-4', { input: 5, output: 25, cacheRead: 0.5, cacheWrite: 10 }],
  ['claude-sonnet-4', { input: 3, output: 15, cacheRead: 0.3, cacheWrite: 6 }],
  ['claude-haiku-4', { input: 1, output: 5, cacheRead: 0.1, cacheWrite: 2 }],
];

/** `undefined` for a model without a known price, such as a synthetic message. */
export function costUsd(usage: Usage): number | undefined {
  const price = prices.find(([prefix]) => usage.model.startsWith(prefix))?.[1];
  if (!price) return undefined;
  const fresh = usage.inputTokens - usage.cachedTokens - usage.cacheWriteTokens;
  const micros =
    fresh * price.input +
    usage.outputTokens * price.output +
    usage.cachedTokens * price.cacheRead +
    usage.cacheWriteTokens * price.cacheWrite;
  return micros / 1e6;
}
