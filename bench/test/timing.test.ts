import { describe, expect, test } from 'vitest';

import { seededRandom } from '../src/random.ts';
import { pairedSpeedRatio, spreadOf } from '../src/statistics.ts';
import { timeContenders, type TimedContender, type TimingOptions, type TimingTools } from '../src/timing.ts';

/** A clock that only contenders move; reading it takes 20 ns. */
class FakeMachine {
  atNs = 0;
  garbageCollections = 0;
  readonly log: string[] = [];

  tools(seed = 1): TimingTools {
    return {
      nowNs: () => (this.atNs += 20),
      collectGarbage: () => {
        this.garbageCollections += 1;
      },
      random: seededRandom(seed),
      settle: () => Promise.resolve(),
    };
  }

  contender(name: string, runNs: () => number, more: Partial<TimedContender> = {}): TimedContender {
    return {
      name,
      prepare: () => name,
      run: () => {
        this.log.push(name);
        this.atNs += runNs();
        return name;
      },
      validate: () => undefined,
      ...more,
    };
  }
}

const options: TimingOptions = { rounds: 6, sampleMs: 1, warmupMs: 2, budgetMs: 10_000 };

describe('timeContenders', () => {
  test('reports the time of a run, whatever the contender does before and after', async () => {
    const machine = new FakeMachine();
    const slowToPrepare: Partial<TimedContender> = {
      prepare: () => {
        machine.atNs += 50_000;
      },
      dispose: () => {
        machine.atNs += 70_000;
      },
    };
    const [fast, slow] = await timeContenders(
      [machine.contender('fast', () => 1000, slowToPrepare), machine.contender('slow', () => 3000)],
      options,
      machine.tools(),
    );
    expect(fast?.runNs).toHaveLength(6);
    for (const ns of fast?.runNs ?? []) expect(ns).toBeCloseTo(1000, -1);
    for (const ns of slow?.runNs ?? []) expect(ns).toBeCloseTo(3000, -1);
  });

  test('times enough runs at once that reading the clock costs at most a thousandth', async () => {
    const machine = new FakeMachine();
    const [tiny] = await timeContenders([machine.contender('tiny', () => 10)], options, machine.tools());
    for (const ns of tiny?.runNs ?? []) expect(Math.abs(ns - 10)).toBeLessThanOrEqual(0.01);
  });

  test('spends about the wanted time per sample, and one run when a run is longer', async () => {
    const machine = new FakeMachine();
    const [short, long] = await timeContenders(
      [machine.contender('short', () => 10_000), machine.contender('long', () => 50e6)],
      options,
      machine.tools(),
    );
    expect(short?.runsPerSample).toBeGreaterThanOrEqual(100);
    expect(short?.runsPerSample).toBeLessThan(110);
    expect(long?.runsPerSample).toBe(1);
  });

  test('says so when a run is too short to be timed', async () => {
    const machine = new FakeMachine();
    await expect(
      timeContenders([machine.contender('nothing', () => 0)], options, machine.tools()),
    ).rejects.toMatchObject({
      code: 'ERR_PERF_BENCH_TOO_SHORT',
      message: expect.stringContaining("contender 'nothing'"),
    });
  });

  test('takes fewer rounds, at least one, when they would take longer than the budget', async () => {
    const machine = new FakeMachine();
    const few = await timeContenders(
      [machine.contender('slow', () => 40e6), machine.contender('slower', () => 60e6)],
      { ...options, budgetMs: 350 },
      machine.tools(),
    );
    expect(few.map(({ runNs }) => runNs.length)).toEqual([3, 3]);
    const one = await timeContenders(
      [machine.contender('glacial', () => 5e9)],
      { ...options, budgetMs: 350 },
      machine.tools(),
    );
    expect(one[0]?.runNs).toHaveLength(1);
  });

  test('cuts a sample short when preparing its runs would take ten times longer than timing them', async () => {
    const machine = new FakeMachine();
    const [prepared] = await timeContenders(
      [
        machine.contender('prepared', () => 50_000, {
          prepare: () => {
            machine.atNs += 5e6;
          },
        }),
      ],
      options,
      machine.tools(),
    );
    expect(prepared?.runsPerSample).toBeLessThanOrEqual(2);
  });

  test('collects garbage before every sample and gives every run a state of its own', async () => {
    const machine = new FakeMachine();
    let prepared = 0;
    let disposed = 0;
    const seen = new Set<unknown>();
    const owner = machine.contender('owner', () => 400_000, {
      prepare: () => (prepared += 1),
      dispose: (state) => {
        seen.add(state);
        disposed += 1;
      },
    });
    await timeContenders([owner], options, machine.tools());
    expect(disposed).toBe(prepared);
    expect(seen.size).toBe(prepared);
    // One per round and one for the sample that learns how long a round takes.
    expect(machine.garbageCollections).toBe(7);
  });

  test('interleaves: no contender has two samples in a row more often than chance allows', async () => {
    const machine = new FakeMachine();
    await timeContenders(
      [machine.contender('a', () => 2e6), machine.contender('b', () => 2e6)],
      { ...options, rounds: 40 },
      machine.tools(),
    );
    const samples = machine.log.slice(-82, -2);
    const longest = samples
      .join('')
      .match(/a+|b+/g)
      ?.reduce((most, run) => Math.max(most, run.length), 0);
    expect(longest).toBeLessThanOrEqual(2);
  });

  test('awaits contenders that answer with a promise', async () => {
    const machine = new FakeMachine();
    const later = machine.contender('later', () => 0, {
      run: async () => {
        await Promise.resolve();
        machine.atNs += 1000;
        return 42;
      },
      validate: (answer) => expect(answer).toBe(42),
    });
    const [result] = await timeContenders([later], options, machine.tools());
    for (const ns of result?.runNs ?? []) expect(ns).toBeCloseTo(1000, -1);
  });
});

describe('answers', () => {
  const wrong = (): never => {
    throw new Error('expected 4');
  };

  test('a wrong first answer stops everything before anything is timed', async () => {
    const machine = new FakeMachine();
    const honest = machine.contender('honest', () => 1000);
    const liar = machine.contender('liar', () => 1000, { validate: wrong });
    await expect(timeContenders([honest, liar], options, machine.tools())).rejects.toMatchObject({
      code: 'ERR_PERF_BENCH_WRONG_ANSWER',
      message: expect.stringMatching(/contender 'liar'.*first.*expected 4/),
    });
    expect(machine.log).toEqual(['honest', 'liar']);
  });

  test('an answer that turns wrong later is caught after the rounds', async () => {
    const machine = new FakeMachine();
    let checks = 0;
    const forgetful = machine.contender('forgetful', () => 1000, {
      validate: () => {
        checks += 1;
        if (checks > 1) wrong();
      },
    });
    await expect(timeContenders([forgetful], options, machine.tools())).rejects.toMatchObject({
      code: 'ERR_PERF_BENCH_WRONG_ANSWER',
      message: expect.stringMatching(/contender 'forgetful'.*last/),
    });
  });
});

describe('A/A: two identical contenders', () => {
  /** Runs take 1 us times noise: a level of the fork, a drift over time, and a skewed jitter of each run. */
  async function forkRatio(seed: number): Promise<number> {
    const machine = new FakeMachine();
    const random = seededRandom(seed * 7919);
    const level = 0.8 + 0.4 * random();
    const noisy = (): number => {
      const drift = 1 + 0.3 * Math.sin(machine.atNs / 3e6);
      return 100_000 * level * drift * (1 - 0.05 * Math.log(1 - random()));
    };
    const [ours, theirs] = await timeContenders(
      [machine.contender('a', noisy), machine.contender('a again', noisy)],
      options,
      machine.tools(seed),
    );
    return pairedSpeedRatio(ours?.runNs ?? [], theirs?.runNs ?? []);
  }

  test('their interval covers 1 about as often as it says, over many runs of nine forks', async () => {
    const runs = 60;
    let covered = 0;
    for (let run = 0; run < runs; run += 1) {
      const ratios: number[] = [];
      for (let fork = 0; fork < 9; fork += 1) ratios.push(await forkRatio(run * 9 + fork + 1));
      const { low, high, median } = spreadOf(ratios);
      expect(Math.abs(median - 1)).toBeLessThan(0.1);
      if (low <= 1 && 1 <= high) covered += 1;
    }
    expect(covered).toBeGreaterThanOrEqual(54);
  });

  test('the harness sees a real difference of a fifth through the same noise', async () => {
    const machine = new FakeMachine();
    const random = seededRandom(5);
    const noisy = (scale: number) => (): number => 100_000 * scale * (1 - 0.05 * Math.log(1 - random()));
    const [ours, theirs] = await timeContenders(
      [machine.contender('ours', noisy(1)), machine.contender('theirs', noisy(1.2))],
      options,
      machine.tools(),
    );
    expect(pairedSpeedRatio(ours?.runNs ?? [], theirs?.runNs ?? [])).toBeCloseTo(1.2, 1);
  });
});
