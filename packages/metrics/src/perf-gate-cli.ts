#!/usr/bin/env node
import { perfGate } from './gate/perf-gate.ts';

const { exitCode, stdout, stderr } = perfGate(process.argv.slice(2));
process.stdout.write(stdout);
process.stderr.write(stderr);
process.exitCode = exitCode;
