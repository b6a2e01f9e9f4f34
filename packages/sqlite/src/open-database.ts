import DatabaseConstructor from 'better-sqlite3';
import { SqliteError } from './errors.ts';

export type Database = DatabaseConstructor.Database;

export interface OpenOptions {
  readonly readonly?: boolean;
}

export function openDatabase(path: string, options: OpenOptions = {}): Database {
  try {
    return new DatabaseConstructor(path, { readonly: options.readonly ?? false });
  } catch (cause) {
    throw new SqliteError('ERR_PERF_SQLITE_CANNOT_OPEN', `cannot open ${path}`, { cause });
  }
}
