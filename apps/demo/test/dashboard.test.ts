// The dashboard in a real browser, during a replay: values change, no console error, both widths, both colour schemes.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';

const executable = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((p) =>
  existsSync(p),
);
const required = process.env['PERF_REQUIRE_SERVICES'] === '1';
const skip = executable === undefined && !required;
if (skip)
  process.stderr.write('skipped: the dashboard in a browser needs chromium, which is not installed\n');

const pictures = path.resolve(import.meta.dirname, '../.results/dashboard');
let slow: Demo;
let fast: Demo;
let browser: Browser;

interface Demo {
  readonly process: ChildProcess;
  readonly url: string;
}

async function start(...args: string[]): Promise<Demo> {
  const main = path.resolve(import.meta.dirname, '../dist/main.js');
  const child = spawn(process.execPath, [main, '--port', '0', '--serve', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await new Promise<string>((resolve, reject) => {
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      const found = /Dashboard: (http:\S+)/.exec(text)?.[1];
      if (found !== undefined) resolve(found);
    });
    child.once('exit', (code) => reject(new Error(`the demo ended with ${code}:\n${text}`)));
  });
  return { process: child, url };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGINT');
  await ended;
}

beforeAll(async () => {
  if (skip) return;
  if (executable === undefined) throw new Error('chromium is not installed and PERF_REQUIRE_SERVICES=1');
  mkdirSync(pictures, { recursive: true });
  // Slow enough that the page is watched during the replay, however slow the machine is.
  [slow, fast] = await Promise.all([start('--speed', '60'), start()]);
  browser = await chromium.launch({
    executablePath: executable,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
});

afterAll(async () => {
  await browser?.close();
  await Promise.all([slow, fast].filter(Boolean).map(({ process: child }) => stop(child)));
});

const views = [
  { width: 1440, scheme: 'light' as const },
  { width: 1440, scheme: 'dark' as const },
  { width: 800, scheme: 'light' as const },
  { width: 800, scheme: 'dark' as const },
];

/** A page and what its console complains of. */
async function openPage(
  width: number,
  colorScheme: 'light' | 'dark',
): Promise<{ page: Page; problems: string[] }> {
  const page = await browser.newPage({ viewport: { width, height: 1000 }, colorScheme });
  const problems: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') problems.push(message.text());
  });
  page.on('pageerror', (error) => problems.push(String(error)));
  return { page, problems };
}

it.skipIf(skip).each(views)(
  'shows values that change, without an error, $width px wide, $scheme',
  async ({ width, scheme }) => {
    const { page, problems } = await openPage(width, scheme);
    await page.goto(slow.url);
    const phase = page.locator('#phase');
    await phase.filter({ hasText: 'replaying' }).waitFor();
    const before = await phase.textContent();
    const storedBefore = await page.locator('#stored-note').textContent();
    await page.waitForFunction(`document.getElementById('phase').textContent !== ${JSON.stringify(before)}`);
    await page.waitForFunction(
      `document.getElementById('stored-note').textContent !== ${JSON.stringify(storedBefore)}`,
    );

    expect(await page.locator('h1 .label').textContent()).toBe('replayed recording');
    expect(await page.locator('#stale').textContent()).toBe('0');
    expect(await page.locator('#agents tr').count()).toBe(8);
    expect(await page.locator('.charts canvas').count()).toBe(8);
    // Nothing is wider than the window.
    expect(await page.evaluate('document.documentElement.scrollWidth <= window.innerWidth')).toBe(true);
    await page.screenshot({ path: path.join(pictures, `${width}-${scheme}.png`), fullPage: true });
    expect(problems).toEqual([]);
    await page.close();
  },
);

it.skipIf(skip).each(views)(
  'shows the result after the replay to a page opened late, $width px wide, $scheme',
  async ({ width, scheme }) => {
    const { page, problems } = await openPage(width, scheme);
    await page.goto(fast.url);
    await page.locator('#phase').filter({ hasText: 'finished' }).waitFor();
    expect(await page.locator('#phase').textContent()).toMatch(/^finished: 10,399 of 10,399 events/);
    expect(await page.locator('#stale').textContent()).toBe('0');
    expect(await page.locator('#kpis tr').count()).toBe(12);
    expect(await page.locator('#kpis tr', { hasText: 'read back byte for byte' }).textContent()).toMatch(
      /100\.0 %.*100\.0 %.*pass$/,
    );
    expect(await page.locator('#tiers tr').allTextContents()).toEqual([
      expect.stringMatching(/^memory/),
      expect.stringMatching(/^sqlite/),
    ]);
    expect(await page.locator('#queries tr').count()).toBe(3);
    expect(await page.locator('#plans').textContent()).toMatch(/^Plans chosen: \w+ [\d,]+/);
    expect(await page.locator('#top-failures tr').count()).toBeGreaterThan(2);
    expect(await page.evaluate('document.documentElement.scrollWidth <= window.innerWidth')).toBe(true);
    await page.screenshot({ path: path.join(pictures, `${width}-${scheme}-finished.png`), fullPage: true });
    expect(problems).toEqual([]);
    await page.close();
  },
);
