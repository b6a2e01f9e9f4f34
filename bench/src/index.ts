export { measureCase, ratioCase } from './case.ts';
export type { BenchCase, CaseContext, Contender, Goal, MeasureCase, Measurement, RatioCase } from './case.ts';
