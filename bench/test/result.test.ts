import { describe, expect, test } from 'vitest';

import { aggregate, aggregateExitCode } from '../src/aggregate.ts';
import type { Goal, RatioCase } from '../src/case.ts';
import { measureCase, ratioCase } from '../src/case.ts';
import { exitCodeOf } from '../src/exit-code.ts';
import type { ForkReport } from '../src/fork.ts';
import type { MachineFacts } from '../src/machine.ts';
import { markdownReport } from '../src/report-markdown.ts';
import { caseLines, terminalReport } from '../src/report-terminal.ts';
import {
  measureCaseResult,
  peerWins,
  ratioCaseResult,
  RESULT_SCHEMA,
  worstOf,
  type CaseResult,
  type PackageResult,
  type RunOptions,
} from '../src/result.ts';

function race(goals: readonly Goal[] = []): RatioCase {
  return ratioCase<number, number>({
    name: 'a-race',
    about: 'three contenders',
    setup: () => 1,
    operations: () => 10,
    contenders: ['ours', 'theirs', 'third'].map((name) => ({
      name,
      ours: name === 'ours',
      prepare: () => undefined,
      run: () => 1,
    })),
    validate: () => undefined,
    goals,
  });
}

/** Forks in which the contenders took these nanoseconds in each of three rounds. */
function forks(...times: readonly (readonly [ours: number, theirs: number, third?: number])[]): ForkReport[] {
  return times.map(([ours, theirs, third]) => {
    const contenders = [
      ['ours', ours],
      ['theirs', theirs],
      ['third', third],
    ] as const;
    return {
      kind: 'ratio',
      operations: 10,
      measured: contenders
        .filter(([, ns]) => ns !== undefined)
        .map(([name, ns]) => ({ name, runsPerSample: 5, operationNs: [ns ?? 0, ns ?? 0, ns ?? 0] })),
      skipped: third === undefined ? [{ name: 'third', reason: 'not installed' }] : [],
    };
  });
}

const six = forks([10, 20, 5], [10, 21, 5], [10, 22, 5], [10, 18, 5], [10, 19, 5], [10, 20, 5]);

function run(reports: readonly ForkReport[]): Parameters<typeof ratioCaseResult>[1] {
  return { file: 'a.bench.ts', reports, forksPlanned: 6, othersCpuFraction: 0.01, durationMs: 12 };
}

describe('ratioCaseResult', () => {
  test('takes the median over forks of ours over theirs, with its interval', () => {
    const result = ratioCaseResult(race(), run(six));
    expect(result.verdict).toBe('none');
    expect(result.samples).toBe(54);
    const [theirs, third] = result.ratios;
    expect(theirs?.versus).toBe('theirs');
    expect(theirs?.speed.median).toBeCloseTo(2, 12);
    expect(theirs?.speed.low).toBeCloseTo(1.8, 12);
    expect(theirs?.speed.high).toBeCloseTo(2.2, 12);
    expect(theirs?.speed.confidence).toBeCloseTo(0.96875, 12);
    expect(third?.speed.median).toBeCloseTo(0.5, 12);
    expect(result.contenders.map(({ operationNs }) => operationNs?.median)).toEqual([10, 20, 5]);
  });

  test('judges a goal on the median and says when the interval leaves it open', () => {
    const goals = [
      { versus: 'theirs', atLeast: 1.5 },
      { versus: 'theirs', atLeast: 1.9 },
      { versus: 'theirs', atLeast: 2.1 },
      { versus: 'third', atLeast: 1 },
    ];
    const result = ratioCaseResult(race(goals), run(six));
    expect(result.goals.map(({ verdict, isClear }) => [verdict, isClear])).toEqual([
      ['pass', true],
      ['pass', false],
      ['miss', false],
      ['miss', true],
    ]);
    expect(result.verdict).toBe('miss');
    expect(caseLines(result).join('\n')).toContain('goal 2.10x: miss (unclear)');
  });

  test('a goal met exactly is a pass', () => {
    const goal = { versus: 'theirs', atLeast: 2 };
    expect(ratioCaseResult(race([goal]), run(forks([8, 16, 8]))).goals[0]?.verdict).toBe('pass');
  });

  test('a skipped contender and the goal against it are skips with the reason; the rest is measured', () => {
    const goals = [
      { versus: 'theirs', atLeast: 1 },
      { versus: 'third', atLeast: 1 },
    ];
    const result = ratioCaseResult(race(goals), run(forks([10, 20], [10, 20])));
    expect(result.verdict).toBe('skip');
    expect(result.contenders[2]).toEqual({ name: 'third', ours: false, skipped: 'not installed' });
    expect(result.goals).toMatchObject([{ verdict: 'pass' }, { verdict: 'skip', reason: 'not installed' }]);
    expect(result.ratios).toHaveLength(1);
  });

  test('one failing fork fails the case, whatever the others measured', () => {
    const failure: ForkReport = { kind: 'failure', message: 'wrong', detail: '' };
    const result = ratioCaseResult(race([{ versus: 'theirs', atLeast: 1 }]), run([...six, failure]));
    expect(result).toMatchObject({
      verdict: 'fail',
      reason: 'wrong',
      ratios: [],
      goals: [{ verdict: 'skip' }],
    });
  });

  test('no report at all is a failure', () => {
    expect(ratioCaseResult(race(), run([]))).toMatchObject({ verdict: 'fail', reason: 'no fork reported' });
  });
});

describe('measureCaseResult', () => {
  const definition = measureCase({ name: 'a-measure', about: 'numbers', measure: () => [] });
  const reports = (...values: number[]): ForkReport[] =>
    values.map((value) => ({
      kind: 'measure',
      measurements: [
        { name: 'bytes', value, unit: 'bytes', target: { atMost: 100 } },
        { name: 'hits', value: value / 100, unit: 'share', target: { atLeast: 0.9 } },
        { name: 'free', value, unit: 'bytes' },
      ],
    }));

  test('judges each target on the median over forks', () => {
    const result = measureCaseResult(definition, run(reports(90, 100, 110)));
    expect(result.measurements.map(({ value, verdict }) => [value.median, verdict])).toEqual([
      [100, 'pass'],
      [1, 'pass'],
      [100, 'none'],
    ]);
    expect(result.verdict).toBe('pass');
    expect(measureCaseResult(definition, run(reports(101))).verdict).toBe('miss');
    expect(measureCaseResult(definition, run(reports(80))).verdict).toBe('miss');
  });

  test('forks that report different measurements, none, or a name twice fail the case', () => {
    const other: ForkReport = { kind: 'measure', measurements: [{ name: 'x', value: 1, unit: '' }] };
    const twice: ForkReport = {
      kind: 'measure',
      measurements: [
        { name: 'x', value: 1, unit: '' },
        { name: 'x', value: 2, unit: '' },
      ],
    };
    for (const bad of [
      [...reports(1), other],
      [{ kind: 'measure', measurements: [] } as const],
      [twice],
      [],
    ]) {
      expect(measureCaseResult(definition, run(bad)).verdict).toBe('fail');
    }
  });

  test('a case cut short by its time says how many forks it had, and a busy machine what others took', () => {
    const lines = caseLines(measureCaseResult(definition, run(reports(100, 100))));
    expect(lines.at(-1)).toContain('only 2 of 6 forks: the case ran out of time');
    const busy = measureCaseResult(definition, { ...run(reports(1)), othersCpuFraction: 0.4 });
    expect(caseLines(busy).at(-1)).toContain('busy: others used 40 % of the CPUs meanwhile');
  });
});

test('the worst verdict decides', () => {
  expect(worstOf(['pass', 'skip', 'miss', 'fail'])).toBe('fail');
  expect(worstOf(['pass', 'skip', 'miss'])).toBe('miss');
  expect(worstOf(['none', 'pass', 'skip'])).toBe('skip');
  expect(worstOf(['none', 'pass'])).toBe('pass');
  expect(worstOf(['none'])).toBe('none');
  expect(worstOf([])).toBe('none');
});

describe('the aggregate', () => {
  const machine: MachineFacts = {
    cpuModel: 'a CPU',
    cpuCount: 2,
    usableCpuCount: 2,
    memoryBytes: 2 ** 33,
    os: 'linux',
    node: '24.21.0',
    v8: '13.6',
    scratchFileSystem: 'ext4',
    loadAverage: [0, 0, 0],
    busyFraction: 0,
    warnings: ['scratch is on tmpfs', 'the machine was busy before the first case'],
  };
  const options: RunOptions = {
    forks: 9,
    rounds: 10,
    sampleMs: 10,
    warmupMs: 150,
    budgetMs: 1,
    timeoutMs: 1,
    caseBudgetMs: 1,
    quick: false,
  };
  const packageOf = (...cases: CaseResult[]): PackageResult => ({
    schema: RESULT_SCHEMA,
    package: '@perf/x',
    startedAt: '2026-01-01T00:00:00.000Z',
    durationMs: 1,
    options,
    machine,
    cases,
  });
  const aggregateOf = (...cases: CaseResult[]): ReturnType<typeof aggregate> =>
    aggregate({
      startedAt: '2026-01-01T00:00:00.000Z',
      durationMs: 1000,
      options,
      packages: [packageOf(...cases)],
      withoutCases: ['@perf/y'],
      problems: [],
      peers: { installedNow: false, unusable: { re2: 'does not load' } },
    });

  test('names every case where a peer wins, and says when it may be a tie', () => {
    const clear = ratioCaseResult(race(), run(six));
    const tie = ratioCaseResult(race(), run(forks([10, 9, 10], [10, 9, 10], [10, 11, 10])));
    expect(peerWins(clear)).toMatchObject([{ versus: 'third', isClear: true }]);
    expect(peerWins(tie)).toMatchObject([{ versus: 'theirs', isClear: false }]);
    expect(caseLines(clear).join('\n')).toContain('PEER WINS');
    expect(caseLines(tie).join('\n')).toContain('peer ahead, may be a tie');
    const result = aggregateOf(clear, tie);
    expect(result.peerWins).toEqual([
      { package: '@perf/x', case: 'a-race', what: 'ours is 0.500x third' },
      {
        package: '@perf/x',
        case: 'a-race',
        what: 'ours is 0.900x theirs (the interval holds 1: may be a tie)',
      },
    ]);
    // Where a peer wins is to be read; only what was promised decides the exit code.
    expect(aggregateExitCode(result)).toBe(0);
  });

  test('puts misses, skips and failures in lists of their own, and exits accordingly', () => {
    const miss = ratioCaseResult(race([{ versus: 'third', atLeast: 1 }]), run(six));
    const skip = ratioCaseResult(race(), run(forks([10, 20])));
    const fail = ratioCaseResult(race(), run([{ kind: 'failure', message: 'boom\nstack', detail: '' }]));
    expect(aggregateOf(miss).misses[0]?.what).toBe('0.500x third, goal 1.00x');
    expect(aggregateOf(skip).skips[0]?.what).toBe('third: not installed');
    expect(aggregateOf(fail).failures[0]?.what).toBe('boom\nstack');
    expect([miss, skip, fail].map((one) => aggregateExitCode(aggregateOf(one)))).toEqual([3, 3, 1]);
    expect([miss, skip, fail].map((one) => exitCodeOf([packageOf(one)]))).toEqual([3, 3, 1]);
    expect(aggregateExitCode(aggregateOf(miss, fail))).toBe(1);
  });

  test('both reports name what to look at, the machine, its warnings and unusable peers', () => {
    const result = aggregateOf(
      ratioCaseResult(race([{ versus: 'third', atLeast: 1 }]), run(six)),
      ratioCaseResult(race(), {
        ...run([{ kind: 'failure', message: 'a | b\nstack', detail: '' }]),
        othersCpuFraction: 0.5,
      }),
    );
    const terminal = terminalReport(result).join('\n');
    for (const text of [
      'goals missed:\n  @perf/x a-race: 0.500x third, goal 1.00x',
      'failures:\n  @perf/x a-race: a | b',
      'a peer wins:\n  @perf/x a-race: ours is 0.500x third',
      'warning: scratch is on tmpfs',
      'warning: the machine was busy with something else during 1 of 2 cases',
      'peer re2 does not load',
      'no cases: @perf/y',
    ]) {
      expect(terminal).toContain(text);
    }
    const markdown = markdownReport(result);
    expect(markdown).toContain('## Goals missed\n\n- @perf/x `a-race`: 0.500x third, goal 1.00x');
    expect(markdown).toContain('| a-race | fail | a \\| b |');
    expect(markdown).toContain('**Warning:** scratch is on tmpfs.');
    expect(markdown).toContain('Peer re2 does not load.');
    // Every row of a table has as many cells as its head.
    const cells = markdown
      .split('\n')
      .filter((line) => line.startsWith('|'))
      .map((line) => line.replaceAll('\\|', '').split('|').length);
    expect(new Set(cells).size).toBe(1);
  });
});
