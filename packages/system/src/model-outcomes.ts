// How often each model succeeded at each kind of task, kept in the store. The kind of a task is the agent it is routed to.
import type { Database } from '@perf/sqlite';
import type { ModelOutcome } from './model-choice.ts';
import type { StoreWriter } from './store-writer.ts';

/** Pairs of model and kind that are counted, at most; further ones are not, so that a flood of names cannot grow it. */
const MAX_PAIRS = 10_000;

export class ModelOutcomes {
  readonly #writer: StoreWriter;
  readonly #counts = new Map<string, { successes: number; failures: number }>();
  readonly #upsert;

  constructor(db: Database, writer: StoreWriter) {
    this.#writer = writer;
    this.#upsert = db.prepare(`
      INSERT INTO model_outcomes (model, task, successes, failures) VALUES (@model, @task, @successes, @failures)
      ON CONFLICT (model, task) DO UPDATE SET
        successes = successes + excluded.successes, failures = failures + excluded.failures`);
    const rows = db
      .prepare<[], { model: string; task: string; successes: number; failures: number }>(
        'SELECT * FROM model_outcomes',
      )
      .all();
    for (const { model, task, successes, failures } of rows) {
      this.#counts.set(pairOf(model, task), { successes, failures });
    }
  }

  of(model: string, task: string): ModelOutcome {
    const { successes, failures } = this.#counts.get(pairOf(model, task)) ?? { successes: 0, failures: 0 };
    return { successes, failures };
  }

  /** Counts at once in memory; resolves when the write is accepted. */
  async record(model: string, task: string, ok: boolean): Promise<void> {
    const pair = pairOf(model, task);
    let count = this.#counts.get(pair);
    if (!count) {
      if (this.#counts.size >= MAX_PAIRS) return;
      count = { successes: 0, failures: 0 };
      this.#counts.set(pair, count);
    }
    const row = { model, task, successes: ok ? 1 : 0, failures: ok ? 0 : 1 };
    const add = (by: 1 | -1): void => {
      count.successes += by * row.successes;
      count.failures += by * row.failures;
    };
    add(1);
    try {
      await this.#writer.write({
        sizeBytes: 200,
        apply: () => void this.#upsert.run(row),
        dropped: () => add(-1),
      });
    } catch (error) {
      add(-1);
      throw error;
    }
  }
}

const pairOf = (model: string, task: string): string => JSON.stringify([model, task]);
