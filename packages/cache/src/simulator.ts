/** `@perf/cache/simulator`: what a trace would hit under each policy, and at best. */
export { optimalHits, replay, simulate } from './hit-rate-simulator.ts';
export type { SimulatedCell } from './hit-rate-simulator.ts';
export { parseKeyTrace } from './key-trace.ts';
