import { expect, it } from 'vitest';
import { openDatabase } from '@perf/sqlite';

it('opens a database in memory and answers a query', () => {
  const db = openDatabase(':memory:');
  expect(db.prepare('select 1 as a').get()).toEqual({ a: 1 });
  db.close();
});
