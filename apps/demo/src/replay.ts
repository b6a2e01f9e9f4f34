// Replays recordings through a PerformanceSystem: all agents at once, each in its recorded order, as fast as the system
// takes it. What a tool returned comes from the recording; everything else (cache, store, graph, detection, metrics) is
// the system at work.
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import { performance } from 'node:perf_hooks';
import type { PerformanceSystem } from '@perf/system';
import type { AchievableHits } from './achievable-hits.ts';
import { achievableHits } from './achievable-hits.ts';
import { agentId, factsOf } from './knowledge.ts';
import { costUsd } from './prices.ts';
import type { Recording, ReplayEvent, ToolResult } from './recording.ts';
import { ToolEnvironment } from './tool-environment.ts';
import type { Environment } from './tool-environment.ts';

export interface ReplayOptions {
  /** Events a second and agent at most. Default: no limit. */
  readonly eventsPerSecond?: number;
  /** Ends the replay after the events that are under way. */
  readonly signal?: AbortSignal;
  /** What decides what is cached. Default: `ToolEnvironment`. */
  environmentOf?(agent: string, isReset: boolean): Environment;
}

export interface AgentProgress {
  readonly agent: string;
  readonly source: string;
  readonly done: number;
  readonly total: number;
}

export interface ReplayCounts {
  readonly events: number;
  readonly totalEvents: number;
  readonly agents: readonly AgentProgress[];
  /** Bytes of the replayed events, as recorded. */
  readonly bytes: number;
  readonly toolResults: number;
  readonly lookups: number;
  readonly hits: number;
  /** Cached results that differed from what the tool really returned. */
  readonly staleReads: number;
  readonly invalidations: number;
  readonly achievable: AchievableHits;
  readonly costUsd: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cachedTokens: number;
  readonly elapsedMs: number;
}

export interface FailureCount {
  readonly id: string;
  readonly found: number;
}

export interface ReadBack {
  readonly messages: number;
  readonly equal: number;
}

/** A graph query every so many events of an agent. */
const EVENTS_PER_QUERY = 8;
/** Names of the operations, by hops. */
export const hopOperations: readonly string[] = ['graph.1-hop', 'graph.2-hop', 'graph.traverse'];

/** Thrown by the loader where the recorded tool call failed, so that a failure is never cached. */
class RecordedFailure extends Error {}

export class Replay {
  readonly #system: PerformanceSystem;
  readonly #recordings: readonly Recording[];
  readonly #options: ReplayOptions;
  readonly #achievable: AchievableHits;
  readonly #done = new Map<string, number>();
  /** Events whose message was accepted, by agent: what the read-back check compares. */
  readonly #stored = new Map<string, number>();
  readonly #totalEvents: number;
  /** Tells the sessions of this replay from those of an earlier one in the same folder. */
  readonly #id = new Date().toISOString();
  readonly #plans = new Map<string, number>();
  readonly #failures = new Map<string, number>();
  #startedMs: number | undefined;
  #endedMs: number | undefined;
  #bytes = 0;
  #toolResults = 0;
  #lookups = 0;
  #hits = 0;
  #staleReads = 0;
  #invalidations = 0;
  #costUsd = 0;
  #inputTokens = 0;
  #outputTokens = 0;
  #cachedTokens = 0;

  constructor(system: PerformanceSystem, recordings: readonly Recording[], options: ReplayOptions = {}) {
    this.#system = system;
    this.#recordings = recordings;
    this.#options = options;
    this.#achievable = achievableHits(recordings);
    this.#totalEvents = recordings.reduce((sum, { events }) => sum + events.length, 0);
  }

  /** Replays everything, then commits it. Resolves early, with everything accepted committed, when the signal is aborted. */
  async run(): Promise<void> {
    // What an earlier replay left in the folder's cache was true at its end, not at the start of this one.
    await this.#system.clearCaches();
    this.#startedMs = performance.now();
    await Promise.all(this.#recordings.map((recording) => this.#runAgent(recording)));
    await this.#system.flush();
    this.#endedMs = performance.now();
  }

  counts(): ReplayCounts {
    const now = this.#endedMs ?? performance.now();
    return {
      events: [...this.#done.values()].reduce((sum, done) => sum + done, 0),
      totalEvents: this.#totalEvents,
      agents: this.#recordings.map(({ agent, source, events }) => ({
        agent,
        source,
        done: this.#done.get(agent) ?? 0,
        total: events.length,
      })),
      bytes: this.#bytes,
      toolResults: this.#toolResults,
      lookups: this.#lookups,
      hits: this.#hits,
      staleReads: this.#staleReads,
      invalidations: this.#invalidations,
      achievable: this.#achievable,
      costUsd: this.#costUsd,
      inputTokens: this.#inputTokens,
      outputTokens: this.#outputTokens,
      cachedTokens: this.#cachedTokens,
      elapsedMs: this.#startedMs === undefined ? 0 : now - this.#startedMs,
    };
  }

  /** How often each plan was chosen for the graph queries. */
  plans(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#plans);
  }

  /** The failures found most often, at most ten. */
  topFailures(): FailureCount[] {
    return [...this.#failures]
      .map(([id, found]) => ({ id, found }))
      .toSorted((a, b) => b.found - a.found)
      .slice(0, 10);
  }

  /** Reads every stored message back and compares it with its source, byte for byte. */
  async readBack(): Promise<ReadBack> {
    let messages = 0;
    let equal = 0;
    for (const { agent, events } of this.#recordings) {
      const expected = this.#stored.get(agent) ?? 0;
      messages += expected;
      let index = 0;
      for await (const bytes of this.#system.messages(this.#sessionOf(agent))) {
        const source = events[index];
        if (index < expected && source && Buffer.from(source.raw, 'utf8').equals(bytes)) equal += 1;
        // A message too many is as wrong as one that differs.
        if (index >= expected) messages += 1;
        index += 1;
      }
    }
    return { messages, equal };
  }

  #sessionOf(agent: string): string {
    return `replay ${this.#id}:${agent}`;
  }

  async #runAgent({ agent, source, events, resets }: Recording): Promise<void> {
    const { eventsPerSecond, signal, environmentOf } = this.#options;
    const startedAtMs = Date.now();
    const environment = environmentOf?.(agent, resets) ?? new ToolEnvironment(agent, resets);
    for (const [index, event] of events.entries()) {
      if (signal?.aborted === true) break;
      await this.#replayEvent(agent, event, environment);
      this.#done.set(agent, index + 1);
      if (index % EVENTS_PER_QUERY === 0) this.#query(agent);
      // The event loop turns after every event, so that the dashboard and the other agents get their share.
      if (eventsPerSecond === undefined) await nextTurn();
      else await pause(1000 / eventsPerSecond, undefined, signal ? { signal } : {}).catch(() => undefined);
    }
    const done = this.#done.get(agent) ?? 0;
    await this.#system.rememberSession({
      id: this.#sessionOf(agent),
      agent,
      startedAtMs,
      summary: `${source} of ${agent}: ${done} of ${events.length} events replayed`,
      data: { source, events: events.length, replayed: done },
    });
  }

  async #replayEvent(agent: string, event: ReplayEvent, environment: Environment): Promise<void> {
    if (event.resetsEnvironment === true) await this.#invalidate(environment.reset());
    await this.#timed('store.accept', () => this.#system.recordMessage(this.#sessionOf(agent), event.raw));
    this.#stored.set(agent, (this.#stored.get(agent) ?? 0) + 1);
    this.#bytes += Buffer.byteLength(event.raw);
    for (const result of event.results) await this.#replayResult(agent, result, environment);
    if (event.usage) await this.#countUsage(agent, event);
  }

  async #replayResult(agent: string, result: ToolResult, environment: Environment): Promise<void> {
    this.#toolResults += 1;
    const effect = environment.effectOf(result);
    if (effect.kind === 'read') await this.#read(effect.key, effect.tags, result);
    if (effect.kind === 'write') await this.#invalidate(effect.tags);
    // A file that was read may speak of errors without being one; what commands print and what failed is looked at.
    const errors = effect.kind === 'read' && !result.isError ? [] : this.#system.detect(result.output);
    for (const { id } of errors) this.#failures.set(id, (this.#failures.get(id) ?? 0) + 1);
    const { nodes, edges } = factsOf(agent, result, errors);
    await this.#timed('graph.write', () => {
      this.#system.graph.transaction(() => {
        this.#system.graph.putNodes(nodes);
        this.#system.graph.putEdges(edges);
      });
    });
  }

  async #read(key: string, tags: readonly string[], result: ToolResult): Promise<void> {
    this.#lookups += 1;
    let loaded = false;
    const load = async (): Promise<string> => {
      loaded = true;
      if (result.isError) throw new RecordedFailure(result.output);
      return result.output;
    };
    const startMs = performance.now();
    let value: unknown;
    try {
      value = await this.#system.cache.getOrLoad(key, load, { tags });
    } catch (error) {
      if (!(error instanceof RecordedFailure)) throw error;
    }
    const name = loaded ? 'cache.load' : 'cache.hit';
    this.#system.recordOperation(name, performance.now() - startMs, true, { relatedKeys: [key] });
    if (loaded) return;
    if (!result.isError && value === result.output) this.#hits += 1;
    else {
      this.#staleReads += 1;
      await this.#system.cache.delete(key);
    }
  }

  async #invalidate(tags: readonly string[]): Promise<void> {
    if (tags.length === 0) return;
    await this.#timed('cache.invalidate', async () => {
      for (const tag of tags) this.#invalidations += await this.#system.cache.deleteByTag(tag);
    });
  }

  async #countUsage(agent: string, { usage }: ReplayEvent): Promise<void> {
    if (!usage) return;
    const cost = costUsd(usage);
    this.#costUsd += cost ?? 0;
    this.#inputTokens += usage.inputTokens;
    this.#outputTokens += usage.outputTokens;
    this.#cachedTokens += usage.cachedTokens;
    await this.#system.track({
      agent,
      model: usage.model,
      task: agent,
      startedAtMs: Date.now(),
      // The recording has no duration of the model's answer: none is made up.
      durationMs: 0,
      ok: true,
      inputTokens: usage.inputTokens,
      outputTokens: usage.outputTokens,
      cachedTokens: usage.cachedTokens,
      ...(cost === undefined ? {} : { costUsd: cost }),
    });
  }

  /** The neighbourhood of the agent in every direction, one, two and three hops wide. */
  #query(agent: string): void {
    const { graph } = this.#system;
    const start = agentId(agent);
    for (const [index, operation] of hopOperations.entries()) {
      const options = { maxDepth: index + 1, direction: 'both' as const };
      const startMs = performance.now();
      // Read, so that the answer is really made.
      const found = graph.traverse(start, options).ids.length;
      this.#system.recordOperation(
        operation,
        performance.now() - startMs,
        found > 0 || !graph.getNode(start),
      );
      const { strategy } = graph.explain(start, options);
      this.#plans.set(strategy, (this.#plans.get(strategy) ?? 0) + 1);
    }
  }

  async #timed(name: string, run: () => void | Promise<void>): Promise<void> {
    const startMs = performance.now();
    await run();
    this.#system.recordOperation(name, performance.now() - startMs, true);
  }
}
