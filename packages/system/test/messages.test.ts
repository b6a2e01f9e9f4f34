import { describe, expect, it } from 'vitest';
import { FakeClock, collect, openSystem, scratchFolder, texts } from './opened-system.ts';

describe('recordMessage and messages', () => {
  it('give back strings and bytes in the order they were recorded', async () => {
    const system = await openSystem();
    await system.recordMessage('s', 'grüße 👋 \u0000');
    await system.recordMessage('s', Uint8Array.of(0, 255, 128));
    await system.recordMessage('s', '');
    await system.recordMessage('t', 'elsewhere');
    const [first, second, third] = await collect(system.messages('s'));
    expect(first?.toString('utf8')).toBe('grüße 👋 \u0000');
    expect([...(second ?? [])]).toEqual([0, 255, 128]);
    expect(third?.byteLength).toBe(0);
    expect(await texts(system.messages('t'))).toEqual(['elsewhere']);
    expect(await texts(system.messages('nobody'))).toEqual([]);
  });

  it('keep the bytes as they were when the message was handed over', async () => {
    const system = await openSystem({ lingerMs: 60_000 });
    const buffer = Buffer.from('before');
    const view = buffer.subarray(0, 6);
    await system.recordMessage('s', view);
    buffer.write('after!');
    expect(await texts(system.messages('s'))).toEqual(['before']);
  });

  it('give many messages back page by page, however the clock stands', async () => {
    const clock = new FakeClock();
    const system = await openSystem({ clock });
    const expected: string[] = [];
    for (let n = 0; n < 700; n++) {
      // The clock stands still, and once goes back an hour.
      if (n === 300) clock.nowMs -= 3_600_000;
      expected.push(`message ${n}`);
      void system.recordMessage('s', `message ${n}`);
    }
    expect(await texts(system.messages('s'))).toEqual(expected);
  });

  it('go on after a reopen where they ended, even if the clock went back', async () => {
    const dir = scratchFolder();
    const clock = new FakeClock();
    const first = await openSystem({ dir, clock });
    await first.recordMessage('s', 'one');
    await first.shutdown();
    clock.nowMs -= 86_400_000;
    const second = await openSystem({ dir, clock });
    await second.recordMessage('s', 'two');
    expect(await texts(second.messages('s'))).toEqual(['one', 'two']);
    expect(second.getStatistics().sessions).toMatchObject({ sessions: 1, messages: 2, rawBytes: 6 });
  });

  it('stop reading when the reader stops', async () => {
    const system = await openSystem();
    for (let n = 0; n < 3; n++) await system.recordMessage('s', `${n}`);
    for await (const message of system.messages('s')) {
      expect(Buffer.from(message).toString()).toBe('0');
      break;
    }
    expect(await texts(system.messages('s'))).toHaveLength(3);
  });

  it('end with ERR_PERF_SYSTEM_CLOSED when the system is shut down while they are read', async () => {
    const system = await openSystem();
    for (let n = 0; n < 3; n++) await system.recordMessage('s', `${n}`);
    const reading = system.messages('s');
    await reading.next();
    await system.shutdown();
    await expect(reading.next()).rejects.toMatchObject({ code: 'ERR_PERF_SYSTEM_CLOSED' });
  });

  it('refuse what is no session and no message', async () => {
    const system = await openSystem();
    await expect(system.recordMessage('', 'x')).rejects.toThrow(TypeError);
    await expect(system.recordMessage(4 as never, 'x')).rejects.toThrow(TypeError);
    await expect(system.recordMessage('s', { text: 'x' } as never)).rejects.toThrow(TypeError);
    await expect(collect(system.messages(''))).rejects.toThrow(TypeError);
  });

  it('count what is stored and what it was', async () => {
    const system = await openSystem();
    const text = 'the same words again and again '.repeat(100);
    await system.recordMessage('s', text);
    await system.flush();
    const { sessions, writes } = system.getStatistics();
    expect(sessions).toMatchObject({ sessions: 1, messages: 1, rawBytes: text.length });
    expect(sessions.storedBytes).toBeLessThan(text.length / 5);
    expect(writes).toMatchObject({ queued: 0, completed: 1, failedWrites: 0 });
  });
});

describe('rememberSession', () => {
  const session = {
    id: 's1',
    agent: 'fixer',
    summary: 'Fixed the flaky login test by waiting for the token',
    startedAtMs: 5,
    outcome: 'success' as const,
    data: { files: ['login.ts'] },
  };

  it('makes a session that similarSessions finds, with everything it was described by', async () => {
    const system = await openSystem();
    await system.rememberSession(session);
    await system.recordMessage('s1', 'hello');
    const [found] = await system.similarSessions('login token');
    expect(found?.session).toEqual({ ...session, messages: 1 });
    expect(found?.score).toBeGreaterThan(0);
  });

  it('describes a session anew and keeps its messages and its start', async () => {
    const clock = new FakeClock();
    const system = await openSystem({ clock });
    await system.recordMessage('s2', 'first');
    const startedAtMs = clock.nowMs;
    clock.nowMs += 1000;
    await system.rememberSession({ id: 's2', agent: 'a', summary: 'old words' });
    await system.rememberSession({ id: 's2', agent: 'b', summary: 'new phrase' });
    expect(await system.similarSessions('old words')).toEqual([]);
    expect((await system.similarSessions('phrase'))[0]?.session).toEqual({
      id: 's2',
      agent: 'b',
      summary: 'new phrase',
      startedAtMs,
      messages: 1,
    });
  });

  it.each([
    [null],
    [{ ...session, id: '' }],
    [{ ...session, agent: 1 }],
    [{ ...session, summary: undefined }],
    [{ ...session, startedAtMs: Number.NaN }],
    [{ ...session, outcome: 'so so' }],
    [{ ...session, data: () => 1 }],
    [{ ...session, data: 1n }],
  ])('refuses %o', async (wrong) => {
    const system = await openSystem();
    await expect(system.rememberSession(wrong as never)).rejects.toThrow(/session/);
    await system.flush();
    expect(system.getStatistics().sessions.sessions).toBe(0);
  });
});

describe('similarSessions', () => {
  it('puts the session that shares the rarer words first, within the limit and the agent', async () => {
    const system = await openSystem();
    const remember = (id: string, agent: string, summary: string): Promise<void> =>
      system.rememberSession({ id, agent, summary });
    await remember('1', 'a', 'fix the build of the parser');
    await remember('2', 'a', 'fix the build again');
    await remember('3', 'b', 'fix the docs of the parser grammar');
    const idsOf = async (...args: Parameters<typeof system.similarSessions>): Promise<string[]> =>
      (await system.similarSessions(...args)).map(({ session }) => session.id);
    expect(await idsOf('parser grammar')).toEqual(['3', '1']);
    expect(await idsOf('fix', { limit: 2 })).toHaveLength(2);
    expect(await idsOf('parser', { agent: 'a' })).toEqual(['1']);
    expect(await idsOf('')).toEqual([]);
    expect(await idsOf('!?')).toEqual([]);
    // Words of the query language are words like any other.
    expect(await idsOf('NOT "AND* (grammar')).toEqual(['3']);
  });

  it('refuses a wrong limit and what is not text', async () => {
    const system = await openSystem();
    await expect(system.similarSessions('x', { limit: 0 })).rejects.toThrow(RangeError);
    await expect(system.similarSessions(3 as never)).rejects.toThrow(TypeError);
    await expect(system.similarSessions('x', { agent: 3 as never })).rejects.toThrow(TypeError);
  });
});

describe('pruneSessions', () => {
  it('deletes what is too old or too many, with the messages, and nothing else', async () => {
    const clock = new FakeClock();
    const system = await openSystem({ clock });
    for (let n = 0; n < 10; n++) {
      await system.rememberSession({
        id: `s${n}`,
        agent: 'a',
        summary: `run ${n}`,
        startedAtMs: clock.nowMs,
      });
      await system.recordMessage(`s${n}`, `message of ${n}`);
      clock.nowMs += 1000;
    }
    expect(await system.pruneSessions({ olderThanMs: 7000 })).toBe(3);
    expect(await texts(system.messages('s2'))).toEqual([]);
    expect(await texts(system.messages('s3'))).toEqual(['message of 3']);
    expect(await system.pruneSessions({ keepNewest: 2 })).toBe(5);
    expect(system.getStatistics().sessions).toMatchObject({ sessions: 2, messages: 2 });
    expect(await system.similarSessions('run', { limit: 20 })).toHaveLength(2);
    expect(await system.pruneSessions({ keepNewest: 2, olderThanMs: 1e9 })).toBe(0);
    expect(await system.pruneSessions({ keepNewest: 0 })).toBe(2);
    expect(system.getStatistics().sessions).toEqual({
      sessions: 0,
      messages: 0,
      rawBytes: 0,
      storedBytes: 0,
    });
  });

  it('refuses to guess what to delete', async () => {
    const system = await openSystem();
    await expect(system.pruneSessions({})).rejects.toThrow(TypeError);
    await expect(system.pruneSessions({ olderThanMs: -1 })).rejects.toThrow(RangeError);
    await expect(system.pruneSessions({ keepNewest: 1.5 })).rejects.toThrow(RangeError);
  });
});
