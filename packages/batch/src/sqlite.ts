export { SqliteJobStore } from './sqlite-job-store.ts';
export type { ItemCodec, SqliteJobStoreOptions } from './sqlite-job-store.ts';
export { SqliteWriter } from './sqlite-writer.ts';
export type { SqliteWriterOptions } from './sqlite-writer.ts';
