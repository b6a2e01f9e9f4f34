export { exportGraph, importGraph } from './transfer.ts';
export type { FormatName, ImportOptions, ImportReport } from './transfer.ts';
