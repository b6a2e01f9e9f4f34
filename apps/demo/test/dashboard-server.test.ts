import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { startDashboard } from '../src/dashboard-server.ts';
import type { Dashboard, DashboardOptions } from '../src/dashboard-server.ts';
import type { Point } from '../src/point-history.ts';
import type { Snapshot } from '../src/snapshot.ts';

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one[Symbol.asyncDispose]();
});

async function start(options: Partial<DashboardOptions> = {}): Promise<Dashboard> {
  const dashboard = await startDashboard({
    port: 0,
    snapshot: () => ({ phase: 'replaying' }) as Snapshot,
    points: () => [],
    metrics: async () => ({ contentType: 'text/plain; version=0.0.4', body: Buffer.from('up 1\n') }),
    intervalMs: 5,
    ...options,
  });
  open.push(dashboard);
  return dashboard;
}

/** The events of a stream, one at a time. */
async function* eventsOf(url: string): AsyncGenerator<string> {
  const response = await fetch(`${url}/events`);
  let text = '';
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk as Uint8Array).toString();
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      yield text.slice(0, end);
      text = text.slice(end + 2);
    }
  }
}

describe('the dashboard server', () => {
  it('serves the page and its parts, and says 404 for all else', async () => {
    const { url } = await start();
    for (const [path, type, text] of [
      ['/', 'text/html', 'replayed recording'],
      ['/dashboard.css', 'text/css', ':root'],
      ['/dashboard.js', 'text/javascript', 'EventSource'],
      ['/uplot.js', 'text/javascript', 'uPlot'],
      ['/uplot.css', 'text/css', '.uplot'],
    ] as const) {
      const response = await fetch(url + path);
      expect([path, response.status]).toEqual([path, 200]);
      expect(response.headers.get('content-type')).toContain(type);
      expect(await response.text()).toContain(text);
    }
    for (const path of [
      '/nothing',
      '/../package.json',
      '/%2e%2e/package.json',
      '/constructor',
      '/__proto__',
    ]) {
      const response = await fetch(url + path);
      expect([path, response.status]).toEqual([path, 404]);
      await response.text();
    }
    expect((await fetch(`${url}/favicon.ico`)).status).toBe(204);
  });

  it('answers HEAD like GET without a body, and refuses other methods', async () => {
    const { url } = await start();
    for (const path of ['/', '/events', '/metrics']) {
      const response = await fetch(url + path, { method: 'HEAD' });
      expect([path, response.status, await response.text()]).toEqual([path, 200, '']);
    }
    const refused = await fetch(url, { method: 'POST', body: 'x' });
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });

  it('gives the metrics in the form that was asked for, and 500 when they cannot be made', async () => {
    const accepts: (string | undefined)[] = [];
    let broken = false;
    const { url } = await start({
      metrics: async (accept) => {
        accepts.push(accept);
        if (broken) throw new Error('no metrics now');
        return { contentType: 'text/plain; version=0.0.4', body: Buffer.from('up 1\n') };
      },
    });
    const response = await fetch(`${url}/metrics`, { headers: { accept: 'text/plain' } });
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4');
    expect(await response.text()).toBe('up 1\n');
    expect(accepts).toEqual(['text/plain']);
    broken = true;
    const failed = await fetch(`${url}/metrics`);
    expect([failed.status, await failed.text()]).toEqual([500, 'no metrics now']);
  });

  it('gives the newest snapshot as JSON', async () => {
    const { url } = await start();
    const response = await fetch(`${url}/snapshot.json`);
    expect(await response.json()).toEqual({ phase: 'replaying' });
    expect(response.headers.get('cache-control')).toBe('no-store');
  });

  it('streams the course so far, then every change, and the last word when it closes', async () => {
    const points: Point[] = [{ seconds: 1 } as Point];
    let phase: Snapshot['phase'] = 'replaying';
    const dashboard = await start({ points: () => points, snapshot: () => ({ phase }) as Snapshot });
    const events = eventsOf(dashboard.url);
    const next = async (): Promise<string> => String((await events.next()).value);
    expect(await next()).toBe('event: course\ndata: [{"seconds":1}]');
    expect(await next()).toBe('data: {"snapshot":{"phase":"replaying"}}');
    points.push({ seconds: 2 } as Point);
    let event = '';
    while (!event.includes('"seconds":2')) event = await next();
    phase = 'finished';
    void dashboard.close();
    let last = '';
    for await (const one of events) last = one;
    expect(last).toContain('"finished"');
  });

  it('takes the next port when the one asked for is in use', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    open.push({ [Symbol.asyncDispose]: () => new Promise((resolve) => taken.close(() => resolve())) });
    const { port } = taken.address() as AddressInfo;
    const dashboard = await start({ port });
    expect(dashboard.moved).toBe(true);
    expect(dashboard.port).toBeGreaterThan(port);
    expect(dashboard.url).toBe(`http://localhost:${dashboard.port}`);
    expect((await fetch(`http://127.0.0.1:${dashboard.port}/`)).status).toBe(200);
    const free = await start();
    expect(free.moved).toBe(false);
  });

  it('bounds how many may watch', async () => {
    const { url } = await start();
    const controller = new AbortController();
    const watch = (): Promise<Response> => fetch(`${url}/events`, { signal: controller.signal });
    const watching = await Promise.all(Array.from({ length: 32 }, watch));
    expect(watching.every(({ status }) => status === 200)).toBe(true);
    const refused = await fetch(`${url}/events`);
    expect([refused.status, await refused.text()]).toEqual([503, 'too many dashboards are open']);
    controller.abort();
  });

  it('closes once, and answers nobody afterwards', async () => {
    const dashboard = await start();
    await (await fetch(dashboard.url)).text();
    const closing = dashboard.close();
    expect(dashboard.close()).toBe(closing);
    await closing;
    await expect(fetch(dashboard.url)).rejects.toThrow(/fetch failed/);
  });
});
