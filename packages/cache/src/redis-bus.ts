/**
 * Invalidations over Redis publish/subscribe, signed with HMAC-SHA256. Publish/subscribe forgets what nobody hears, so
 * a subscriber that was away cannot know what it missed: when its connection is back it is told to drop everything.
 * That bounds how long a value can be stale to the time of the disconnection. What could not be published is published
 * when the connection is back.
 */
import { createHmac, KeyObject, randomUUID, timingSafeEqual } from 'node:crypto';
import type { Redis } from 'ioredis';
import { CacheError } from './errors.ts';
import { checkFunction, checkInteger, checkObject, checkString } from './option-checks.ts';
import type { InvalidationBus, InvalidationMessage } from './tier.ts';

export interface RedisBusOptions {
  /** An ioredis client to publish with; the subscription uses a duplicate of it. It stays the caller's. */
  readonly client: Redis;
  /** Signs the messages; at least 16 bytes, the same in all processes. */
  readonly key: Uint8Array | KeyObject;
  /** Default `perf-cache:invalidate`. */
  readonly channel?: string;
  /** `publish` waits only this long for Redis; the message stays on its way. Default 100. */
  readonly timeoutMs?: number;
  /** Messages kept while there is no connection; beyond, one message that drops everything. Default 10,000. */
  readonly maxOwed?: number;
  /** Messages that were not understood or wrongly signed, and connection errors. */
  onError?(error: CacheError): void;
}

interface Envelope {
  readonly origin: string;
  /** Rises by one with every message of an origin: a message is accepted once, and a gap means that some were lost. */
  readonly serial: number;
  readonly message: InvalidationMessage;
}

const MIN_KEY_BYTES = 16;
const MAC_HEX_LENGTH = 64;
/** Origins remembered against replays. */
const MAX_ORIGINS = 10_000;

export class RedisBus implements InvalidationBus {
  readonly #client: Redis;
  readonly #subscriber: Redis;
  readonly #key: Uint8Array | KeyObject;
  readonly #channel: string;
  readonly #maxOwed: number;
  readonly #timeoutMs: number;
  readonly #onError: ((error: CacheError) => void) | undefined;
  readonly #listeners = new Set<(message: InvalidationMessage) => void>();
  readonly #origin: string = randomUUID();
  readonly #lastSerials = new Map<string, number>();
  readonly #subscribed: Promise<unknown>;
  #owed: InvalidationMessage[] = [];
  #serial = 0;
  #wasReady = false;
  #closed = false;
  readonly #onClientReady = (): void => void this.#publishOwed();

  constructor(options: RedisBusOptions) {
    checkObject('client', options.client);
    checkFunction('onError', options.onError);
    this.#client = options.client;
    this.#key = checkKey(options.key);
    this.#channel = checkString('channel', options.channel ?? 'perf-cache:invalidate');
    this.#maxOwed = checkInteger('maxOwed', options.maxOwed ?? 10_000, 1, 2 ** 20);
    this.#timeoutMs = checkInteger('timeoutMs', options.timeoutMs ?? 100, 1, 60_000);
    this.#onError = options.onError?.bind(options);
    this.#subscriber = options.client.duplicate({ maxRetriesPerRequest: null });
    this.#subscriber.on('error', (cause) => this.#report('the connection failed', cause));
    this.#subscriber.on('message', (_channel: string, text: string) => this.#receive(text));
    this.#subscriber.on('ready', () => this.#onSubscriberReady());
    this.#client.on('ready', this.#onClientReady);
    this.#subscribed = this.#subscriber.subscribe(this.#channel).then(undefined, (cause: unknown) => {
      if (!this.#closed) this.#report('the subscription failed', cause);
    });
  }

  /** Resolves when messages of other processes are heard. */
  async ready(): Promise<void> {
    await this.#subscribed;
  }

  /** Resolves when Redis has the message, when that takes too long, or when it is noted to be sent later. */
  async publish(message: InvalidationMessage): Promise<void> {
    if (this.#closed) throw new CacheError('ERR_PERF_CACHE_CLOSED', 'the bus is closed');
    if (this.#client.status !== 'ready' || this.#owed.length > 0) {
      this.#owe(message);
      if (this.#client.status === 'ready') await this.#publishOwed();
      return;
    }
    await this.#send(message);
  }

  subscribe(listener: (message: InvalidationMessage) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ends the subscription; the caller's client stays open. */
  async close(): Promise<void> {
    if (this.#closed) return;
    if (this.#client.status === 'ready') await this.#publishOwed();
    this.#closed = true;
    this.#client.off('ready', this.#onClientReady);
    this.#subscriber.disconnect();
    await this.#subscribed;
  }

  async #send(message: InvalidationMessage): Promise<void> {
    const envelope: Envelope = { origin: this.#origin, serial: ++this.#serial, message };
    const body = JSON.stringify(envelope);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#timeoutMs);
    });
    await Promise.race([this.#deliverToRedis(message, this.#mac(body).toString('hex') + body), late]);
    clearTimeout(timer);
  }

  async #deliverToRedis(message: InvalidationMessage, text: string): Promise<void> {
    try {
      await this.#client.publish(this.#channel, text);
    } catch (cause) {
      this.#owe(message);
      this.#report('a message could not be published', cause);
    }
  }

  #owe(message: InvalidationMessage): void {
    this.#owed.push(message);
    if (this.#owed.length > this.#maxOwed) this.#owed = [{ kind: 'clear' }];
  }

  async #publishOwed(): Promise<void> {
    const messages = this.#owed;
    this.#owed = [];
    for (const message of messages) await this.#send(message);
  }

  #onSubscriberReady(): void {
    if (this.#wasReady) this.#deliver({ kind: 'clear' });
    this.#wasReady = true;
  }

  #receive(text: string): void {
    const envelope = this.#open(text);
    if (envelope === undefined) {
      this.#report('a message was not understood or wrongly signed', undefined);
      return;
    }
    const { origin, serial, message } = envelope;
    if (origin === this.#origin) return;
    const last = this.#lastSerials.get(origin);
    if (last !== undefined && serial <= last) {
      this.#report('a message came twice', undefined);
      return;
    }
    this.#noteSerial(origin, serial);
    const lost = last !== undefined && serial > last + 1;
    this.#deliver(lost ? { kind: 'clear' } : message);
  }

  #noteSerial(origin: string, serial: number): void {
    this.#lastSerials.delete(origin);
    this.#lastSerials.set(origin, serial);
    for (const oldest of this.#lastSerials.keys()) {
      if (this.#lastSerials.size <= MAX_ORIGINS) return;
      this.#lastSerials.delete(oldest);
    }
  }

  /** The envelope when its MAC is right; nothing is parsed before. */
  #open(text: string): Envelope | undefined {
    const mac = Buffer.from(text.slice(0, MAC_HEX_LENGTH), 'hex');
    const body = text.slice(MAC_HEX_LENGTH);
    const expected = this.#mac(body);
    if (mac.length !== expected.length || !timingSafeEqual(mac, expected)) return undefined;
    return JSON.parse(body) as Envelope;
  }

  #mac(body: string): Buffer {
    return createHmac('sha256', this.#key).update(this.#channel).update('\n').update(body).digest();
  }

  #deliver(message: InvalidationMessage): void {
    for (const listener of this.#listeners) listener(message);
  }

  #report(what: string, cause: unknown): void {
    this.#onError?.(new CacheError('ERR_PERF_CACHE_TIER', `bus ${this.#channel}: ${what}`, { cause }));
  }
}

function checkKey(key: Uint8Array | KeyObject): Uint8Array | KeyObject {
  if (!(key instanceof Uint8Array) && !(key instanceof KeyObject && key.type === 'secret')) {
    throw new TypeError('key must be a Uint8Array or a secret KeyObject');
  }
  const bytes = key instanceof Uint8Array ? key.byteLength : (key.symmetricKeySize ?? 0);
  if (bytes < MIN_KEY_BYTES)
    throw new RangeError(`key must have at least ${MIN_KEY_BYTES} bytes, got ${bytes}`);
  return key;
}
