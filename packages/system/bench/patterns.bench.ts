/** Storing patterns and reading each back at once. */
import { mkdtempSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { ratioCase } from '@perf/bench';
import type { RatioCase } from '@perf/bench';
import { PerformanceSystem } from '@perf/system';
import type { PatternInput } from '@perf/system';

const PATTERNS = 1000;
const READS = 10;

interface Input {
  readonly patterns: readonly PatternInput[];
  readonly characters: number;
}

interface Store {
  readonly db: DatabaseSync;
  readonly put: ReturnType<DatabaseSync['prepare']>;
  readonly get: ReturnType<DatabaseSync['prepare']>;
}

export const cases: readonly RatioCase[] = [
  ratioCase<Input, number>({
    name: 'patterns-stored-and-read',
    about: `${PATTERNS} patterns with data, each stored and then read ${READS} times, all safe from a killed process at the end.`,
    setup() {
      const patterns = Array.from({ length: PATTERNS }, (_, n) => ({
        id: `pattern-${n}`,
        source: `error ${n}: (\\w+) failed`,
        type: n % 2 === 0 ? 'network' : 'disk',
        priority: n % 7,
        data: { fix: [`restart ${n}`, { afterMs: n }], seen: n % 3 === 0 },
      }));
      const characters = patterns.reduce((sum, { source }) => sum + source.length, 0) * READS;
      return { patterns, characters };
    },
    operations: () => PATTERNS * (READS + 1),
    validate(answer, { characters }) {
      if (answer !== characters) throw new Error(`read ${answer} characters instead of ${characters}`);
    },
    contenders: [
      {
        name: '@perf/system',
        ours: true,
        prepare: (_, context) =>
          PerformanceSystem.open({
            dir: mkdtempSync(path.join(context.scratchDir, 'run-')),
            starterPatterns: false,
          }),
        async run(system: PerformanceSystem, { patterns }) {
          let characters = 0;
          for (const pattern of patterns) {
            await system.storePattern(pattern);
            for (let n = 0; n < READS; n++) characters += system.getPattern(pattern.id)?.source.length ?? 0;
          }
          await system.flush();
          return characters;
        },
        dispose: (system: PerformanceSystem) => system.shutdown(),
      },
      {
        name: 'node:sqlite, a transaction each',
        prepare(_, context): Store {
          const db = new DatabaseSync(
            path.join(mkdtempSync(path.join(context.scratchDir, 'run-')), 'p.sqlite'),
          );
          db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL');
          db.exec('CREATE TABLE patterns (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID');
          return {
            db,
            put: db.prepare('INSERT OR REPLACE INTO patterns VALUES (?, ?)'),
            get: db.prepare('SELECT body FROM patterns WHERE id = ?'),
          };
        },
        run({ put, get }: Store, { patterns }) {
          let characters = 0;
          for (const pattern of patterns) {
            // The system checks it too.
            const compiled = new RegExp(pattern.source, pattern.flags);
            if (compiled.source !== pattern.source) throw new Error('not the pattern that was given');
            put.run(pattern.id, JSON.stringify(pattern));
            for (let n = 0; n < READS; n++) {
              const { body } = get.get(pattern.id) as { body: string };
              characters += (JSON.parse(body) as PatternInput).source.length;
            }
          }
          return characters;
        },
        dispose: ({ db }: Store) => db.close(),
      },
    ],
  }),
];
