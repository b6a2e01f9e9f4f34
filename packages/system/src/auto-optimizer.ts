// What "optimize" does, step by step, each with what it found and what it left. It owns no algorithm: every step asks a part
// to do what that part knows how to do. One run at a time; a call during a run gets that run's report.

export interface OptimizationStep {
  readonly name: string;
  readonly unit: 'bytes' | 'count' | 'none';
  /** `undefined` for both when the step has no figure of that unit. */
  readonly before: number | undefined;
  readonly after: number | undefined;
  readonly detail: string;
  readonly durationMs: number;
  /** Set when the step failed; the other steps ran all the same. */
  readonly error?: unknown;
}

export interface OptimizationReport {
  readonly trigger: string;
  readonly startedAtMs: number;
  readonly durationMs: number;
  readonly steps: readonly OptimizationStep[];
  /** Every step succeeded. */
  readonly ok: boolean;
}

export interface StepDefinition {
  readonly name: string;
  readonly unit: OptimizationStep['unit'];
  measure?(): number;
  /** Returns what it did, in words. */
  run(): Promise<string> | string;
}

export class AutoOptimizer {
  readonly #steps: readonly StepDefinition[];
  readonly #now: () => number;
  readonly #onReport: (report: OptimizationReport) => void;
  #running: Promise<OptimizationReport> | undefined;
  #runs = 0;

  /** `onReport` is told once a run, however many asked for it. */
  constructor(
    steps: readonly StepDefinition[],
    now: () => number,
    onReport: (report: OptimizationReport) => void,
  ) {
    this.#steps = steps;
    this.#now = now;
    this.#onReport = onReport;
  }

  /** Finished runs. */
  get runs(): number {
    return this.#runs;
  }

  optimize(trigger: string): Promise<OptimizationReport> {
    this.#running ??= this.#run(trigger).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Resolves when no run is under way. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(trigger: string): Promise<OptimizationReport> {
    const startedAtMs = this.#now();
    const steps: OptimizationStep[] = [];
    for (const step of this.#steps) steps.push(await this.#runStep(step));
    this.#runs += 1;
    const ok = steps.every((step) => !('error' in step));
    const report = { trigger, startedAtMs, durationMs: this.#now() - startedAtMs, steps, ok };
    this.#onReport(report);
    return report;
  }

  async #runStep({ name, unit, measure, run }: StepDefinition): Promise<OptimizationStep> {
    const startMs = this.#now();
    let before: number | undefined;
    try {
      before = measure?.();
      const detail = await run();
      return { name, unit, before, after: measure?.(), detail, durationMs: this.#now() - startMs };
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      return { name, unit, before, after: undefined, detail, durationMs: this.#now() - startMs, error };
    }
  }
}
