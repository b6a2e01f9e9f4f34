// What agents did: sessions with a summary that can be searched, and their messages, each compressed on its way into one
// SQLite file and read back as it was, byte for byte. A message is numbered when it is accepted, by a clock that never
// goes back (microseconds, or one more than the last number), so messages come back in the order they were given in,
// whatever the writer groups or tries again; those of several processes are ordered by their clocks.
import type { Compressor } from '@perf/compression';
import type { Database } from '@perf/sqlite';
import { canonicalJson } from './canonical-json.ts';
import type { Clock } from './configuration.ts';
import type { StoreWriter } from './store-writer.ts';

export interface Session {
  readonly id: string;
  readonly agent: string;
  /** What `similarSessions` searches: the task, what was tried, how it ended. */
  readonly summary: string;
  /** Default: when it was first described or had its first message. */
  readonly startedAtMs?: number;
  readonly outcome?: 'success' | 'failure';
  /** Anything JSON can say. */
  readonly data?: unknown;
}

export interface RememberedSession extends Session {
  readonly startedAtMs: number;
  readonly messages: number;
}

export interface SimilarSession {
  readonly session: RememberedSession;
  /** BM25 of the summary, higher is more alike; comparable within one answer only. */
  readonly score: number;
}

export interface SimilarSessionsOptions {
  /** Sessions returned at most. Default 5. */
  readonly limit?: number;
  /** Only sessions of this agent. */
  readonly agent?: string;
}

export interface PruneOptions {
  /** Sessions that started longer ago than this go. */
  readonly olderThanMs?: number;
  /** The newest sessions that stay, at most. */
  readonly keepNewest?: number;
}

export interface SessionStats {
  readonly sessions: number;
  readonly messages: number;
  /** Bytes of the messages as they were given, and as they are stored. */
  readonly rawBytes: number;
  readonly storedBytes: number;
}

interface SessionRow {
  readonly ordinal: number;
  readonly id: string;
  readonly agent: string;
  readonly started_at_ms: number;
  readonly outcome: 'success' | 'failure' | null;
  readonly summary: string;
  readonly data: Uint8Array | null;
}

interface MessageRow {
  readonly id: number;
  readonly sequence: number;
  readonly frame: Uint8Array;
}

/** Messages read from the file at a time. */
const PAGE_MESSAGES = 256;
/** What a stored message may decompress to, at most: the compressor's own limit. */
const MAX_MESSAGE_BYTES = 256 * 1024 * 1024;
/** Words of a query that are searched, at most. */
const MAX_QUERY_WORDS = 64;

export class SessionMemory {
  readonly #db: Database;
  readonly #writer: StoreWriter;
  readonly #compressor: Compressor;
  readonly #clock: Clock;
  readonly #statements;
  #lastNumber: number;
  #messages = 0;
  #rawBytes = 0;
  #storedBytes = 0;

  constructor(db: Database, writer: StoreWriter, compressor: Compressor, clock: Clock) {
    this.#db = db;
    this.#writer = writer;
    this.#compressor = compressor;
    this.#clock = clock;
    this.#statements = {
      put: db.prepare(`
        INSERT INTO sessions (id, agent, started_at_ms, outcome, summary, data)
        VALUES (@id, @agent, coalesce(@startedAtMs, @nowMs), @outcome, @summary, @data)
        ON CONFLICT (id) DO UPDATE SET agent = excluded.agent,
          started_at_ms = coalesce(@startedAtMs, started_at_ms), outcome = excluded.outcome, summary = excluded.summary, data = excluded.data`),
      // A message may come before its session is described.
      ensure: db.prepare(`
        INSERT INTO sessions (id, agent, started_at_ms, summary) VALUES (?, '', ?, '') ON CONFLICT (id) DO NOTHING`),
      append: db.prepare(`
        INSERT INTO messages (session, sequence, raw_bytes, frame)
        SELECT ordinal, @sequence, @rawBytes, @frame FROM sessions WHERE id = @session`),
      page: db.prepare<[string, number, number, number, number], MessageRow>(`
        SELECT messages.id, sequence, frame FROM messages JOIN sessions ON sessions.ordinal = messages.session
        WHERE sessions.id = ? AND sequence >= ? AND (sequence > ? OR messages.id > ?)
        ORDER BY sequence, messages.id LIMIT ?`),
      count: db.prepare<[number], number>('SELECT count(*) FROM messages WHERE session = ?').pluck(),
      sessions: db.prepare<[], number>('SELECT count(*) FROM sessions').pluck(),
      totals: db.prepare<[], { messages: number; raw: number; stored: number }>(`
        SELECT count(*) AS messages, coalesce(sum(raw_bytes), 0) AS raw, coalesce(sum(length(frame)), 0) AS stored
        FROM messages`),
    };
    this.#lastNumber =
      db.prepare<[], number>('SELECT coalesce(max(sequence), 0) FROM messages').pluck().get() ?? 0;
    this.#countMessages();
  }

  /** Describes a session, or describes it anew; its messages stay. Resolves when the write is accepted. */
  async remember(session: Session): Promise<void> {
    checkSession(session);
    if (session.data !== undefined) canonicalJson(session.data, 'session.data');
    const data =
      session.data === undefined ? null : this.#compressor.compress(session.data, { kind: 'json' });
    const row = {
      id: session.id,
      agent: session.agent,
      startedAtMs: session.startedAtMs ?? null,
      nowMs: this.#clock.now(),
      outcome: session.outcome ?? null,
      summary: session.summary,
      data,
    };
    await this.#writer.write({
      sizeBytes: 200 + 2 * session.summary.length + (data?.byteLength ?? 0),
      subject: subjectOf(session.id),
      apply: () => void this.#statements.put.run(row),
    });
  }

  /**
   * Adds a message to a session. A string comes back as the same UTF-8 bytes. Resolves when the write is accepted;
   * waits while the queue is full.
   */
  async append(session: string, message: string | Uint8Array): Promise<void> {
    checkId(session);
    if (typeof message !== 'string' && !(message instanceof Uint8Array)) {
      throw new TypeError('message must be a string or bytes');
    }
    const bytes = typeof message === 'string' ? Buffer.from(message, 'utf8') : new Uint8Array(message);
    if (bytes.byteLength > MAX_MESSAGE_BYTES)
      throw new RangeError(`message must not be larger than ${MAX_MESSAGE_BYTES} bytes`);
    const acceptedAtMs = this.#clock.now();
    const sequence = Math.max(this.#lastNumber + 1, Math.floor(acceptedAtMs * 1000));
    this.#lastNumber = sequence;
    let frame: Uint8Array | undefined;
    await this.#writer.write({
      sizeBytes: 200 + bytes.byteLength,
      subject: subjectOf(session),
      apply: () => {
        frame ??= this.#compressor.compress(bytes, { kind: 'bytes' });
        this.#statements.ensure.run(session, acceptedAtMs);
        this.#statements.append.run({ session, sequence, rawBytes: bytes.byteLength, frame });
      },
      committed: () => {
        this.#messages += 1;
        this.#rawBytes += bytes.byteLength;
        this.#storedBytes += frame?.byteLength ?? 0;
      },
    });
  }

  /**
   * The messages of a session as they were given, in order; none when there is no such session. Flushes first, so that
   * every accepted message is there; reads in pages, so that a long session does not have to fit into memory.
   * @throws {SystemError} ERR_PERF_SYSTEM_WRITE_FAILED when a message of this session could not be written yet.
   */
  async *messages(session: string): AsyncGenerator<Uint8Array> {
    checkId(session);
    await this.#writer.settle(subjectOf(session));
    let sequence = 0;
    let id = 0;
    for (;;) {
      const page = this.#statements.page.all(session, sequence, sequence, id, PAGE_MESSAGES);
      for (const row of page) {
        yield this.#compressor.decompress<Uint8Array>(row.frame);
        ({ sequence, id } = row);
      }
      if (page.length < PAGE_MESSAGES) return;
    }
  }

  /** Sessions whose summary shares words with the text, most alike first (BM25, rare words count more). */
  async similar(text: string, { limit = 5, agent }: SimilarSessionsOptions = {}): Promise<SimilarSession[]> {
    if (!Number.isInteger(limit) || limit < 1) throw new RangeError('limit must be an integer of at least 1');
    if (typeof text !== 'string') throw new TypeError('text must be a string');
    if (agent !== undefined && typeof agent !== 'string') throw new TypeError('agent must be a string');
    const words = [...new Set(text.toLowerCase().match(/[\p{L}\p{N}_]+/gu))].slice(0, MAX_QUERY_WORDS);
    if (words.length === 0) return [];
    await this.#writer.settle();
    const rows = this.#db
      .prepare<unknown[], SessionRow & { score: number }>(
        `SELECT sessions.*, -bm25(session_text) AS score FROM session_text
         JOIN sessions ON sessions.ordinal = session_text.rowid
         WHERE session_text MATCH ? ${agent === undefined ? '' : 'AND agent = ?'}
         ORDER BY score DESC, sessions.started_at_ms DESC LIMIT ?`,
      )
      .all(words.map((word) => `"${word}"`).join(' OR '), ...(agent === undefined ? [] : [agent]), limit);
    return rows.map(({ score, ...row }) => ({ session: this.#toSession(row), score }));
  }

  /** Deletes sessions with their messages; resolves to how many. */
  async prune({ olderThanMs, keepNewest }: PruneOptions): Promise<number> {
    if (olderThanMs === undefined && keepNewest === undefined) {
      throw new TypeError('olderThanMs or keepNewest must be given');
    }
    if (olderThanMs !== undefined && !(olderThanMs >= 0))
      throw new RangeError('olderThanMs must be at least 0');
    if (keepNewest !== undefined && !(Number.isInteger(keepNewest) && keepNewest >= 0)) {
      throw new RangeError('keepNewest must be an integer of at least 0');
    }
    await this.#writer.settle();
    const doomed = this.#db
      .prepare<[number, number], number>(
        `SELECT ordinal FROM sessions WHERE started_at_ms < ? OR ordinal NOT IN (
           SELECT ordinal FROM sessions ORDER BY started_at_ms DESC, ordinal DESC LIMIT ?)`,
      )
      .pluck()
      .all(olderThanMs === undefined ? -Infinity : this.#clock.now() - olderThanMs, keepNewest ?? -1);
    let deleted = 0;
    const remove = this.#db.prepare<[number]>('DELETE FROM sessions WHERE ordinal = ?');
    // One session a write: the writer groups them so that no transaction holds up the event loop for long.
    for (const ordinal of doomed) {
      let changes = 0;
      await this.#writer.write({
        sizeBytes: 200,
        subject: PRUNING,
        apply: () => {
          ({ changes } = remove.run(ordinal));
        },
        committed: () => {
          deleted += changes;
        },
      });
    }
    await this.#writer.settle(PRUNING);
    this.#countMessages();
    return deleted;
  }

  stats(): SessionStats {
    return {
      sessions: this.#statements.sessions.get() ?? 0,
      messages: this.#messages,
      rawBytes: this.#rawBytes,
      storedBytes: this.#storedBytes,
    };
  }

  #countMessages(): void {
    const totals = this.#statements.totals.get();
    this.#messages = totals?.messages ?? 0;
    this.#rawBytes = totals?.raw ?? 0;
    this.#storedBytes = totals?.stored ?? 0;
  }

  #toSession(row: SessionRow): RememberedSession {
    return {
      id: row.id,
      agent: row.agent,
      summary: row.summary,
      startedAtMs: row.started_at_ms,
      ...(row.outcome === null ? {} : { outcome: row.outcome }),
      ...(row.data === null ? {} : { data: this.#compressor.decompress(row.data) }),
      messages: this.#statements.count.get(row.ordinal) ?? 0,
    };
  }
}

const subjectOf = (session: string): string => `session ${session}`;
const PRUNING = 'pruning';

function checkId(session: string): void {
  if (typeof session !== 'string' || session === '')
    throw new TypeError('session must be a non-empty string');
}

function checkSession(session: Session): void {
  if (typeof session !== 'object' || session === null) throw new TypeError('session must be an object');
  const { id, agent, summary, startedAtMs, outcome } = session;
  if (typeof id !== 'string' || id === '') throw new TypeError('session.id must be a non-empty string');
  if (typeof agent !== 'string') throw new TypeError('session.agent must be a string');
  if (typeof summary !== 'string') throw new TypeError('session.summary must be a string');
  if (
    startedAtMs !== undefined &&
    !(typeof startedAtMs === 'number' && startedAtMs >= 0 && startedAtMs < Infinity)
  )
    throw new RangeError('session.startedAtMs must be milliseconds since the epoch');
  if (outcome !== undefined && outcome !== 'success' && outcome !== 'failure')
    throw new RangeError("session.outcome must be 'success' or 'failure'");
}
