// Shows the snapshots that the server sends. Text goes in as text, never as markup.
import uPlot from './uplot.js';

/** Points kept for the charts. */
const MAX_POINTS = 5000;
const MIB = 1024 * 1024;

const byId = (id) => document.getElementById(id);
const show = (id, text) => {
  byId(id).textContent = text;
};

const bytes = (value) => {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let index = 0;
  let scaled = value;
  while (scaled >= 1024 && index < units.length - 1) {
    scaled /= 1024;
    index += 1;
  }
  return `${index === 0 ? scaled : scaled.toFixed(1)} ${units[index]}`;
};
const percent = (part, whole) => (whole > 0 ? `${((100 * part) / whole).toFixed(1)} %` : '–');
const milliseconds = (value) => (value >= 1 ? `${value.toFixed(2)} ms` : `${(value * 1000).toFixed(0)} µs`);
const count = (value) => value.toLocaleString('en');

const quantities = {
  seconds: (value) => (value >= 1 ? `${value.toFixed(2)} s` : milliseconds(value * 1000)),
  bytes,
  ratio: (value) => `${(value * 100).toFixed(1)} %`,
  count: (value) => count(value),
  usd: (value) => `$${value.toFixed(2)}`,
};

function row(cells) {
  const tr = document.createElement('tr');
  for (const { text, className } of cells) {
    const td = document.createElement('td');
    td.textContent = text;
    if (className) td.className = className;
    tr.append(td);
  }
  return tr;
}
const text = (value) => ({ text: value });
const number = (value) => ({ text: value, className: 'number' });
const fill = (id, rows) => byId(id).replaceChildren(...rows.map(row));

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
/** `light-dark()` is resolved by setting it as a colour, which a canvas cannot do by itself. */
function resolved(name) {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value || colour(name);
}

class Chart {
  #holder;
  #labels;
  #x;
  #data;
  #plot;

  /** The first column is the time in seconds, unless `x` names something else that is counted. */
  constructor(id, labels, x) {
    this.#holder = byId(id);
    this.#labels = labels;
    this.#x = x;
    this.#data = [[], ...labels.map(() => [])];
    this.#make();
    new ResizeObserver(() => this.#plot.setSize({ width: this.#holder.clientWidth, height: 180 })).observe(
      this.#holder,
    );
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#make());
  }

  /** One column a series, the first one the time. */
  show(columns) {
    this.#data = columns;
    this.#plot.setData(columns);
  }

  #make() {
    this.#plot?.destroy();
    const quiet = resolved('--quiet');
    const grid = { stroke: resolved('--line'), width: 1 };
    const strokes = [resolved('--first'), resolved('--second'), resolved('--third')];
    const inTime = this.#x === undefined;
    const axis = { stroke: quiet, grid, ticks: grid, font: '12px system-ui' };
    this.#plot = new uPlot(
      {
        width: this.#holder.clientWidth,
        height: 180,
        scales: { x: { time: false } },
        axes: [
          { ...axis, values: (_, ticks) => ticks.map((tick) => (inTime ? `${tick} s` : count(tick))) },
          { ...axis, size: 56 },
        ],
        series: [
          {
            label: this.#x ?? 'time',
            value: (_, value) => (value === null ? '' : inTime ? `${value.toFixed(1)} s` : count(value)),
          },
          ...this.#labels.map((label, index) => ({
            label,
            stroke: strokes[index],
            width: 2,
            points: { show: !inTime },
            value: (_, value) => (value === null ? '' : value.toFixed(2)),
          })),
        ],
      },
      this.#data,
      this.#holder,
    );
  }
}

const charts = {
  throughput: new Chart('chart-throughput', ['events/s']),
  hits: new Chart('chart-hits', ['hit rate', 'ceiling']),
  bytes: new Chart('chart-bytes', ['raw', 'stored']),
  memory: new Chart('chart-memory', ['resident', 'heap']),
  delay: new Chart('chart-delay', ['event loop', 'GC']),
  hit: new Chart('chart-hit', ['cache hit', 'detection']),
  latency: new Chart('chart-latency', ['1 hop', '2 hops', '3 hops']),
};
const misses = new Chart('chart-misses', ['misses'], 'entries');

const phases = {
  loading: 'loading the recording',
  replaying: 'replaying',
  checking: 'reading every message back',
  finished: 'finished',
  stopped: 'stopped',
};

const scaled = (value, factor) => (value === null ? null : value * factor);
/** What each chart takes from a point. */
const series = {
  throughput: [(p) => p.eventsPerSecond],
  hits: [(p) => scaled(p.hitRate, 100), (p) => scaled(p.ceiling, 100)],
  bytes: [(p) => p.rawBytes / MIB, (p) => p.storedBytes / MIB],
  memory: [(p) => p.rssBytes / MIB, (p) => p.heapUsedBytes / MIB],
  delay: [(p) => p.eventLoopDelayMs, (p) => p.gcPauseMs],
  hit: [(p) => p.hitMs, (p) => p.detectMs],
  latency: [0, 1, 2].map((index) => (p) => p.queryMs[index]),
};
let points = [];

function draw() {
  if (points.length > MAX_POINTS) points = points.slice(-MAX_POINTS);
  const seconds = points.map((p) => p.seconds);
  for (const [name, take] of Object.entries(series))
    charts[name].show([seconds, ...take.map((of) => points.map(of))]);
}

function render(snapshot) {
  const { counts, stored, graph, memory, detections, cache } = snapshot;
  const seconds = counts.elapsedMs / 1000;

  show(
    'phase',
    `${phases[snapshot.phase]}: ${count(counts.events)} of ${count(counts.totalEvents)} events, ${seconds.toFixed(1)} s`,
  );
  byId('progress').value = counts.totalEvents > 0 ? counts.events / counts.totalEvents : 0;
  const over = snapshot.phase === 'finished' || snapshot.phase === 'stopped';
  const rate = over && seconds > 0 ? counts.events / seconds : (points.at(-1)?.eventsPerSecond ?? 0);
  show('throughput', count(Math.round(rate)));
  show('hits', percent(counts.hits, counts.lookups));
  show(
    'hits-note',
    `ceiling ${percent(counts.achievable.hits, counts.achievable.lookups)}, ${count(cache.entries)} entries`,
  );
  show('stale', count(counts.staleReads));
  byId('stale').className = counts.staleReads === 0 ? 'pass' : 'miss';
  show('stored', percent(stored.storedBytes, stored.rawBytes));
  show('stored-note', `${bytes(stored.storedBytes)} for ${bytes(stored.rawBytes)}`);
  show('graph', count(graph.nodes));
  show('graph-note', `nodes, ${count(graph.edges)} edges`);
  show('detections', count(detections.total));
  show('rss', bytes(memory.rssBytes));
  show('rss-note', `resident, pressure ${memory.level}`);
  show('cost', `$${counts.costUsd.toFixed(2)}`);
  show('cost-note', `${count(counts.inputTokens + counts.outputTokens)} recorded tokens, list price`);

  fill(
    'parts',
    snapshot.parts.map((one) => [
      text(one.name),
      number(count(one.count)),
      number(milliseconds(one.p50Ms)),
      number(milliseconds(one.p99Ms)),
    ]),
  );
  fill(
    'agents',
    counts.agents.map((one) => [
      text(`${one.agent} (${one.source})`),
      number(`${count(one.done)} / ${count(one.total)}`),
      text(one.done === one.total ? 'done' : ''),
    ]),
  );
  fill(
    'tiers',
    cache.tiers.map((tier) => [
      text(tier.name),
      number(tier.entries === undefined ? '–' : count(tier.entries)),
      number(count(tier.hits)),
      number(count(tier.misses)),
      number(percent(tier.hits, tier.hits + tier.misses)),
    ]),
  );
  misses.show([
    cache.missRatioCurve.map((at) => at.entries),
    cache.missRatioCurve.map((at) => at.missRatio * 100),
  ]);
  fill(
    'queries',
    snapshot.queries.map((query) => [
      text(query.hops),
      number(count(query.count)),
      number(milliseconds(query.p50Ms)),
      number(milliseconds(query.p99Ms)),
    ]),
  );
  const counted = (counts) =>
    Object.entries(counts)
      .map(([name, times]) => `${name} ${count(times)}`)
      .join(', ');
  show(
    'plans',
    snapshot.queries.length > 0
      ? `Plans chosen: ${counted(snapshot.plans)}. Levels made: ${counted(snapshot.levels)}. From the cache: ${count(snapshot.cachedQueries)}.`
      : '',
  );
  fill(
    'top-failures',
    snapshot.topFailures.length > 0
      ? snapshot.topFailures.map((one) => [text(one.id), number(count(one.found))])
      : [[text('none yet')]],
  );
  const detect = snapshot.parts.find((part) => part.name === 'patterns.detect');
  show(
    'detect-note',
    detect
      ? `${count(detect.count)} outputs looked at with every pattern: ${milliseconds(detect.p50Ms)} p50, ${milliseconds(detect.p99Ms)} p99`
      : '',
  );
  const types = Object.entries(detections.byType).sort((a, b) => b[1] - a[1]);
  fill(
    'failures',
    types.length > 0
      ? types.map(([type, found]) => [text(type), number(count(found))])
      : [[text('none yet')]],
  );
  if (snapshot.kpis.length > 0) {
    fill(
      'kpis',
      snapshot.kpis.map((kpi) => [
        text(kpi.title),
        text(`${kpi.direction === 'atMost' ? '≤' : '≥'} ${quantities[kpi.unit](kpi.target)}`),
        text(kpi.measured === undefined ? 'no data' : quantities[kpi.unit](kpi.measured)),
        { text: kpi.verdict, className: kpi.verdict },
      ]),
    );
  }
}

const events = new EventSource('/events');
let last;
events.addEventListener('course', ({ data }) => {
  points = JSON.parse(data);
  draw();
});
events.addEventListener('message', ({ data }) => {
  const { snapshot, point } = JSON.parse(data);
  if (point) {
    points.push(point);
    draw();
  }
  last = snapshot.phase;
  render(snapshot);
});
events.addEventListener('error', () => {
  // The server is gone; when the replay had ended, what is shown is its result and stays.
  events.close();
  if (last !== 'finished' && last !== 'stopped') show('phase', 'the replay ended: connection closed');
});
