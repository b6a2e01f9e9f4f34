/**
 * A connection to Redis that its users need not wait for. Every command has a soft timeout; once one has
 * passed, or the connection is lost, commands are refused at once instead of each paying the timeout again.
 *
 *                   timeout, loss                    reply to PING, or 'ready' again
 *     connecting -> up ------------> down ------------------------------> returning -> up
 *                                     ^------------ catching up failed ------|
 *
 * The way back needs no polling: after a timeout one PING stays on the wire, and its reply says that the
 * server answers again; after a loss ioredis reconnects by itself. Before the link is up again, its user
 * catches up (`onReturn`).
 *
 * Commands sent before a loss may still be in the old connection's buffer at the server and could run after
 * what the new connection sends. So the old connection is killed by its id before anything else, if the
 * server is the same one.
 */
import { Redis } from 'ioredis';
import type { RedisOptions } from 'ioredis';
import { CacheError } from './errors.ts';

/** An ioredis client, which the caller closes, or what to make one from: options or a `redis://` URL. */
export type RedisConnection = Redis | RedisOptions | string;

/** Sends commands and waits for the replies, within the link's timeout. */
export type Send = <T>(command: (client: Redis) => Promise<T>) => Promise<T>;

export interface RedisLinkOptions {
  readonly redis: RedisConnection;
  readonly timeoutMs: number;
  /** Runs before the link is up again. When it rejects, the link stays down and it is tried again. */
  onReturn(send: Send): Promise<void>;
  /** Whether there is something for `onReturn` to do; asked once more before the link is up. */
  owes(): boolean;
  /** Once per outage. */
  onError(error: CacheError): void;
}

/** Why a command was not sent, or has no reply (and may still run). */
export class RedisUnavailable extends Error {
  override readonly name = 'RedisUnavailable';
}

/**
 * A connection that says nothing for this long, with commands waiting, is given up (connections made here).
 */
const SILENCE_MS = 5000;
const CONNECT_TIMEOUT_MS = 5000;
/** A connection that is cut waits this long for the other end. */
const DISCONNECT_TIMEOUT_MS = 100;
const MAX_RETRY_MS = 1000;

const NO_KEY_PREFIX = 'redis.keyPrefix is not supported; use namespace';

const retryDelayMs = (attempt: number): number => Math.min(MAX_RETRY_MS, 25 * 2 ** Math.min(attempt, 10));

/** Nothing is queued while there is no connection: stale commands must not run later. */
const OWN_OPTIONS = {
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  maxRetriesPerRequest: 0,
  replyMapping: 'legacy',
} as const satisfies RedisOptions;

const OWN_DEFAULTS = {
  disconnectTimeout: DISCONNECT_TIMEOUT_MS,
  connectTimeout: CONNECT_TIMEOUT_MS,
  socketTimeout: SILENCE_MS,
  retryStrategy: retryDelayMs,
} satisfies RedisOptions;

/** Makes a client from options or a URL. */
export function connectRedis(redis: RedisOptions | string): Redis {
  if (typeof redis === 'string') return new Redis(redis, { ...OWN_DEFAULTS, ...OWN_OPTIONS });
  return new Redis({ ...OWN_DEFAULTS, ...redis, ...OWN_OPTIONS });
}

/** A second connection to the same server. */
export function duplicateRedis(client: Redis): Redis {
  return client.duplicate({ ...OWN_DEFAULTS, ...OWN_OPTIONS, lazyConnect: false });
}

export function isRedisClient(redis: RedisConnection): redis is Redis {
  return typeof redis === 'object' && 'sendCommand' in redis;
}

/** @throws {TypeError} or {RangeError} unless `redis` is something to connect with. */
export function checkRedis(redis: unknown): void {
  if (typeof redis === 'string') {
    if (/[?&]keyPrefix=/.test(redis)) throw new RangeError(NO_KEY_PREFIX);
    return;
  }
  if (typeof redis !== 'object' || redis === null) {
    throw new TypeError('redis must be an ioredis client, its options or a URL');
  }
  const options = isRedisClient(redis) ? redis.options : (redis as RedisOptions);
  if (options.keyPrefix !== undefined && options.keyPrefix !== '') {
    throw new RangeError(NO_KEY_PREFIX);
  }
}

export class RedisLink {
  readonly client: Redis;
  readonly #owned: boolean;
  readonly #timeoutMs: number;
  readonly #onReturn: RedisLinkOptions['onReturn'];
  readonly #owes: RedisLinkOptions['owes'];
  readonly #onError: RedisLinkOptions['onError'];
  readonly #firstTry: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly #onReady = (): void => void this.#comeBack();
  readonly #onClose = (): void => this.#lose(this.#lastError);
  readonly #onClientError = (error: Error): void => {
    this.#lastError = error;
  };
  readonly counters = { timeouts: 0, refused: 0, outages: 0 };
  #state: 'connecting' | 'up' | 'down' | 'returning' | 'closed' = 'connecting';
  #lastError: Error | undefined;
  #probing = false;
  #retry: NodeJS.Timeout | undefined;
  #retries = 0;
  /** Of the last way back; an earlier one that ends late changes nothing. */
  #turn = 0;
  #identity: { readonly server: string; readonly connection: number } | undefined;

  constructor(options: RedisLinkOptions) {
    this.#timeoutMs = options.timeoutMs;
    this.#onReturn = options.onReturn;
    this.#owes = options.owes;
    this.#onError = options.onError;
    this.#owned = !isRedisClient(options.redis);
    this.client = isRedisClient(options.redis) ? options.redis : connectRedis(options.redis);
    this.client.on('ready', this.#onReady);
    this.client.on('close', this.#onClose);
    // Our own client's errors are reported as outages; without a listener ioredis prints them.
    if (this.#owned) this.client.on('error', this.#onClientError);
    const giveUp = setTimeout(() => this.#firstTry.resolve(), this.#timeoutMs);
    giveUp.unref();
    void this.#firstTry.promise.then(() => clearTimeout(giveUp));
    if (this.client.status === 'ready') void this.#comeBack();
    else if (this.client.status === 'wait') this.client.connect().catch(() => this.#onClose());
    else if (this.client.status === 'end') this.#lose(undefined);
  }

  /** Whether a command would be sent. */
  get available(): boolean {
    return this.#state === 'up';
  }

  /**
   * While the first connection is being made, waits for it within the timeout.
   *
   * @throws {RedisUnavailable} when there is no connection or no reply in time; what Redis replied, if an
   * error.
   */
  async run<T>(command: (client: Redis) => Promise<T>): Promise<T> {
    if (this.#state === 'connecting') await this.#firstTry.promise;
    if (this.#state !== 'up') {
      this.counters.refused++;
      throw new RedisUnavailable('Redis cannot be reached', { cause: this.#lastError });
    }
    return this.#send(command);
  }

  /**
   * The link goes down and catches up, as if the connection had been lost: a write may not have been done.
   */
  distrust(cause: unknown): void {
    if (this.#state === 'up') this.#lose(cause);
    this.#probe();
  }

  /** Closes the client if it was made here. */
  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    const quit = this.#owned && this.#state === 'up';
    this.#state = 'closed';
    this.#firstTry.resolve();
    clearTimeout(this.#retry);
    this.client.off('ready', this.#onReady);
    this.client.off('close', this.#onClose);
    if (!this.#owned) return;
    try {
      if (quit) await this.#within(this.client.quit());
    } catch {
      // No reply: the connection is cut instead.
    }
    this.client.disconnect();
  }

  readonly #send: Send = async (command) => {
    try {
      return await this.#within(command(this.client));
    } catch (error) {
      if (error instanceof RedisUnavailable) {
        this.counters.timeouts++;
        this.#lose(error);
        this.#probe();
        throw error;
      }
      if (isReplyError(error)) throw error;
      throw new RedisUnavailable('the connection to Redis was lost', { cause: error });
    }
  };

  async #within<T>(reply: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        // Timers run before sockets are read: after a long task the reply may be here, unread. One more turn
        // reads it.
        setImmediate(() => reject(new RedisUnavailable(`no reply within ${this.#timeoutMs} ms`)));
      }, this.#timeoutMs);
    });
    try {
      return await Promise.race([reply, timeout]);
    } finally {
      clearTimeout(timer);
    }
  }

  #lose(cause: unknown): void {
    if (this.#state === 'closed' || this.#state === 'down') return;
    const wasReturning = this.#state === 'returning';
    this.#state = 'down';
    this.#firstTry.resolve();
    if (wasReturning) return;
    this.counters.outages++;
    this.#onError(new CacheError('ERR_PERF_CACHE_TIER', 'Redis cannot be reached', { cause }));
  }

  #probe(): void {
    if (this.#probing || this.client.status !== 'ready') return;
    this.#probing = true;
    const answered = (): void => {
      this.#probing = false;
      void this.#comeBack();
    };
    const failed = (): void => {
      this.#probing = false;
    };
    this.client.ping().then(answered, failed);
  }

  async #comeBack(): Promise<void> {
    if (this.#state === 'closed' || this.#state === 'up' || this.#state === 'returning') return;
    this.#state = 'returning';
    const turn = ++this.#turn;
    clearTimeout(this.#retry);
    try {
      await this.#fence();
      do {
        await this.#onReturn(this.#send);
        // A loss meanwhile has set the state to down.
        if (turn !== this.#turn || !this.#is('returning')) return;
      } while (this.#owes());
      this.#state = 'up';
      this.#retries = 0;
      this.#lastError = undefined;
      this.#firstTry.resolve();
    } catch (error) {
      if (turn !== this.#turn || this.#is('closed')) return;
      this.#lastError = error as Error;
      this.#state = 'down';
      this.#firstTry.resolve();
      clearTimeout(this.#retry);
      this.#retry = setTimeout(() => this.#probe(), retryDelayMs(this.#retries++));
      this.#retry.unref();
    }
  }

  /** Ends the connection that was lost, on the server's side. */
  async #fence(): Promise<void> {
    const before = this.#identity;
    try {
      const [connection, info] = await this.#send((client) =>
        Promise.all([client.client('ID'), client.info('server')]),
      );
      const server = /run_id:(\w+)/.exec(info)?.[1];
      this.#identity = server === undefined ? undefined : { server, connection };
      if (before === undefined || this.#identity === undefined) return;
      if (before.server !== server || before.connection === connection) return;
      await this.#send((client) => client.client('KILL', 'ID', before.connection));
    } catch (error) {
      // A server that does not allow these commands is used without the fence.
      if (!isReplyError(error)) throw error;
    }
  }

  #is(state: string): boolean {
    return this.#state === state;
  }
}

export function isReplyError(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError';
}
