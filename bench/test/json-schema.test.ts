import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { schemaProblems, type JsonSchema } from '../src/json-schema.ts';
import { readPreviousResult, readResult, writeResult } from '../src/result-file.ts';
import type { PackageResult } from '../src/result.ts';

const schema = JSON.parse(
  readFileSync(path.join(import.meta.dirname, '../result.schema.json'), 'utf8'),
) as JsonSchema;

const estimate = { median: 1, low: 1, high: 1, confidence: 0, perFork: [1] };
const facts = {
  file: 'a.bench.ts',
  about: 'a',
  verdict: 'pass',
  durationMs: 1,
  forks: 1,
  forksPlanned: 1,
  othersCpuFraction: 0,
} as const;
const result: PackageResult = {
  schema: 'perf-bench-result/1',
  package: '@perf/x',
  startedAt: '2026-01-01T00:00:00.000Z',
  durationMs: 1,
  options: {
    forks: 1,
    rounds: 1,
    sampleMs: 1,
    warmupMs: 1,
    budgetMs: 1,
    timeoutMs: 1,
    caseBudgetMs: 1,
    quick: true,
  },
  machine: {
    cpuModel: 'a CPU',
    cpuCount: 2,
    usableCpuCount: 2,
    memoryBytes: 1,
    os: 'linux',
    node: '24',
    v8: '13',
    scratchFileSystem: 'ext4',
    loadAverage: [0, 0, 0],
    busyFraction: 0,
    warnings: [],
  },
  cases: [
    {
      ...facts,
      kind: 'ratio',
      name: 'r',
      samples: 1,
      operationsPerRun: 1,
      contenders: [
        { name: 'ours', ours: true, operationNs: estimate, runsPerSample: 1 },
        { name: 'theirs', ours: false, skipped: 'not installed' },
      ],
      ratios: [{ versus: 'theirs', speed: estimate }],
      goals: [{ versus: 'theirs', atLeast: 1, verdict: 'skip', reason: 'not installed' }],
    },
    {
      ...facts,
      kind: 'measure',
      name: 'm',
      measurements: [{ name: 'x', unit: 'bytes', value: estimate, verdict: 'pass', target: { atMost: 2 } }],
    },
  ],
};

describe('result.schema.json', () => {
  test('accepts a result with everything in it', () => {
    expect(schemaProblems(result, schema)).toEqual([]);
  });

  test.each([
    ['a missing field', '"package":"@perf/x",', '', '$.package: is missing'],
    ['a field nobody knows', '{"schema"', '{"extra":1,"schema"', '$.extra: is not in the schema'],
    ['another schema', 'result/1', 'result/2', '$.schema: is not "perf-bench-result/1"'],
    ['a wrong type', '"durationMs":1', '"durationMs":"1"', '$.durationMs: is not number'],
    ['no number', '"median":1', '"median":null', '.operationNs.median: is not number'],
    [
      'too few items',
      '"loadAverage":[0,0,0]',
      '"loadAverage":[]',
      '$.machine.loadAverage: has too few items',
    ],
    ['a value too small', '"forks":1', '"forks":0', '$.options.forks: is below 1'],
    ['a verdict nobody gives', '"verdict":"pass"', '"verdict":"ok"', '$.cases[0].verdict: is not one of'],
    [
      'a target with two sides',
      '{"atMost":2}',
      '{"atMost":2,"atLeast":1}',
      '$.cases[1].measurements[0].target: matches 0 of the alternatives',
    ],
  ])('refuses %s', (_title, from, to, problem) => {
    const text = JSON.stringify(result);
    expect(text).toContain(from);
    expect(schemaProblems(JSON.parse(text.replace(from, to)), schema).join('\n')).toContain(problem);
  });

  test('a keyword that is not checked is refused rather than ignored', () => {
    expect(() => schemaProblems('x', { pattern: '^y' })).toThrow("schema keyword 'pattern' is not supported");
    expect(() => schemaProblems('x', { type: 'null' })).toThrow("schema type 'null' is not supported");
    expect(() => schemaProblems('x', { $ref: '#/$defs/none', $defs: {} })).toThrow("no definition 'none'");
  });
});

describe('result files', () => {
  let folder = '';
  beforeAll(() => {
    const results = path.join(import.meta.dirname, '../.results');
    mkdirSync(results, { recursive: true });
    folder = mkdtempSync(path.join(results, 'files-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('are read back as written; what breaks the schema is not written', () => {
    const file = path.join(folder, 'deep/bench.json');
    writeResult(file, result);
    expect(readResult(file)).toEqual(result);
    expect(() => writeResult(file, { ...result, durationMs: Number.NaN })).toThrow(
      expect.objectContaining({ code: 'ERR_PERF_BENCH_SCHEMA' }),
    );
    expect(readResult(file)).toEqual(result);
  });

  test('an absent file is undefined; a truncated, foreign or older one is an error, and no estimate', () => {
    expect(readResult(path.join(folder, 'absent.json'))).toBeUndefined();
    const aggregate = {
      schema: 'perf-bench-aggregate/1',
      startedAt: '',
      durationMs: 1,
      options: result.options,
    };
    const lists = {
      packages: [],
      withoutCases: [],
      failures: [],
      misses: [],
      skips: [],
      peerWins: [],
      unusablePeers: [],
    };
    const contents = [
      JSON.stringify(result).slice(0, -20),
      '[]',
      JSON.stringify({ ...result, schema: 'perf-bench-result/0' }),
      JSON.stringify({ ...aggregate, ...lists }),
    ];
    for (const content of contents) {
      const file = path.join(folder, 'bad.json');
      writeFileSync(file, content);
      expect(() => readResult(file)).toThrow(expect.objectContaining({ code: 'ERR_PERF_BENCH_SCHEMA' }));
      expect(readPreviousResult(file)).toBeUndefined();
    }
  });
});
