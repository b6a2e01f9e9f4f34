/** The whole system at work: the demo's replay of all bundled recordings, in a process of its own. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { measureCase } from '@perf/bench';
import type { MeasureCase } from '@perf/bench';

const demo = path.resolve(import.meta.dirname, '../../../apps/demo/dist/main.js');

interface Report {
  readonly replayed: {
    readonly events: number;
    readonly totalEvents: number;
    readonly staleReads: number;
    readonly elapsedMs: number;
  };
  readonly readBack: { readonly messages: number; readonly equal: number };
  readonly kpis: readonly { readonly id: string; readonly measured?: number }[];
}

export const cases: readonly MeasureCase[] = [
  measureCase({
    name: 'replay',
    about: 'Eight recorded agents at once through cache, store, graph and detection, everything read back.',
    forks: 3,
    measure(context) {
      if (!existsSync(demo)) context.skip('needs apps/demo built: turbo run build --filter=@perf/demo');
      const { stdout, stderr } = spawnSync(process.execPath, [demo, '--once', '--json', '--port', '0'], {
        encoding: 'utf8',
        maxBuffer: 64 * 1024 * 1024,
      });
      if (stdout === '') throw new Error(`the demo printed no report: ${stderr}`);
      const { replayed, readBack, kpis } = JSON.parse(stdout) as Report;
      if (replayed.events !== replayed.totalEvents) throw new Error('not everything was replayed');
      if (replayed.staleReads !== 0) throw new Error(`${replayed.staleReads} stale reads`);
      if (readBack.equal !== readBack.messages || readBack.messages !== replayed.events)
        throw new Error('not every message was read back as it was');
      const kpi = (id: string): number => {
        const measured = kpis.find((one) => one.id === id)?.measured;
        if (measured === undefined) throw new Error(`the report has no ${id}`);
        return measured;
      };
      return [
        { name: 'events a second', value: (replayed.events / replayed.elapsedMs) * 1000, unit: '1/s' },
        { name: 'duration', value: replayed.elapsedMs / 1000, unit: 's', target: { atMost: 60 } },
        { name: 'peak memory', value: kpi('peak-rss') / 1024 ** 2, unit: 'MiB', target: { atMost: 400 } },
        {
          name: 'hits of achievable',
          value: kpi('hits-of-achievable') * 100,
          unit: '%',
          target: { atLeast: 80 },
        },
        { name: 'stored of raw', value: kpi('stored-of-raw') * 100, unit: '%', target: { atMost: 50 } },
        { name: 'message accepted, p99', value: kpi('store-accept-p99') * 1000, unit: 'ms' },
        { name: 'event-loop delay, p99', value: kpi('event-loop-delay-p99') * 1000, unit: 'ms' },
      ];
    },
  }),
];
