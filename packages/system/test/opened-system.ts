// Systems and folders for tests, each closed and removed when its test is over.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createTestPerformanceSystem } from '@perf/system';
import type { PerformanceSystem, SystemOptions } from '@perf/system';
import { onTestFinished } from 'vitest';

/** Time that moves only when it is told to. */
export class FakeClock {
  nowMs = 1_700_000_000_000;
  now(): number {
    return this.nowMs;
  }
}

export function scratchFolder(): string {
  const dir = mkdtempSync(path.join(tmpdir(), 'perf-system-test-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export async function openSystem(options: Partial<SystemOptions> = {}): Promise<PerformanceSystem> {
  const system = await createTestPerformanceSystem({ starterPatterns: false, lingerMs: 0, ...options });
  onTestFinished(() => system.shutdown().catch(() => undefined));
  return system;
}

export async function collect(messages: AsyncIterable<Uint8Array>): Promise<Buffer[]> {
  const all: Buffer[] = [];
  for await (const message of messages) all.push(Buffer.from(message));
  return all;
}

export async function texts(messages: AsyncIterable<Uint8Array>): Promise<string[]> {
  return (await collect(messages)).map((bytes) => bytes.toString('utf8'));
}
