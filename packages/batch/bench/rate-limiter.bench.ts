import { measureCase, type BenchCase } from '@perf/bench';
import { RateLimiter } from '@perf/batch';
import { SimulatedApi } from './simulated-api.ts';
import { VirtualTime } from './virtual-time.ts';

const AGENTS = 32;
const LENGTH_MS = 45 * 60_000;
const OUTAGE = { fromMs: 20 * 60_000, toMs: 20 * 60_000 + 12_000 };

export const cases: readonly BenchCase[] = [
  measureCase({
    name: 'rate-limiter',
    about:
      '32 agents for 45 virtual minutes against an API with recorded limits and headers that refuses everything for 12 s.',
    forks: 1,
    measure: async (context) => {
      const time = new VirtualTime();
      const clock = { now: () => time.now() };
      const { random } = context;
      const limits = { requests: 4000, inputTokens: 2_000_000, outputTokens: 400_000 };
      const api = new SimulatedApi(limits, OUTAGE, clock.now, random);
      const limiter = new RateLimiter({ clock, random });
      const retriesAtMs: number[] = [];
      let tooEarly = 0;
      const agent = async (): Promise<void> => {
        while (time.now() < LENGTH_MS) {
          const inputTokens = 500 + Math.floor(random() * 3000);
          const outputTokens = 10 + Math.floor(random() * 400);
          let notBeforeMs = -1;
          for (;;) {
            // What an agent knows before: its prompt exactly, the answer by its maximum.
            const grant = await limiter.acquire({ inputTokens, outputTokens: 500 });
            if (notBeforeMs >= 0) {
              retriesAtMs.push(time.now());
              if (time.now() < notBeforeMs) tooEarly++;
            }
            await time.sleep(20 + random() * 30);
            const { status, headers } = api.request(inputTokens, outputTokens);
            // A server in trouble is slow to say so: everybody under way is refused before the first one hears of it.
            await time.sleep(status === 200 ? 300 + outputTokens * 5 * random() : 1800);
            limiter.observe(status, headers, grant);
            grant.settle({
              inputTokens: status === 200 ? inputTokens : 0,
              outputTokens: status === 200 ? outputTokens : 0,
            });
            if (status === 200) break;
            notBeforeMs = time.now() + Number(headers['retry-after']) * 1000;
          }
        }
      };
      await time.run(() => Promise.all(Array.from({ length: AGENTS }, agent)));
      const crowd = Math.max(
        ...retriesAtMs.map((from) => retriesAtMs.filter((at) => at >= from && at < from + 100).length),
      );
      return [
        {
          name: 'allowed tokens used',
          value: api.usedTokens / api.allowedTokens,
          unit: 'ratio',
          target: { atLeast: 0.97 },
          note: `${api.answers} requests`,
        },
        {
          name: 'share of 429s',
          value: api.refusals / api.answers,
          unit: 'ratio',
          target: { atMost: 0.001 },
          note: `${api.refusals} refused`,
        },
        { name: 'retries before retry-after', value: tooEarly, unit: 'retries', target: { atMost: 0 } },
        {
          name: 'retries in the fullest 100 ms',
          value: crowd / retriesAtMs.length,
          unit: 'ratio',
          target: { atMost: 0.1 },
          note: `${crowd} of ${retriesAtMs.length}`,
        },
      ];
    },
  }),
];
