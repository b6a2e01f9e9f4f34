// Ready-made ways to open a system: attached to a coordinator and a logger that exist already, with defaults, for tests.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { SystemOptions } from './configuration.ts';
import { SystemError } from './errors.ts';
import { PerformanceSystem } from './performance-system.ts';

/** What a coordinator of agents tells of each finished operation. */
export interface CoordinatedOperation {
  readonly name: string;
  readonly durationMs: number;
  readonly ok: boolean;
  readonly relatedKeys?: readonly string[];
}

/** An event emitter that emits `operation`. Node's EventEmitter fits. */
export interface Coordinator {
  on(event: 'operation', listener: (operation: CoordinatedOperation) => void): unknown;
  off(event: 'operation', listener: (operation: CoordinatedOperation) => void): unknown;
}

/** `console`, pino and winston fit. */
export interface Logger {
  info(message: string): void;
  warn(message: string): void;
}

/**
 * Opens a system that listens to the coordinator's `operation` events and tells the logger of alerts, memory warnings and
 * optimizations. `shutdown` ends both.
 */
export async function createIntegratedPerformanceSystem(
  coordinator: Coordinator,
  logger: Logger,
  config: SystemOptions,
): Promise<PerformanceSystem> {
  if (typeof coordinator?.on !== 'function' || typeof coordinator.off !== 'function') {
    throw new TypeError('coordinator must have on() and off()');
  }
  if (typeof logger?.info !== 'function' || typeof logger.warn !== 'function') {
    throw new TypeError('logger must have info() and warn()');
  }
  const system = await PerformanceSystem.open(config);
  const listener = ({ name, durationMs, ok, relatedKeys }: CoordinatedOperation): void => {
    try {
      system.recordOperation(name, durationMs, ok, relatedKeys === undefined ? {} : { relatedKeys });
    } catch (error) {
      // The coordinator's other listeners have nothing to do with a measurement that makes no sense or comes too late.
      if (error instanceof SystemError) return;
      logger.warn(`operation not recorded: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  coordinator.on('operation', listener);
  system.onShutdown(() => void coordinator.off('operation', listener));
  system.on('alert', ({ kind, message }) => logger.warn(`${kind}: ${message}`));
  system.on('memoryWarning', ({ level }) => logger.warn(`memory pressure is ${level}`));
  system.on('optimizationComplete', ({ trigger, durationMs, ok }) => {
    logger.info(`optimized (${trigger}) in ${durationMs} ms${ok ? '' : ', with failures'}`);
  });
  return system;
}

/** Opens a system with every default in `.perf-data` below the working directory. */
export function createDefaultPerformanceSystem(): Promise<PerformanceSystem> {
  return PerformanceSystem.open({ dir: path.resolve('.perf-data') });
}

/**
 * Opens a system in a new temporary folder that `shutdown` removes. It samples pressure and metrics and optimizes only when
 * asked.
 */
export async function createTestPerformanceSystem(
  options: Partial<SystemOptions> = {},
): Promise<PerformanceSystem> {
  const dir = options.dir ?? mkdtempSync(path.join(tmpdir(), 'perf-system-'));
  const remove = (): void => {
    if (options.dir === undefined) rmSync(dir, { recursive: true, force: true });
  };
  try {
    const system = await PerformanceSystem.open({
      pressureIntervalMs: Infinity,
      metricsIntervalMs: Infinity,
      optimizeIntervalMs: Infinity,
      ...options,
      dir,
    });
    system.onShutdown(remove);
    return system;
  } catch (error) {
    remove();
    throw error;
  }
}
