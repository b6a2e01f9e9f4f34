import assert from 'node:assert/strict';
import { measureCase, type BenchCase, type CaseContext, type Measurement } from '@perf/bench';
import { compilePatterns, PatternSet, type PatternDef } from '@perf/patterns';
import { recordedSet } from './recorded-sets.ts';

/** Best of some runs, in ms. */
function bestMs(runs: number, action: () => void): number {
  let best = Infinity;
  for (let i = 0; i < runs; i++) {
    const startMs = performance.now();
    action();
    best = Math.min(best, performance.now() - startMs);
  }
  return best;
}

/** 1,500 real patterns of all kinds. */
function mixedDefs(context: CaseContext): PatternDef[] {
  return ['uap-ua', 'uap-os', 'uap-device', 'crawlers']
    .flatMap(
      (name) => recordedSet(context, name)?.defs.map((def) => ({ ...def, id: `${name} ${def.id}` })) ?? [],
    )
    .slice(0, 1_500);
}

const accuracy = measureCase({
  name: 'filter-accuracy',
  about: 'regexes run in vain per text, and real patterns without a factor',
  measure: (context) => {
    const measurements: Measurement[] = [];
    let unfiltered = 0;
    let patterns = 0;
    for (const name of ['uap-ua', 'uap-os', 'uap-device', 'crawlers', 'log-templates']) {
      const recorded = recordedSet(context, name);
      if (recorded === undefined) continue;
      const { set } = compilePatterns(recorded.defs, { prefilter: 'always' });
      for (const [i, text] of recorded.texts.entries()) assert.deepEqual(set.ids(text), recorded.expected[i]);
      const stats = set.stats();
      unfiltered += stats.unfiltered;
      patterns += stats.patterns;
      measurements.push({
        name: `false candidates per text, ${name}`,
        value: stats.falseCandidates / stats.texts,
        unit: 'regexes',
        ...(name === 'uap-device' ? { target: { atMost: 2 } } : {}),
      });
    }
    const share = { name: 'patterns without a factor', value: (100 * unfiltered) / patterns, unit: '%' };
    return [...measurements, { ...share, target: { atMost: 0.5 } }];
  },
});

const sizes = measureCase({
  name: 'build-load-size',
  about: '1,500 real patterns: build, load of the serialised set, memory',
  measure: (context) => {
    const defs = mixedDefs(context);
    const coldStartMs = performance.now();
    const { set } = compilePatterns(defs);
    const coldMs = performance.now() - coldStartMs;
    const bytes = set.serialize();
    const loadStartMs = performance.now();
    const loaded = PatternSet.deserialize(bytes);
    const loadMs = performance.now() - loadStartMs;
    assert.equal(loaded.size, set.size);
    globalThis.gc?.();
    const before = process.memoryUsage();
    const held = compilePatterns(defs).set;
    globalThis.gc?.();
    const after = process.memoryUsage();
    const heldBytes = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
    assert.equal(held.size, defs.length);
    return [
      { name: 'build, cold', value: coldMs, unit: 'ms', target: { atMost: 60 } },
      { name: 'load of a serialised set', value: loadMs, unit: 'ms', target: { atMost: 10 } },
      { name: 'memory held', value: heldBytes / 1e6, unit: 'MB', target: { atMost: 5 } },
      { name: 'serialised', value: bytes.length / 1e6, unit: 'MB' },
    ];
  },
});

const scaling = measureCase({
  name: 'ten-thousand-patterns',
  about: 'time per text with 10,000 literal-bearing patterns against 1,000, each text matching one pattern',
  measure: () => {
    const time = (count: number): number => {
      const defs = Array.from({ length: count }, (_, i) => ({
        id: `${i}`,
        source: `${syllables(i)}[ /]v?(\\d+)`,
      }));
      const { set } = compilePatterns(defs);
      const texts = Array.from(
        { length: 400 },
        (_, i) =>
          `2024-05-01 INFO worker started ${syllables((i * 7) % count)}/12 with options for the request queue`,
      );
      for (const [i, text] of texts.entries()) assert.deepEqual(set.ids(text), [`${(i * 7) % count}`]);
      return bestMs(30, () => {
        for (const text of texts) set.ids(text);
      });
    };
    const small = time(1_000);
    const large = time(10_000);
    return [{ name: '10,000 against 1,000', value: large / small, unit: 'ratio', target: { atMost: 1.5 } }];
  },
});

/** A pronounceable word of its own for every number. */
function syllables(number: number): string {
  const parts = ['ka', 'mo', 'ri', 'te', 'zu', 'fo', 'qua', 'bel', 'dor', 'vix'];
  let word = '';
  for (let rest = number + 10_000; rest > 0; rest = Math.floor(rest / 10)) word += parts[rest % 10] ?? '';
  return word;
}

const latency = measureCase({
  name: 'log-line-latency',
  about: 'one log line against 581 templates, from the larger data folder',
  measure: (context) => {
    const recorded = recordedSet(context, 'log-templates');
    if (recorded === undefined) return [];
    const { set } = compilePatterns(recorded.defs);
    for (let round = 0; round < 20; round++) for (const text of recorded.texts) set.ids(text);
    const samples = new Float64Array(recorded.texts.length * 20);
    let at = 0;
    for (let round = 0; round < 20; round++) {
      for (const text of recorded.texts) {
        const startMs = performance.now();
        set.ids(text);
        samples[at++] = (performance.now() - startMs) * 1e3;
      }
    }
    samples.sort();
    return [
      { name: 'p50', value: samples[at >> 1] ?? 0, unit: 'us', target: { atMost: 2 } },
      { name: 'p99', value: samples[Math.floor(at * 0.99)] ?? 0, unit: 'us', target: { atMost: 20 } },
    ];
  },
});

const longTexts = measureCase({
  name: 'long-texts',
  about: 'ns per character on 1 MiB against 8 KiB of log lines and user agents, uap-device',
  measure: (context) => {
    const recorded = recordedSet(context, 'uap-os');
    if (recorded === undefined) return [];
    const { set } = compilePatterns(SECRET_RULES.map((source, i) => ({ id: `${i}`, source })));
    const unit = recorded.texts.join('\n');
    const megabyte = unit.repeat(Math.ceil(2 ** 20 / unit.length)).slice(0, 2 ** 20);
    const chunk = megabyte.slice(0, 8_192);
    for (let i = 0; i < 200; i++) set.ids(chunk);
    const short = (bestMs(50, () => set.ids(chunk)) * 1e6) / chunk.length;
    const long = (bestMs(5, () => set.ids(megabyte)) * 1e6) / megabyte.length;
    return [
      { name: 'ns per character at 8 KiB', value: short, unit: 'ns' },
      { name: '1 MiB against 8 KiB', value: long / short, unit: 'ratio', target: { atMost: 1.2 } },
    ];
  },
});

/** Shapes of tokens that must not be in source code. */
const SECRET_RULES: readonly string[] = [
  'AKIA[0-9A-Z]{16}',
  'ghp_[A-Za-z0-9]{36}',
  'xox[baprs]-[0-9A-Za-z-]{10,48}',
  'sk_live_[0-9a-zA-Z]{24}',
  '-----BEGIN (?:RSA |EC )?PRIVATE KEY-----',
  'AIza[0-9A-Za-z_-]{35}',
  'eyJ[A-Za-z0-9_-]{10,}\\.eyJ[A-Za-z0-9_-]{10,}',
  'npm_[A-Za-z0-9]{36}',
  'glpat-[0-9A-Za-z_-]{20}',
  'SG\\.[\\w-]{22}\\.[\\w-]{43}',
];

export const cases: readonly BenchCase[] = [accuracy, sizes, scaling, latency, longTexts];
