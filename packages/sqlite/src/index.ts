export { openDatabase } from './open-database.ts';
export type { Database, OpenOptions } from './open-database.ts';
export type { Durability } from './durability.ts';
export { migrate } from './migrations.ts';
export type { Migration } from './migrations.ts';
export { SqliteError, toSqliteError } from './errors.ts';
export type { SqliteErrorCode } from './errors.ts';
