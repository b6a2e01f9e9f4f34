import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';

import { busyBetween, machineFacts, machineWarnings } from '../src/machine.ts';

const free = { busyFraction: 0.02, loadAverage: [0.1, 0, 0], scratchFileSystem: 'ext4', usableCpuCount: 2 };

test('busy is the share of CPU time that was not idle between two looks', () => {
  expect(busyBetween({ idle: 100, total: 200 }, { idle: 150, total: 300 })).toBe(0.5);
  expect(busyBetween({ idle: 100, total: 200 }, { idle: 200, total: 300 })).toBe(0);
  expect(busyBetween({ idle: 100, total: 200 }, { idle: 100, total: 200 })).toBe(0);
  // What the fork itself used does not count as others.
  expect(busyBetween({ idle: 100, total: 200 }, { idle: 150, total: 300 }, 30)).toBeCloseTo(0.2, 12);
  expect(busyBetween({ idle: 100, total: 200 }, { idle: 150, total: 300 }, 60)).toBe(0);
  // Counters of virtual machines sometimes run backwards a little.
  expect(busyBetween({ idle: 100, total: 200 }, { idle: 205, total: 300 })).toBe(0);
});

test('warns when others use the CPUs, when there is only one, and when scratch is in memory', () => {
  expect(machineWarnings(free)).toEqual([]);
  expect(machineWarnings({ ...free, busyFraction: 0.53, loadAverage: [1.5, 1, 1] })).toEqual([
    'the machine was busy before the first case: others used 53 % of the CPUs (load average 1.50)',
  ]);
  expect(machineWarnings({ ...free, usableCpuCount: 1 })[0]).toContain('one CPU');
  expect(machineWarnings({ ...free, scratchFileSystem: 'tmpfs' })[0]).toContain('tmpfs');
});

test('states the facts of this machine', async () => {
  const facts = await machineFacts(tmpdir());
  expect(facts.node).toBe(process.versions.node);
  expect(facts.v8).toBe(process.versions.v8);
  expect(facts.cpuCount).toBeGreaterThan(0);
  expect(facts.memoryBytes).toBeGreaterThan(2 ** 20);
  expect(facts.loadAverage).toHaveLength(3);
  expect(facts.busyFraction).toBeGreaterThanOrEqual(0);
  expect(facts.busyFraction).toBeLessThanOrEqual(1);
});
