// The main job: opens the system and the dashboard, replays, reads everything back, reports. The dashboard is up before the
// recording is loaded, so that there is something to look at from the first second.
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { PerformanceSystem, formatBytes, formatKpis, formatTable } from '@perf/system';
import type { DemoOptions } from './command-line.ts';
import { startDashboard } from './dashboard-server.ts';
import { PointHistory } from './point-history.ts';
import { Progress } from './progress.ts';
import { loadRecordings } from './recording.ts';
import { judgeReplay } from './replay-kpis.ts';
import type { ReplayKpi } from './replay-kpis.ts';
import { Replay } from './replay.ts';
import type { ReadBack } from './replay.ts';
import { takeSnapshot } from './snapshot.ts';
import type { Snapshot } from './snapshot.ts';

export interface DemoStreams {
  readonly out: NodeJS.WriteStream;
  readonly error: NodeJS.WriteStream;
}

/** Resolves to the exit code. The signal is Ctrl-C: during the replay it stops it, afterwards it ends the dashboard. */
export async function runDemo(
  options: DemoOptions,
  streams: DemoStreams,
  signal: AbortSignal,
): Promise<number> {
  const say = options.json ? streams.error : streams.out;
  const dir = options.dir ?? mkdtempSync(path.join(os.tmpdir(), 'perf-demo-'));
  try {
    await using system = await PerformanceSystem.open({ dir });
    const session = new DemoSession(system, options, say, signal);
    return await session.run(streams);
  } finally {
    if (options.dir === undefined) rmSync(dir, { recursive: true, force: true });
  }
}

/** Between two points of the charts, and two looks at the progress. */
const TICK_MS = 50;

class DemoSession {
  readonly #system: PerformanceSystem;
  readonly #options: DemoOptions;
  readonly #say: NodeJS.WriteStream;
  readonly #signal: AbortSignal;
  #replay: Replay;
  readonly #history = new PointHistory();
  #phase: Snapshot['phase'] = 'loading';
  #kpis: readonly ReplayKpi[] = [];
  #peakRssBytes = 0;

  constructor(system: PerformanceSystem, options: DemoOptions, say: NodeJS.WriteStream, signal: AbortSignal) {
    this.#system = system;
    this.#options = options;
    this.#say = say;
    this.#signal = signal;
    this.#replay = new Replay(system, []);
  }

  async run(streams: DemoStreams): Promise<number> {
    const { serve, json, port } = this.#options;
    await using dashboard = await startDashboard({
      port,
      snapshot: () => this.#snapshot(),
      points: () => this.#history.points(),
      metrics: (accept) => this.#system.monitor.metrics(accept),
    });
    const moved = dashboard.moved ? ` (port ${port} is in use)` : '';
    this.#say.write(`Replaying recorded agent sessions. Dashboard: ${dashboard.url}${moved}\n`);
    const readBack = await this.#replayAll();
    const stopped = this.#phase === 'stopped';
    streams.out.write(json ? this.#reportAsJson(readBack) : this.#reportAsText(readBack, stopped));
    if (serve && !stopped) {
      this.#say.write(`\nThe dashboard stays at ${dashboard.url} until Ctrl-C.\n`);
      await untilAborted(this.#signal);
    }
    if (stopped) return 130;
    return this.#kpis.every((kpi) => kpi.verdict === 'pass') ? 0 : 1;
  }

  async #replayAll(): Promise<ReadBack> {
    const recordings = await loadRecordings(this.#options.dataFolder);
    const { eventsPerSecond } = this.#options;
    this.#replay = new Replay(this.#system, recordings, {
      signal: this.#signal,
      ...(eventsPerSecond === undefined ? {} : { eventsPerSecond }),
    });
    this.#phase = 'replaying';
    const progress = new Progress(this.#say);
    const timer = setInterval(() => this.#tick(progress), TICK_MS);
    try {
      await this.#replay.run();
      this.#tick(progress);
      this.#phase = 'checking';
      const readBack = await this.#replay.readBack();
      this.#tick(progress);
      this.#kpis = judgeReplay({
        counts: this.#replay.counts(),
        statistics: this.#system.getStatistics(),
        readBack,
        peakRssBytes: this.#peakRssBytes,
        paced: eventsPerSecond !== undefined,
      });
      this.#phase = this.#signal.aborted ? 'stopped' : 'finished';
      return readBack;
    } finally {
      clearInterval(timer);
      progress.finish();
    }
  }

  #snapshot(): Snapshot {
    return takeSnapshot(this.#system, this.#replay, this.#phase, this.#kpis);
  }

  #tick(progress: Progress): void {
    this.#history.add(this.#snapshot());
    this.#peakRssBytes = Math.max(this.#peakRssBytes, process.memoryUsage.rss());
    const { events, totalEvents, bytes, elapsedMs } = this.#replay.counts();
    const rate = elapsedMs > 0 ? Math.round((events / elapsedMs) * 1000) : 0;
    progress.update(
      events,
      totalEvents,
      `${events} of ${totalEvents} events, ${formatBytes(bytes)}, ${rate}/s`,
    );
  }

  #reportAsText(readBack: ReadBack, stopped: boolean): string {
    const counts = this.#replay.counts();
    const s = this.#system.getStatistics();
    const seconds = (counts.elapsedMs / 1000).toFixed(2);
    const what = [
      ['agents', `${counts.agents.length} at once`],
      [
        'events',
        `${counts.events} of ${counts.totalEvents} in ${seconds} s${stopped ? ', stopped by Ctrl-C' : ''}`,
      ],
      ['bytes', `${formatBytes(counts.bytes)} recorded, ${formatBytes(s.sessions.storedBytes)} stored`],
      ['tool results', `${counts.toolResults}, ${counts.lookups} asked of the cache, ${counts.hits} hits`],
      ['ceiling', `${counts.achievable.hits} hits are achievable in this recording`],
      ['invalidated', `${counts.invalidations} entries by later writes`],
      ['read back', `${readBack.equal} of ${readBack.messages} messages equal their source`],
      ['graph', `${s.graph.nodes} nodes, ${s.graph.edges} edges`],
      ['failures', `${s.patterns.detections} found in tool outputs`],
      [
        'cost',
        `$${counts.costUsd.toFixed(2)} at list price for the recorded tokens (${counts.inputTokens} in, of them ${counts.cachedTokens} cached, ${counts.outputTokens} out)`,
      ],
    ];
    const missed = this.#kpis.filter((kpi) => kpi.verdict === 'miss').length;
    return [
      '\nA replayed recording: tool results are the recorded ones, every time and size is measured now.\n',
      formatTable(['replayed', ''], what),
      '',
      formatKpis({ results: this.#kpis }),
      '',
      missed === 0
        ? `all ${this.#kpis.length} KPIs met\n`
        : `${missed} of ${this.#kpis.length} KPIs missed\n`,
    ].join('\n');
  }

  #reportAsJson(readBack: ReadBack): string {
    const [cpu] = os.cpus();
    const report = {
      replayedRecording: true,
      phase: this.#phase,
      machine: {
        cpu: cpu?.model ?? 'unknown',
        cores: os.cpus().length,
        memoryBytes: os.totalmem(),
        platform: `${process.platform} ${process.arch}`,
        node: process.version,
      },
      replayed: this.#replay.counts(),
      readBack,
      statistics: this.#system.getStatistics(),
      kpis: this.#kpis,
    };
    return `${JSON.stringify(report, null, 2)}\n`;
  }
}

function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  // A listener on a signal does not keep the process alive; the dashboard's server does.
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
