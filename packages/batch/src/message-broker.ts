/**
 * Messages between agents of one process. A topic hands a message to every subscription of it; a direct message goes to
 * one of the handlers of its address, whichever is free. A handler that resolves has acknowledged; one that
 * rejects, or takes longer than `ackTimeoutMs`, gets the message again until `maxDeliveries`, after which it is a dead letter.
 *
 * Each subscription is a priority queue with its own concurrency, so a slow subscriber delays nobody else. A message
 * for several subscriptions is held once and counted once per queue; the sum is bounded by `maxMessages`. A topic
 * without subscriptions keeps nothing; an address without handlers keeps its messages for the first one that comes.
 */
import { channel } from 'node:diagnostics_channel';
import { DeadLetters, describeError } from './dead-letters.ts';
import { monotonicClock, type Clock } from './clock.ts';
import { DeadlineHeap } from './deadline-heap.ts';
import { DueTimer } from './due-timer.ts';
import { BatchError } from './errors.ts';
import type { DeadLetter } from './job-store.ts';
import { functionOption, integerOption, numberOption } from './option-checks.ts';
import { MAX_PRIORITIES, PriorityRing } from './priority-ring.ts';

export interface MessageBrokerOptions {
  /** Deliveries waiting or under way, in all queues together. Default 100,000. */
  readonly maxMessages?: number;
  /** Levels; 0 is the most urgent. Default 8. */
  readonly priorities?: number;
  /** Default 5. */
  readonly maxDeliveries?: number;
  /** Delay before a redelivery, doubling each time. Default 100 ms, at most 30 s. */
  readonly redeliveryDelayMs?: number;
  /** Dead letters remembered. Default 1,000. */
  readonly maxDeadLetters?: number;
  /** Depths that alert when crossed upwards, once until the depth has fallen a tenth below. Default 75,000 and 90,000. */
  readonly alertDepths?: readonly number[];
  readonly onAlert?: (alert: DepthAlert) => void;
  readonly clock?: Clock;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
}

export interface DepthAlert {
  readonly depth: number;
  readonly threshold: number;
}

export interface PublishOptions {
  /** 0 (most urgent) to `priorities - 1`; default the middle. */
  readonly priority?: number;
}

export interface SubscribeOptions {
  /** Messages handled at once. Default 1. */
  readonly concurrency?: number;
  /** Default 30 s. */
  readonly ackTimeoutMs?: number;
}

export interface Delivery {
  readonly topic: string;
  readonly id: string;
  readonly priority: number;
  /** 1 for the first. */
  readonly attempt: number;
  /** Aborted when the time to acknowledge is over. */
  readonly signal: AbortSignal;
}

export type MessageHandler<M> = (message: M, delivery: Delivery) => Promise<void> | void;

export interface Subscription extends AsyncDisposable {
  /** Handles no further messages; resolves when those under way have ended. */
  close(): Promise<void>;
}

export interface MessageBrokerStats {
  readonly depth: number;
  readonly inFlight: number;
  readonly published: number;
  readonly delivered: number;
  readonly acknowledged: number;
  readonly redelivered: number;
  readonly deadLettered: number;
  readonly refused: number;
  readonly subscriptions: number;
}

const alertChannel = channel('perf:batch:broker-depth');
const MAX_REDELIVERY_DELAY_MS = 30_000;
/** An alert is armed again when the depth is this share of its threshold. */
const REARM_SHARE = 0.9;

/** One message in one queue. */
interface Parcel {
  readonly enqueuedAtMs: number;
  readonly topic: string;
  readonly message: unknown;
  readonly sequence: number;
  readonly priority: number;
  attempt: number;
  queue: Queue;
}

interface Consumer {
  readonly handler: MessageHandler<unknown>;
  readonly concurrency: number;
  readonly ackTimeoutMs: number;
  readonly queue: Queue;
  inFlight: number;
  closed: boolean;
  onIdle: (() => void)[];
}

interface Queue {
  readonly ring: PriorityRing<Parcel>;
  readonly consumers: Consumer[];
  pumping: boolean;
}

export class MessageBroker<M = unknown> implements AsyncDisposable {
  readonly #maxMessages: number;
  readonly #priorities: number;
  readonly #maxDeliveries: number;
  readonly #redeliveryDelayMs: number;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #alertDepths: readonly number[];
  readonly #alerted: boolean[];
  readonly #onAlert: ((alert: DepthAlert) => void) | undefined;
  readonly #letters: DeadLetters<{ readonly topic: string; readonly message: M }>;
  readonly #topics = new Map<string, Queue[]>();
  readonly #addresses = new Map<string, Queue>();
  /** Redeliveries and acknowledgement deadlines. */
  readonly #due = new DeadlineHeap<() => void>();
  readonly #timer: DueTimer;
  /** While there are some the timer keeps the process alive; deadlines of handlers do not. */
  #redeliveriesPending = 0;
  #sequence = 0;
  #depth = 0;
  #inFlight = 0;
  #subscriptions = 0;
  #published = 0;
  #delivered = 0;
  #acknowledged = 0;
  #redelivered = 0;
  #deadLettered = 0;
  #refused = 0;
  #closed = false;
  #idleWaiters: (() => void)[] = [];

  /** @throws {RangeError | TypeError} naming the option. */
  constructor(options: MessageBrokerOptions = {}) {
    const o = options;
    this.#maxMessages = integerOption('maxMessages', o.maxMessages ?? 100_000, 1);
    this.#priorities = integerOption('priorities', o.priorities ?? 8, 1, MAX_PRIORITIES);
    this.#maxDeliveries = integerOption('maxDeliveries', o.maxDeliveries ?? 5, 1);
    this.#redeliveryDelayMs = numberOption('redeliveryDelayMs', o.redeliveryDelayMs ?? 100, 0);
    this.#letters = new DeadLetters(integerOption('maxDeadLetters', o.maxDeadLetters ?? 1000, 0));
    this.#alertDepths = [...(o.alertDepths ?? [75_000, 90_000])].sort((a, b) => a - b);
    for (const depth of this.#alertDepths) integerOption('alertDepths', depth, 1);
    this.#alerted = this.#alertDepths.map(() => false);
    this.#onAlert = o.onAlert === undefined ? undefined : functionOption('onAlert', o.onAlert);
    this.#clock = o.clock ?? monotonicClock;
    this.#timer = new DueTimer(this.#clock, () => this.#fireDue());
    this.#random = o.random === undefined ? Math.random : functionOption('random', o.random);
  }

  /**
   * Hands a message to every subscription of the topic; returns to how many. O(subscriptions).
   *
   * @throws {BatchError} ERR_PERF_BATCH_FULL when they do not all have room (then none gets it), ERR_PERF_BATCH_CLOSED.
   * @throws {RangeError} for a priority out of range.
   */
  publish(topic: string, message: M, options: PublishOptions = {}): number {
    const priority = this.#priorityOf(options);
    this.#checkOpen();
    const queues = this.#topics.get(topic);
    const copies = queues === undefined ? 0 : queues.length;
    this.#checkRoom(copies);
    this.#published++;
    for (let i = 0; i < copies; i++) this.#enqueue((queues as Queue[])[i] as Queue, topic, message, priority);
    return copies;
  }

  /**
   * Sends to one of the handlers of an address, or keeps the message until there is one.
   *
   * @throws {BatchError} ERR_PERF_BATCH_FULL, ERR_PERF_BATCH_CLOSED.
   */
  send(address: string, message: M, options: PublishOptions = {}): void {
    const priority = this.#priorityOf(options);
    this.#checkOpen();
    this.#checkRoom(1);
    this.#published++;
    this.#enqueue(this.#address(address), address, message, priority);
  }

  /** Every message of the topic from now on. @throws {TypeError} when the handler is no function. */
  subscribe(topic: string, handler: MessageHandler<M>, options: SubscribeOptions = {}): Subscription {
    this.#checkOpen();
    const queue = this.#newQueue();
    const consumer = this.#newConsumer(queue, handler, options);
    const queues = this.#topics.get(topic);
    if (queues === undefined) this.#topics.set(topic, [queue]);
    else queues.push(queue);
    return this.#subscription(consumer, () => {
      const remaining = (this.#topics.get(topic) ?? []).filter((other) => other !== queue);
      if (remaining.length === 0) this.#topics.delete(topic);
      else this.#topics.set(topic, remaining);
      // Nobody else will take what waits in this subscription's own queue.
      for (let parcel = queue.ring.pop(); parcel !== undefined; parcel = queue.ring.pop())
        this.#changeDepth(-1);
    });
  }

  /** A share of the messages sent to the address. */
  receive(address: string, handler: MessageHandler<M>, options: SubscribeOptions = {}): Subscription {
    this.#checkOpen();
    const queue = this.#address(address);
    const consumer = this.#newConsumer(queue, handler, options);
    this.#schedule(queue);
    return this.#subscription(consumer, () => {
      if (queue.consumers.length === 0 && queue.ring.size === 0) this.#addresses.delete(address);
    });
  }

  /** Oldest first. */
  deadLetters(): readonly DeadLetter<{ readonly topic: string; readonly message: M }>[] {
    return this.#letters.list();
  }

  stats(): MessageBrokerStats {
    return {
      depth: this.#depth,
      inFlight: this.#inFlight,
      published: this.#published,
      delivered: this.#delivered,
      acknowledged: this.#acknowledged,
      redelivered: this.#redelivered,
      deadLettered: this.#deadLettered,
      refused: this.#refused,
      subscriptions: this.#subscriptions,
    };
  }

  /** Resolves when every message that somebody handles has been; messages to addresses nobody handles stay. */
  async drain(): Promise<void> {
    while (this.#depth - this.#unattended() > 0) {
      await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
    }
  }

  /** Refuses new messages and handles those it has. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.drain();
    this.#timer.disarm();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #checkOpen(): void {
    if (this.#closed) throw new BatchError('ERR_PERF_BATCH_CLOSED', 'the broker is closed');
  }

  #checkRoom(copies: number): void {
    if (this.#depth + copies <= this.#maxMessages) return;
    this.#refused++;
    throw new BatchError('ERR_PERF_BATCH_FULL', `the broker holds ${this.#depth} messages`);
  }

  #priorityOf(options: PublishOptions): number {
    return options.priority === undefined
      ? this.#priorities >> 1
      : integerOption('priority', options.priority, 0, this.#priorities - 1);
  }

  #newQueue(): Queue {
    return { ring: new PriorityRing(this.#priorities), consumers: [], pumping: false };
  }

  #address(address: string): Queue {
    let queue = this.#addresses.get(address);
    if (queue === undefined) {
      queue = this.#newQueue();
      this.#addresses.set(address, queue);
    }
    return queue;
  }

  #newConsumer(queue: Queue, handler: MessageHandler<M>, options: SubscribeOptions): Consumer {
    const consumer: Consumer = {
      handler: functionOption('handler', handler) as MessageHandler<unknown>,
      concurrency: integerOption('concurrency', options.concurrency ?? 1, 1),
      ackTimeoutMs: numberOption('ackTimeoutMs', options.ackTimeoutMs ?? 30_000, 1),
      queue,
      inFlight: 0,
      closed: false,
      onIdle: [],
    };
    queue.consumers.push(consumer);
    this.#subscriptions++;
    return consumer;
  }

  #subscription(consumer: Consumer, detach: () => void): Subscription {
    const close = async (): Promise<void> => {
      if (!consumer.closed) {
        consumer.closed = true;
        this.#subscriptions--;
        consumer.queue.consumers.splice(consumer.queue.consumers.indexOf(consumer), 1);
        detach();
        this.#wakeIdle();
      }
      if (consumer.inFlight > 0) await new Promise<void>((resolve) => consumer.onIdle.push(resolve));
    };
    return { close, [Symbol.asyncDispose]: close };
  }

  #enqueue(queue: Queue, topic: string, message: unknown, priority: number): void {
    const parcel = {
      enqueuedAtMs: 0,
      topic,
      message,
      sequence: ++this.#sequence,
      priority,
      attempt: 0,
      queue,
    };
    queue.ring.push(priority, parcel);
    this.#changeDepth(1);
    this.#schedule(queue);
  }

  /** Handlers run from a microtask, never inside `publish`. */
  #schedule(queue: Queue): void {
    if (queue.pumping) return;
    queue.pumping = true;
    queueMicrotask(() => {
      queue.pumping = false;
      this.#pump(queue);
    });
  }

  #pump(queue: Queue): void {
    for (let i = 0; i < queue.consumers.length && queue.ring.size > 0; i++) {
      const consumer = queue.consumers[i] as Consumer;
      while (consumer.inFlight < consumer.concurrency) {
        const parcel = queue.ring.pop();
        if (parcel === undefined) return;
        this.#deliver(consumer, parcel);
      }
    }
  }

  #deliver(consumer: Consumer, parcel: Parcel): void {
    consumer.inFlight++;
    this.#inFlight++;
    this.#delivered++;
    parcel.attempt++;
    const attempt = new Attempt(parcel);
    const deadline = this.#after(consumer.ackTimeoutMs, () => {
      if (attempt.ended) return;
      attempt.ended = true;
      const error = new BatchError(
        'ERR_PERF_BATCH_DEADLINE',
        `not acknowledged in ${consumer.ackTimeoutMs} ms`,
      );
      attempt.abort(error);
      this.#released(consumer);
      this.#rejected(parcel, error);
    });
    let handled;
    try {
      handled = consumer.handler(parcel.message, attempt);
    } catch (error) {
      handled = Promise.reject(error);
    }
    Promise.resolve(handled).then(
      () => {
        if (attempt.ended) return;
        attempt.ended = true;
        this.#due.remove(deadline);
        this.#acknowledged++;
        this.#changeDepth(-1);
        this.#released(consumer);
      },
      (error: unknown) => {
        if (attempt.ended) return;
        attempt.ended = true;
        this.#due.remove(deadline);
        this.#released(consumer);
        this.#rejected(parcel, error);
      },
    );
  }

  #released(consumer: Consumer): void {
    consumer.inFlight--;
    this.#inFlight--;
    if (consumer.closed && consumer.inFlight === 0)
      for (const resolve of consumer.onIdle.splice(0)) resolve();
    if (consumer.queue.ring.size > 0) this.#pump(consumer.queue);
    this.#wakeIdle();
  }

  #rejected(parcel: Parcel, error: unknown): void {
    if (parcel.attempt >= this.#maxDeliveries) {
      this.#deadLettered++;
      this.#letters.put({
        id: String(parcel.sequence),
        item: { topic: parcel.topic, message: parcel.message as M },
        error: describeError(error),
        attempts: parcel.attempt,
      });
      this.#changeDepth(-1);
      this.#wakeIdle();
      return;
    }
    this.#redelivered++;
    const ceilingMs = Math.min(MAX_REDELIVERY_DELAY_MS, this.#redeliveryDelayMs * 2 ** (parcel.attempt - 1));
    this.#redeliveriesPending++;
    this.#after(this.#random() * ceilingMs, () => {
      this.#redeliveriesPending--;
      if (parcel.queue.consumers.length === 0 && !this.#isAddress(parcel)) {
        // Its subscription has gone meanwhile.
        this.#changeDepth(-1);
        this.#wakeIdle();
        return;
      }
      parcel.queue.ring.pushFront(parcel.priority, parcel);
      this.#schedule(parcel.queue);
    });
  }

  #isAddress(parcel: Parcel): boolean {
    return this.#addresses.get(parcel.topic) === parcel.queue;
  }

  #unattended(): number {
    let count = 0;
    for (const queue of this.#addresses.values()) if (queue.consumers.length === 0) count += queue.ring.size;
    return count;
  }

  #wakeIdle(): void {
    if (this.#idleWaiters.length === 0 || this.#inFlight > 0) return;
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  #changeDepth(by: number): void {
    this.#depth += by;
    for (let i = 0; i < this.#alertDepths.length; i++) {
      const threshold = this.#alertDepths[i] as number;
      if (by > 0 && !this.#alerted[i] && this.#depth >= threshold) {
        this.#alerted[i] = true;
        const alert = { depth: this.#depth, threshold };
        if (alertChannel.hasSubscribers) alertChannel.publish(alert);
        this.#onAlert?.(alert);
      } else if (by < 0 && this.#alerted[i] && this.#depth < threshold * REARM_SHARE) {
        this.#alerted[i] = false;
      }
    }
  }

  #after(delayMs: number, run: () => void): number {
    const dueMs = this.#clock.now() + delayMs;
    const handle = this.#due.push(dueMs, run);
    this.#timer.arm(dueMs);
    this.#timer.hold(this.#redeliveriesPending > 0);
    return handle;
  }

  #fireDue(): void {
    const nowMs = this.#clock.now();
    for (let run = this.#due.popDue(nowMs); run !== undefined; run = this.#due.popDue(nowMs)) run();
    if (this.#due.nextDueMs === Infinity) return;
    this.#timer.arm(this.#due.nextDueMs);
    this.#timer.hold(this.#redeliveriesPending > 0);
  }
}

/** One delivery of a message. Its signal is made when first asked for: few handlers do, and it costs more than the rest. */
class Attempt implements Delivery {
  readonly #parcel: Parcel;
  readonly attempt: number;
  #controller: AbortController | undefined = undefined;
  #reason: unknown = undefined;
  ended = false;

  constructor(parcel: Parcel) {
    this.#parcel = parcel;
    this.attempt = parcel.attempt;
  }

  get topic(): string {
    return this.#parcel.topic;
  }

  get id(): string {
    return String(this.#parcel.sequence);
  }

  get priority(): number {
    return this.#parcel.priority;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.#reason = reason;
    this.#controller?.abort(reason);
  }
}
