// Serves the dashboard: the page and its chart library as files, snapshots as server-sent events, the metrics for Prometheus.
// Listens on this machine only.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Point } from './point-history.ts';
import type { Snapshot } from './snapshot.ts';

export interface DashboardOptions {
  /** First port to try; the following ones are tried when it is taken. 0: any free one. */
  readonly port: number;
  snapshot(): Snapshot;
  /** The course so far, for a page that is opened late. */
  points(): readonly Point[];
  metrics(accept: string | undefined): Promise<{ contentType: string; body: Uint8Array }>;
  /** Between two snapshots. Default 250. */
  readonly intervalMs?: number;
}

export interface Dashboard extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** The port asked for was taken. */
  readonly moved: boolean;
  close(): Promise<void>;
}

/** Ports tried after the first one. */
const PORT_TRIES = 20;
/** Pages that may watch at once. */
const MAX_WATCHERS = 32;

const page = new URL('../page/', import.meta.url);
const files: Readonly<Record<string, { readonly url: URL; readonly type: string }>> = {
  '/': { url: new URL('index.html', page), type: 'text/html; charset=utf-8' },
  '/dashboard.css': { url: new URL('dashboard.css', page), type: 'text/css; charset=utf-8' },
  '/dashboard.js': { url: new URL('dashboard.js', page), type: 'text/javascript; charset=utf-8' },
  '/uplot.js': {
    url: new URL('uPlot.esm.js', import.meta.resolve('uplot')),
    type: 'text/javascript; charset=utf-8',
  },
  '/uplot.css': {
    url: new URL('uPlot.min.css', import.meta.resolve('uplot')),
    type: 'text/css; charset=utf-8',
  },
};

export async function startDashboard(options: DashboardOptions): Promise<Dashboard> {
  const { snapshot, points, metrics, intervalMs = 250 } = options;
  const watchers = new Set<ServerResponse>();
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain' });
      response.end(error instanceof Error ? error.message : String(error));
    });
  });
  let sent: Point | undefined;
  const frame = (): string => {
    const latest = points().at(-1);
    const fresh = latest === sent ? undefined : latest;
    sent = latest;
    return `data: ${JSON.stringify({ snapshot: snapshot(), point: fresh })}\n\n`;
  };
  const course = (): string => `event: course\ndata: ${JSON.stringify(points())}\n\n`;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { allow: 'GET, HEAD' }).end();
    } else if (pathname === '/events' && request.method === 'HEAD') {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).end();
    } else if (pathname === '/events') {
      watch(response);
    } else if (pathname === '/snapshot.json') {
      response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
      response.end(JSON.stringify(snapshot()));
    } else if (pathname === '/metrics') {
      const { contentType, body } = await metrics(request.headers.accept);
      response.writeHead(200, { 'content-type': contentType }).end(body);
    } else if (pathname === '/favicon.ico') {
      response.writeHead(204).end();
    } else {
      const file = Object.hasOwn(files, pathname) ? files[pathname] : undefined;
      if (!file) response.writeHead(404, { 'content-type': 'text/plain' }).end('not found');
      else {
        const body = await readFile(fileURLToPath(file.url));
        response.writeHead(200, { 'content-type': file.type, 'cache-control': 'no-cache' }).end(body);
      }
    }
  }

  function watch(response: ServerResponse): void {
    if (watchers.size >= MAX_WATCHERS) {
      response.writeHead(503, { 'content-type': 'text/plain' }).end('too many dashboards are open');
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.write(course());
    response.write(`data: ${JSON.stringify({ snapshot: snapshot() })}\n\n`);
    watchers.add(response);
    response.on('close', () => watchers.delete(response));
  }

  const port = await listen(server, options.port);
  const timer = setInterval(() => {
    if (watchers.size === 0) return;
    const text = frame();
    for (const watcher of watchers) {
      // A page that does not read keeps what it was sent and gets no more until it does.
      if (!watcher.writableNeedDrain) watcher.write(text);
    }
  }, intervalMs);

  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= new Promise((resolve) => {
      clearInterval(timer);
      // The last word: what a page that stays open goes on showing.
      for (const watcher of watchers) watcher.end(frame());
      server.close(() => resolve());
      server.closeIdleConnections();
      setTimeout(() => server.closeAllConnections(), 500).unref();
    });
    return closing;
  };
  const moved = options.port !== 0 && port !== options.port;
  return { url: `http://localhost:${port}`, port, moved, close, [Symbol.asyncDispose]: close };
}

/** Resolves to the port that was free. @throws {Error} when none of the tried ones is. */
async function listen(server: Server, first: number): Promise<number> {
  const last = first === 0 ? 0 : Math.min(65_535, first + PORT_TRIES);
  for (let port = first; ; port += 1) {
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, '127.0.0.1', () => {
          server.off('error', reject);
          resolve();
        });
      });
      return (server.address() as AddressInfo).port;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') || port >= last)
        throw error;
    }
  }
}
