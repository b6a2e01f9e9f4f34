import { defineStarter, type StarterPattern } from './starter-pattern.ts';

export const sqlPatterns: readonly StarterPattern[] = defineStarter('sql', [
  {
    name: 'syntax-error',
    title: 'a statement that does not parse',
    type: 'syntax',
    severity: 'error',
    regex:
      /\bsyntax error at or near "|\bYou have an error in your SQL syntax\b|\bSQLITE_ERROR: near "|\bnear "[^"\n]+": syntax error\b|\bORA-009(?:0\d|3[36])\b/,
    matches: [
      'ERROR:  syntax error at or near "FORM"\nLINE 1: SELECT * FORM t',
      'ERROR 1064 (42000): You have an error in your SQL syntax; check the manual',
      'sqlite3.OperationalError: near "FORM": syntax error',
    ],
    misses: ['a syntax error near the end'],
  },
  {
    name: 'missing-relation',
    title: 'no such table or column',
    type: 'not-found',
    severity: 'error',
    regex:
      /\b(?:relation|column) "[^"\n]+" (?:of relation "[^"\n]+" )?does not exist\b|\bno such (?:table|column): \S|\bTable '[^'\n]+' doesn't exist\b|\bUnknown column '[^'\n]+' in\b|\bORA-0094[24]\b/,
    matches: [
      'ERROR:  relation "users" does not exist',
      'SqliteError: no such table: users',
      "ERROR 1146 (42S02): Table 'app.users' doesn't exist",
      "Unknown column 'x' in 'field list'",
    ],
    misses: ['the relation does not exist', 'no such table in the cafe'],
  },
  {
    name: 'unique-violation',
    title: 'a unique key is taken',
    type: 'database',
    severity: 'error',
    regex:
      /\bduplicate key value violates unique constraint\b|\bUNIQUE constraint failed: \S|\bDuplicate entry '[^'\n]*' for key\b|\bORA-00001\b|\bE11000 duplicate key error\b/,
    matches: [
      'ERROR:  duplicate key value violates unique constraint "users_email_key"',
      'SQLITE_CONSTRAINT: UNIQUE constraint failed: users.email',
      "ERROR 1062 (23000): Duplicate entry 'a' for key 'users.email'",
    ],
    misses: ['CREATE UNIQUE INDEX i ON t (a)'],
  },
  {
    name: 'foreign-key-violation',
    title: 'a row refers to one that is not there',
    type: 'database',
    severity: 'error',
    regex:
      /\bviolates foreign key constraint\b|\bFOREIGN KEY constraint failed\b|\ba foreign key constraint fails\b/,
    matches: [
      'insert or update on table "a" violates foreign key constraint "a_b_fkey"',
      'SqliteError: FOREIGN KEY constraint failed',
      'Cannot add or update a child row: a foreign key constraint fails',
    ],
    misses: ['ADD FOREIGN KEY (a) REFERENCES b'],
  },
  {
    name: 'not-null-violation',
    title: 'a value that must not be null, or breaks a check',
    type: 'database',
    severity: 'error',
    regex:
      /\bviolates (?:not-null|check) constraint\b|\b(?:NOT NULL|CHECK) constraint failed: \S|\bColumn '[^'\n]+' cannot be null\b/,
    matches: [
      'null value in column "a" violates not-null constraint',
      'NOT NULL constraint failed: t.a',
      "Column 'a' cannot be null",
    ],
    misses: ['a INTEGER NOT NULL'],
  },
  {
    name: 'deadlock',
    title: 'transactions wait for each other',
    type: 'concurrency',
    severity: 'error',
    regex:
      /\bdeadlock detected\b|\bDeadlock found when trying to get lock\b|\bcould not serialize access\b|\bORA-00060\b/,
    matches: [
      'ERROR:  deadlock detected',
      'ERROR 1213 (40001): Deadlock found when trying to get lock; try restarting transaction',
    ],
    misses: ['no deadlocks were found'],
  },
  {
    name: 'locked',
    title: 'the database is locked by another writer',
    type: 'concurrency',
    severity: 'error',
    regex:
      /\bSQLITE_(?:BUSY|LOCKED)\b|\bdatabase (?:table )?is locked\b|\bLock wait timeout exceeded\b|\bcanceling statement due to lock timeout\b/,
    matches: [
      'SqliteError: database is locked',
      'ERROR 1205 (HY000): Lock wait timeout exceeded; try restarting transaction',
    ],
    misses: ['the database is open'],
  },
  {
    name: 'too-many-connections',
    title: 'the server takes no more connections',
    type: 'database',
    severity: 'error',
    regex:
      /\bsorry, too many clients already\b|\bERROR 1040\b|\bremaining connection slots are reserved\b|\bTimeoutError: QueuePool limit\b|\bToo many connections\b/,
    matches: ['FATAL:  sorry, too many clients already', 'ERROR 1040 (HY000): Too many connections'],
    misses: ['too many clients for one lawyer'],
  },
  {
    name: 'login-failed',
    title: 'the server does not let the user in',
    type: 'auth',
    severity: 'error',
    regex:
      /\bpassword authentication failed for user\b|\bAccess denied for user '|\brole "[^"\n]+" does not exist\b|\bno pg_hba\.conf entry for\b/,
    matches: [
      'FATAL:  password authentication failed for user "app"',
      "ERROR 1045 (28000): Access denied for user 'root'@'localhost' (using password: NO)",
    ],
    misses: ['access denied for the public'],
  },
  {
    name: 'corrupt',
    title: 'the database file is damaged',
    type: 'database',
    severity: 'fatal',
    regex:
      /\bdatabase disk image is malformed\b|\bSQLITE_(?:CORRUPT|NOTADB)\b|\bfile is not a database\b|\binvalid page in block \d+ of relation\b/,
    matches: [
      'SqliteError: database disk image is malformed',
      'ERROR:  invalid page in block 3 of relation base/1/2',
    ],
    misses: ['a malformed disk'],
  },
]);
