export { openDatabase } from './open-database.ts';
export type { Database, OpenOptions } from './open-database.ts';
export { SqliteError } from './errors.ts';
export type { SqliteErrorCode } from './errors.ts';
