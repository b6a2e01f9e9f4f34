import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { RateLimiter } from '@perf/batch';

beforeEach(() => vi.useFakeTimers({ now: Date.parse('2026-02-17T12:00:00Z') }));
afterEach(() => vi.useRealTimers());

const available = (
  limiter: RateLimiter,
  name: 'requests' | 'tokens' | 'inputTokens' | 'outputTokens',
): number => limiter.stats().limits[name]?.available ?? Number.NaN;

/** When each of the acquires was granted, in ms from now. */
function grantTimes(limiter: RateLimiter, costs: readonly number[]): number[] {
  const startMs = performance.now();
  const times: number[] = [];
  for (const cost of costs) void limiter.acquire(cost).then(() => times.push(performance.now() - startMs));
  return times;
}

describe('buckets', () => {
  test('a full bucket goes at once, then at the rate', async () => {
    const limiter = new RateLimiter({ requestsPerMinute: 60, burstMs: 3000 });
    const times = grantTimes(limiter, [0, 0, 0, 0, 0]);
    await vi.advanceTimersByTimeAsync(5000);
    expect(times).toEqual([0, 0, 0, 1000, 2000]);
  });

  test('the scarcer of requests and tokens decides', async () => {
    const limiter = new RateLimiter({ requestsPerMinute: 6000, tokensPerMinute: 60_000, burstMs: 1000 });
    const times = grantTimes(limiter, [1000, 500, 500]);
    await vi.advanceTimersByTimeAsync(5000);
    expect(times).toEqual([0, 500, 1000]);
  });

  test('a large request is not overtaken by small ones behind it', async () => {
    const limiter = new RateLimiter({ tokensPerMinute: 60_000, burstMs: 1000 });
    const order: number[] = [];
    for (const cost of [600, 900, 1]) void limiter.acquire(cost).then(() => order.push(cost));
    await vi.advanceTimersByTimeAsync(5000);
    expect(order).toEqual([600, 900, 1]);
  });

  test('urgent callers go first', async () => {
    const limiter = new RateLimiter({ requestsPerMinute: 60, burstMs: 1000 });
    const order: string[] = [];
    await limiter.acquire();
    void limiter.acquire(0, { priority: 7 }).then(() => order.push('late'));
    void limiter.acquire(0, { priority: 0 }).then(() => order.push('urgent'));
    await vi.advanceTimersByTimeAsync(3000);
    expect(order).toEqual(['urgent', 'late']);
  });

  test('a cost above the whole limit waits for a full bucket and leaves a debt', async () => {
    const limiter = new RateLimiter({ tokensPerMinute: 60_000, burstMs: 1000 });
    const times = grantTimes(limiter, [3000, 1]);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(times).toEqual([0, 2001]);
  });

  test('settling returns what was estimated too much, or takes what was too little', async () => {
    const limiter = new RateLimiter({ tokensPerMinute: 60_000, requestsPerMinute: 60 });
    const grant = await limiter.acquire({ inputTokens: 1000, outputTokens: 4000 });
    expect(available(limiter, 'tokens')).toBe(55_000);
    grant.settle({ inputTokens: 1000, outputTokens: 200 });
    expect(available(limiter, 'tokens')).toBe(58_800);
    expect(available(limiter, 'requests')).toBe(59);
    grant.settle(2000);
    expect(available(limiter, 'tokens')).toBe(58_000);
  });

  test('an aborted caller leaves the line with its reason and makes room for the next', async () => {
    const limiter = new RateLimiter({ requestsPerMinute: 60, burstMs: 1000, maxWaiting: 2 });
    await limiter.acquire();
    const stop = new AbortController();
    const first = limiter.acquire(0, { signal: stop.signal });
    const second = limiter.acquire();
    await expect(limiter.acquire()).rejects.toMatchObject({ code: 'ERR_PERF_BATCH_FULL' });
    stop.abort(new Error('enough'));
    await expect(first).rejects.toThrow('enough');
    await vi.advanceTimersByTimeAsync(1000);
    await second;
    expect(limiter.stats()).toMatchObject({ waiting: 0, granted: 2 });
    await expect(limiter.acquire(0, { signal: AbortSignal.abort(new Error('no')) })).rejects.toThrow('no');
  });
});

describe('learning', () => {
  test('limits and levels come from anthropic headers', () => {
    const limiter = new RateLimiter();
    limiter.observe(200, {
      'anthropic-ratelimit-requests-limit': '4000',
      'anthropic-ratelimit-requests-remaining': '3999',
      'anthropic-ratelimit-input-tokens-limit': '2000000',
      'anthropic-ratelimit-input-tokens-remaining': '1999000',
    });
    expect(limiter.stats().limits).toEqual({
      requests: { perMinute: 4000, available: 3999 },
      inputTokens: { perMinute: 2_000_000, available: 1_999_000 },
    });
  });

  test('and from x-ratelimit headers, in any case, from Headers too', () => {
    const limiter = new RateLimiter();
    const headers = new Headers({
      'X-RateLimit-Limit-Tokens': '30000',
      'x-ratelimit-remaining-tokens': '29000',
    });
    limiter.observe(200, headers);
    limiter.observe(200, { 'X-RateLimit-Limit-Requests': ['500'], 'x-ratelimit-remaining-requests': 499 });
    expect(limiter.stats().limits).toEqual({
      tokens: { perMinute: 30_000, available: 29_000 },
      requests: { perMinute: 500, available: 499 },
    });
  });

  test('what is on its way is not forgotten when the server has not seen it', async () => {
    const limiter = new RateLimiter({ tokensPerMinute: 60_000 });
    const first = await limiter.acquire(10_000);
    const second = await limiter.acquire(10_000);
    limiter.observe(200, { 'x-ratelimit-remaining-tokens': '60000' }, first);
    expect(available(limiter, 'tokens')).toBe(40_000);
    first.settle(1000);
    second.settle(10_000);
    const third = await limiter.acquire(1000);
    expect(available(limiter, 'tokens')).toBe(48_000);
    limiter.observe(200, { 'x-ratelimit-remaining-tokens': '55000' });
    expect(available(limiter, 'tokens')).toBe(48_000);
    limiter.observe(200, { 'x-ratelimit-remaining-tokens': '55000' }, third);
    expect(available(limiter, 'tokens')).toBe(54_000);
  });

  test('a changed limit keeps what was drawn', async () => {
    const limiter = new RateLimiter({ tokensPerMinute: 60_000 });
    await limiter.acquire(10_000);
    limiter.observe(200, { 'x-ratelimit-limit-tokens': '30000' });
    expect(available(limiter, 'tokens')).toBe(20_000);
  });

  test('nonsense in headers is ignored', () => {
    const limiter = new RateLimiter();
    limiter.observe(200, {
      'anthropic-ratelimit-requests-limit': 'many',
      'anthropic-ratelimit-tokens-limit': '-5',
      'anthropic-ratelimit-tokens-remaining': '',
      'x-ratelimit-limit-tokens': '0',
    });
    expect(limiter.stats().limits).toEqual({});
  });

  test('every recorded response is understood, and none of them, all 200, makes anybody wait', async () => {
    const recorded = readFileSync(
      new URL('../../../bench/data/batch-memory/llm-ratelimit-headers.jsonl', import.meta.url),
      'utf8',
    );
    let learned = 0;
    let withRetryAfter = 0;
    for (const line of recorded.trim().split('\n')) {
      const { status, headers } = JSON.parse(line) as { status: number; headers: Record<string, string> };
      const limiter = new RateLimiter();
      limiter.observe(status, headers);
      if (headers['retry-after'] !== undefined) withRetryAfter++;
      expect(limiter.stats().pausedForMs).toBe(0);
      await limiter.acquire(100);
      const { limits } = limiter.stats();
      for (const [name, word] of [
        ['requests', 'requests'],
        ['inputTokens', 'input-tokens'],
      ] as const) {
        const limit = headers[`anthropic-ratelimit-${word}-limit`];
        if (limit === undefined) continue;
        learned++;
        expect(limits[name]?.perMinute).toBe(Number(limit));
      }
    }
    expect(learned).toBeGreaterThan(20);
    expect(withRetryAfter).toBeGreaterThan(20);
  });
});

describe('refusals', () => {
  test('nobody goes before retry-after, and then one by one', async () => {
    const limiter = new RateLimiter({ requestsPerMinute: 60_000, resumeSlotMs: 50 });
    limiter.observe(429, { 'retry-after': '7' });
    const times = grantTimes(
      limiter,
      Array.from({ length: 32 }, () => 0),
    );
    await vi.advanceTimersByTimeAsync(60_000);
    expect(times).toHaveLength(32);
    expect(Math.min(...times)).toBeGreaterThanOrEqual(7000);
    for (const start of times)
      expect(times.filter((at) => at >= start && at < start + 100).length).toBeLessThanOrEqual(3);
  });

  test.each([
    ['3', 3000],
    ['1.5', 1500],
    ['Tue, 17 Feb 2026 12:00:04 GMT', 4000],
    ['Tue, 17 Feb 2026 11:59:00 GMT', 0],
  ])('retry-after %s is %i ms', (value, expected) => {
    const limiter = new RateLimiter();
    limiter.observe(429, { 'retry-after': value });
    expect(limiter.stats().pausedForMs).toBe(expected);
  });

  test('a date is taken by the server’s clock', () => {
    const limiter = new RateLimiter();
    limiter.observe(429, {
      date: 'Tue, 17 Feb 2026 15:00:00 GMT',
      'retry-after': 'Tue, 17 Feb 2026 15:00:09 GMT',
    });
    expect(limiter.stats().pausedForMs).toBe(9000);
  });

  test('there is no cap below what the server says, and a shorter refusal does not shorten a longer one', () => {
    const limiter = new RateLimiter();
    limiter.observe(429, { 'retry-after': '86400' });
    limiter.observe(529, { 'retry-after': '1' });
    expect(limiter.stats()).toMatchObject({ pausedForMs: 86_400_000, refusals: 2 });
  });

  test('without retry-after the pause doubles while refusals go on', () => {
    const limiter = new RateLimiter({ defaultPauseMs: 1000 });
    const pauses = [1, 2, 3].map(() => {
      limiter.observe(503);
      return limiter.stats().pausedForMs;
    });
    expect(pauses).toEqual([1000, 2000, 4000]);
  });

  test('retry-after on a 200 means nothing', () => {
    const limiter = new RateLimiter();
    limiter.observe(200, { 'retry-after': '32' });
    expect(limiter.stats()).toMatchObject({ pausedForMs: 0, refusals: 0 });
  });
});

test('options and calls out of range name themselves', () => {
  expect(() => new RateLimiter({ requestsPerMinute: 0 })).toThrow('requestsPerMinute');
  expect(() => new RateLimiter({ burstMs: 10 })).toThrow('burstMs');
  const limiter = new RateLimiter();
  expect(() => limiter.acquire(-1)).toThrow('tokens');
  expect(() => limiter.acquire(1, { priority: 8 })).toThrow('priority');
  expect(() => limiter.observe(0)).toThrow('status');
});
