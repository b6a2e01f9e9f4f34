/**
 * Invalidations between processes over Redis's publish/subscribe, which delivers at most once. What that
 * leaves open is closed here:
 *
 * - A message that Redis did not confirm is kept and sent again, as it was, when the link is back; receivers
 *   know every publisher's last number and ignore what they have had.
 * - A number that is missing, and every beginning of a subscription (the first, and each after a loss), may
 *   hide messages: the listeners get a `clear`, and what they held before is gone.
 * - A subscription that is silently dead is found by a heartbeat.
 *
 *     message = version u8 | publisher 16 bytes | number f64 | mac length u8, mac | body as JSON
 *
 * With a key, the MAC (HMAC-SHA256) covers the channel, publisher, number and body; a message without a right
 * one is dropped and counted. A recorded message that is sent again is ignored by its number, or at worst
 * invalidates too much.
 */
import { createHmac, createSecretKey, KeyObject, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Redis } from 'ioredis';
import { CacheError } from './errors.ts';
import { checkFunction, checkInteger, checkObject } from './option-checks.ts';
import { checkRedis, connectRedis, duplicateRedis, isRedisClient, RedisLink } from './redis-link.ts';
import type { RedisConnection, Send } from './redis-link.ts';
import { checkNamespace } from './redis-tier.ts';
import type { InvalidationBus, InvalidationMessage } from './tier.ts';

export interface RedisBusOptions {
  /**
   * A client of ioredis, which stays the caller's to close; or options or a URL, for a client of the bus's
   * own. The subscription always has a connection of its own, with the same options.
   */
  readonly redis: RedisConnection;
  /** Members with the same namespace hear each other. Default `perf-cache`. */
  readonly namespace?: string;
  /**
   * Signs messages and drops those that are not signed with it. At least 16 bytes; the same for all members.
   */
  readonly key?: Uint8Array | KeyObject;
  /** Still accepted. */
  readonly previousKeys?: readonly (Uint8Array | KeyObject)[];
  /**
   * Longest wait for Redis when publishing; the message is then sent when Redis answers again. Default 100.
   */
  readonly timeoutMs?: number;
  /** How often the subscription is checked; a dead one is replaced within twice this. Default 1000. */
  readonly heartbeatMs?: number;
  /** Messages kept while Redis cannot be reached; beyond, they become one `clear`. Default 1000. */
  readonly maxUnconfirmed?: number;
  /** Outages (once each) and rejected messages. */
  onError?(error: CacheError): void;
}

export interface RedisBusStats {
  readonly published: number;
  readonly received: number;
  /** Messages without a right MAC, or that cannot be read. */
  readonly rejected: number;
  /** Times that messages may have been missed, and the listeners got a `clear`. */
  readonly gaps: number;
  readonly duplicates: number;
  /** Messages that wait for Redis. */
  readonly unconfirmed: number;
  readonly subscribed: boolean;
}

type Listener = (message: InvalidationMessage) => void;

const VERSION = 1;
const PUBLISHER_BYTES = 16;
const NUMBER_OFFSET = 1 + PUBLISHER_BYTES;
const MAC_OFFSET = NUMBER_OFFSET + 8;
const MAC_BYTES = 32;
const MIN_KEY_BYTES = 16;
/** Publishers whose last number is remembered. */
const MAX_PUBLISHERS = 10_000;

export class RedisBus implements InvalidationBus, AsyncDisposable {
  readonly #channel: string;
  readonly #publisher = randomBytes(PUBLISHER_BYTES);
  readonly #keys: readonly KeyObject[];
  readonly #link: RedisLink;
  readonly #subscriber: Redis;
  readonly #onError: ((error: CacheError) => void) | undefined;
  readonly #maxUnconfirmed: number;
  readonly #unconfirmed = new Map<number, Buffer>();
  readonly #listeners = new Set<Listener>();
  readonly #lastNumbers = new Map<string, number>();
  readonly #heartbeat: NodeJS.Timeout;
  readonly #counters = { published: 0, received: 0, rejected: 0, gaps: 0, duplicates: 0 };
  #ready: PromiseWithResolvers<void> = Promise.withResolvers();
  #number = 0;
  #subscribed = false;
  #heartbeatState: 'idle' | 'pinging' | 'cut' = 'idle';
  #closed = false;

  /** @throws {TypeError} or {RangeError} that names the option. Connecting happens in the background. */
  constructor(options: RedisBusOptions) {
    checkObject('options', options);
    checkRedis(options.redis);
    this.#channel = `${checkNamespace(options.namespace ?? 'perf-cache')}:bus`;
    const keys = options.key === undefined ? [] : [toKey('key', options.key)];
    this.#keys = [...keys, ...(options.previousKeys ?? []).map((key) => toKey('previousKeys', key))];
    if (this.#keys.length > keys.length && keys.length === 0) throw new TypeError('previousKeys needs key');
    const timeoutMs = checkInteger('timeoutMs', options.timeoutMs ?? 100, 1, 60_000);
    const heartbeatMs = checkInteger('heartbeatMs', options.heartbeatMs ?? 1000, 10, 600_000);
    this.#maxUnconfirmed = checkInteger('maxUnconfirmed', options.maxUnconfirmed ?? 1000, 1, 1_000_000);
    checkFunction('onError', options.onError);
    this.#onError = options.onError?.bind(options);
    this.#link = new RedisLink({
      redis: options.redis,
      timeoutMs,
      onReturn: (send) => this.#sendUnconfirmed(send),
      owes: () => this.#unconfirmed.size > 0,
      onError: (error) => this.#onError?.(error),
    });
    this.#subscriber = isRedisClient(options.redis)
      ? duplicateRedis(options.redis)
      : connectRedis(options.redis);
    this.#listen();
    this.#heartbeat = setInterval(() => this.#beat(), heartbeatMs);
    this.#heartbeat.unref();
  }

  /** Resolves when the subscription stands: from then on, what others publish arrives. */
  async ready(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options;
    this.#throwIfClosed();
    signal?.throwIfAborted();
    if (signal === undefined) return this.#ready.promise;
    const aborted = Promise.withResolvers<never>();
    const onAbort = (): void => aborted.reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      await Promise.race([this.#ready.promise, aborted.promise]);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Resolves when Redis has the message, or when it is noted to be sent once Redis can be reached. */
  async publish(message: InvalidationMessage): Promise<void> {
    this.#throwIfClosed();
    const number = this.#keep(message);
    const frame = this.#unconfirmed.get(number)!;
    this.#counters.published++;
    try {
      await this.#link.run((client) => client.publish(this.#channel, frame));
      this.#unconfirmed.delete(number);
    } catch (error) {
      // Kept; it is sent when the link returns. If the link has come back meanwhile, it must do so once more.
      if (this.#link.available) this.#link.distrust(error);
    }
  }

  /**
   * The listener gets what other members publish, and a `clear` whenever it may have missed something: now,
   * if the subscription stands, and at each beginning of one.
   */
  subscribe(listener: Listener): () => void {
    this.#throwIfClosed();
    this.#listeners.add(listener);
    if (this.#subscribed) listener({ kind: 'clear' });
    return () => void this.#listeners.delete(listener);
  }

  stats(): RedisBusStats {
    return { ...this.#counters, unconfirmed: this.#unconfirmed.size, subscribed: this.#subscribed };
  }

  /** Ends the subscription and closes the connections made here. What is unconfirmed is reported and lost. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#heartbeat);
    this.#listeners.clear();
    this.#subscribed = false;
    this.#ready.promise.catch(() => undefined);
    this.#ready.reject(closedError());
    this.#subscriber.disconnect();
    await this.#link.close();
    if (this.#unconfirmed.size === 0) return;
    const message = `the bus was closed while ${this.#unconfirmed.size} messages were still to be sent`;
    this.#onError?.(new CacheError('ERR_PERF_CACHE_TIER', message));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // Sending

  /** Numbers the message and keeps it until it is confirmed. */
  #keep(message: InvalidationMessage): number {
    let kept = message;
    if (this.#unconfirmed.size >= this.#maxUnconfirmed) {
      this.#unconfirmed.clear();
      kept = { kind: 'clear' };
    }
    const number = ++this.#number;
    this.#unconfirmed.set(number, this.#encode(number, kept));
    return number;
  }

  async #sendUnconfirmed(send: Send): Promise<void> {
    for (const [number, frame] of this.#unconfirmed) {
      await send((client) => client.publish(this.#channel, frame));
      this.#unconfirmed.delete(number);
    }
  }

  #encode(number: number, message: InvalidationMessage): Buffer {
    const body = Buffer.from(JSON.stringify(message));
    const head = Buffer.alloc(MAC_OFFSET + 1);
    head[0] = VERSION;
    this.#publisher.copy(head, 1);
    head.writeDoubleLE(number, NUMBER_OFFSET);
    const key = this.#keys[0];
    if (key === undefined) return Buffer.concat([head, body]);
    head[MAC_OFFSET] = MAC_BYTES;
    return Buffer.concat([head, this.#mac(key, head, body), body]);
  }

  #mac(key: KeyObject, head: Buffer, body: Buffer): Buffer {
    const hmac = createHmac('sha256', key);
    // The channel ends with a byte that no UTF-8 text has, so that it cannot run into what follows.
    hmac.update(`perf-cache-bus ${this.#channel}`).update(Buffer.of(0xff));
    return hmac.update(head.subarray(0, MAC_OFFSET)).update(body).digest();
  }

  // Receiving

  #listen(): void {
    const subscriber = this.#subscriber;
    subscriber.on('ready', () => void this.#begin());
    subscriber.on('close', () => {
      this.#heartbeatState = 'idle';
      if (!this.#subscribed) return;
      this.#subscribed = false;
      this.#ready = Promise.withResolvers();
    });
    // Losses show in the link's reports; without a listener ioredis prints them.
    subscriber.on('error', () => undefined);
    subscriber.on('messageBuffer', (_channel: Buffer, message: Buffer) => this.#receive(message));
  }

  async #begin(): Promise<void> {
    try {
      await this.#subscriber.subscribe(this.#channel);
    } catch (cause) {
      if (this.#closed) return;
      this.#onError?.(new CacheError('ERR_PERF_CACHE_TIER', 'the bus could not subscribe', { cause }));
      this.#subscriber.disconnect(true);
      return;
    }
    if (this.#closed) return;
    this.#subscribed = true;
    // Publishers may have restarted or gone on unheard: their next message is a new beginning.
    this.#lastNumbers.clear();
    this.#tellMissed();
    this.#ready.resolve();
  }

  #receive(message: Buffer): void {
    const body = this.#open(message);
    if (body === undefined) return;
    const publisher = message.toString('latin1', 1, NUMBER_OFFSET);
    const number = message.readDoubleLE(NUMBER_OFFSET);
    const last = this.#lastNumbers.get(publisher);
    if (last !== undefined && number <= last) {
      this.#counters.duplicates++;
      return;
    }
    // The newest last, so that the first is the one unheard for longest.
    this.#lastNumbers.delete(publisher);
    this.#lastNumbers.set(publisher, number);
    if (this.#lastNumbers.size > MAX_PUBLISHERS) {
      for (const oldest of this.#lastNumbers.keys()) {
        this.#lastNumbers.delete(oldest);
        break;
      }
    }
    this.#counters.received++;
    if (last !== undefined && number > last + 1) this.#tellMissed();
    else this.#tell(body);
  }

  /** The body of a message that is another member's and can be trusted. */
  #open(message: Buffer): InvalidationMessage | undefined {
    if (message.byteLength <= MAC_OFFSET || message[0] !== VERSION) return this.#reject();
    const macBytes = message[MAC_OFFSET]!;
    const bodyAt = MAC_OFFSET + 1 + macBytes;
    if (message.byteLength < bodyAt) return this.#reject();
    const body = message.subarray(bodyAt);
    if (this.#keys.length > 0) {
      const mac = message.subarray(MAC_OFFSET + 1, bodyAt);
      const isRight = (key: KeyObject): boolean => timingSafeEqual(this.#mac(key, message, body), mac);
      if (macBytes !== MAC_BYTES || !this.#keys.some(isRight)) return this.#reject();
    }
    if (message.subarray(1, NUMBER_OFFSET).equals(this.#publisher)) return undefined;
    return parseMessage(body) ?? this.#reject();
  }

  #reject(): undefined {
    this.#counters.rejected++;
    this.#onError?.(
      new CacheError(
        'ERR_PERF_CACHE_TIER',
        `a message on ${this.#channel} was dropped: unsigned, forged or foreign`,
      ),
    );
    return undefined;
  }

  #tellMissed(): void {
    this.#counters.gaps++;
    this.#tell({ kind: 'clear' });
  }

  #tell(message: InvalidationMessage): void {
    for (const listener of this.#listeners) listener(message);
  }

  #beat(): void {
    if (this.#subscriber.status !== 'ready') return;
    if (this.#heartbeatState === 'pinging') {
      // After a long task the reply may be here, unread: sockets are read before the next turn.
      setImmediate(() => {
        if (this.#heartbeatState !== 'pinging') return;
        this.#heartbeatState = 'cut';
        this.#subscriber.disconnect(true);
      });
    }
    if (this.#heartbeatState !== 'idle') return;
    this.#heartbeatState = 'pinging';
    const answered = (): void => {
      if (this.#heartbeatState === 'pinging') this.#heartbeatState = 'idle';
    };
    this.#subscriber.ping().then(answered, answered);
  }

  #throwIfClosed(): void {
    if (this.#closed) throw closedError();
  }
}

function closedError(): CacheError {
  return new CacheError('ERR_PERF_CACHE_CLOSED', 'the bus is closed');
}

function toKey(name: string, key: Uint8Array | KeyObject): KeyObject {
  let secret: KeyObject;
  if (key instanceof KeyObject && key.type === 'secret') secret = key;
  else if (key instanceof Uint8Array && key.byteLength > 0) secret = createSecretKey(key);
  else throw new TypeError(`${name} must be a Uint8Array or a secret KeyObject`);
  if ((secret.symmetricKeySize ?? 0) < MIN_KEY_BYTES) {
    throw new RangeError(`${name} must have at least ${MIN_KEY_BYTES} bytes`);
  }
  return secret;
}

function parseMessage(body: Buffer): InvalidationMessage | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body.toString());
  } catch {
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null || !('kind' in parsed)) return undefined;
  if (parsed.kind === 'clear') return { kind: 'clear' };
  if (parsed.kind === 'tag' && 'tag' in parsed && typeof parsed.tag === 'string') {
    return { kind: 'tag', tag: parsed.tag };
  }
  if (parsed.kind !== 'keys' || !('keys' in parsed) || !Array.isArray(parsed.keys)) return undefined;
  const keys: unknown[] = parsed.keys;
  return keys.every((key) => typeof key === 'string') ? { kind: 'keys', keys } : undefined;
}
