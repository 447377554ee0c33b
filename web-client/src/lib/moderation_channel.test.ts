import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Told } from '../generated/wire';
import type { ChannelStatus } from './channel_status';
import { ChannelError } from './errors';
import { ModerationChannel } from './moderation_channel';
import { FakeSocket, FakeStorage, FakeTokens, START, at, welcome } from './testing/fakes';

beforeEach(() => vi.useFakeTimers({ now: Date.parse(START) }));
afterEach(() => vi.useRealTimers());

function setUp(storage: FakeStorage | null = new FakeStorage()) {
  const sockets: FakeSocket[] = [];
  const events: Told[] = [];
  const statuses: ChannelStatus[] = [];
  const proofs: unknown[] = [];
  const tokens = new FakeTokens();
  const window = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: 'visible' });
  const channel = new ModerationChannel({
    sessionId: 's1',
    key: {
      proof: (subject) => {
        proofs.push(subject);
        return Promise.resolve(`proof-${proofs.length}`);
      },
    },
    tokens,
    origin: 'https://h.example',
    storage,
    random: () => 0.999,
    wakeUps: { window, document: document as unknown as Document },
    createSocket: (url, protocol) => {
      const socket = new FakeSocket(url, protocol);
      sockets.push(socket);
      return socket;
    },
    handlers: {
      onEvent: (event) => events.push(event),
      onStatus: (status) => statuses.push(status),
    },
  });
  const socket = () => sockets.at(-1) ?? new FakeSocket('', '');
  const hello = async () => {
    socket().says({
      type: 'hello',
      nonce: `nonce-${sockets.length}`,
      version: 'cabildo.v1',
      server_time: new Date().toISOString(),
    });
    await vi.advanceTimersByTimeAsync(0);
  };
  const enter = async (more = {}) => {
    await vi.advanceTimersByTimeAsync(0);
    await hello();
    socket().says(welcome(more));
  };
  return {
    channel,
    sockets,
    socket,
    hello,
    enter,
    events,
    statuses,
    proofs,
    tokens,
    storage,
    window,
  };
}

function chat(seq: number): object {
  return { type: 'chat', seq, at: at(seq), user_id: 'ben', name: 'BEN', text: `line ${seq}` };
}

describe('the handshake', () => {
  it('authenticates with the nonce and the channel address without its query', async () => {
    const { channel, socket, hello, proofs, statuses } = setUp();
    channel.connect();
    expect(socket().url).toBe('wss://h.example/moderation?session_id=s1');
    expect(socket().protocol).toBe('cabildo.v1');
    await hello();
    expect(socket().sent).toEqual([{ type: 'authenticate', token: 'token-0', dpop: 'proof-1' }]);
    expect(proofs[0]).toEqual({
      method: 'GET',
      url: 'https://h.example/moderation',
      accessToken: 'token-0',
      nonce: 'nonce-1',
      nowMs: Date.parse(START),
    });
    socket().says(welcome());
    expect(statuses.map(({ phase }) => phase)).toEqual(['connecting', 'open']);
  });

  it('gives a silent server up and tries again with growing pauses', async () => {
    const { channel, sockets } = setUp();
    channel.connect();
    const openedMs: number[] = [];
    for (let expected = 1; expected <= 8; expected += 1) {
      while (sockets.length < expected) await vi.advanceTimersByTimeAsync(50);
      openedMs.push(Date.now());
      sockets.at(-1)?.closes(1006);
    }
    const pauses = openedMs.slice(1).map((ms, index) => ms - (openedMs[index] ?? 0));
    expect(pauses[0]).toBeLessThanOrEqual(500);
    for (const [index, pause] of pauses.slice(1).entries()) {
      expect(pause).toBeGreaterThan(Math.min(5_000, 250 * 2 ** index) * 0.5);
      expect(pause).toBeLessThanOrEqual(5_000 + 50);
    }
    expect(pauses.at(-1)).toBeGreaterThan(4_000);
  });

  it('does not call a server in a loop that welcomes and hangs up', async () => {
    const { channel, sockets, enter, socket } = setUp();
    channel.connect();
    for (let round = 0; round < 6; round += 1) {
      const before = sockets.length;
      await enter();
      socket().closes(1011);
      while (sockets.length === before) await vi.advanceTimersByTimeAsync(100);
    }
    expect(Date.now() - Date.parse(START)).toBeGreaterThan(5_000);
  });
});

describe('resuming', () => {
  it('spreads the first attempts, so that not everybody calls at once', async () => {
    const { channel, sockets, socket, enter } = setUp();
    channel.connect();
    await enter();
    await vi.advanceTimersByTimeAsync(5_000);
    socket().closes(1006);
    await vi.advanceTimersByTimeAsync(450);
    expect(sockets).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(50);
    expect(sockets).toHaveLength(2);
  });

  it('does not keep those waiting who are to be heard', async () => {
    const { channel, sockets, socket, enter } = setUp();
    channel.connect();
    await enter();
    channel.setWatchful(true);
    socket().closes(1006);
    await vi.advanceTimersByTimeAsync(0);
    expect(sockets).toHaveLength(2);
  });

  it('continues after the last event seen, and at once for a moderator', async () => {
    const { channel, sockets, socket, enter, hello, events, statuses } = setUp();
    channel.connect();
    await enter({ you: { ...welcome().you, roles: ['moderator'] } });
    socket().says(chat(11));
    socket().says(chat(12));
    await vi.advanceTimersByTimeAsync(5_000);
    socket().closes(1006);
    expect(statuses.at(-1)?.phase).toBe('reconnecting');
    await vi.advanceTimersByTimeAsync(0);
    expect(sockets).toHaveLength(2);
    await hello();
    expect(socket().sent).toEqual([{ type: 'resume', resume_token: 'resume-1', last_seq: 12 }]);
    socket().says(welcome({ resumed: true, seq: 14, resume_token: 'resume-2' }));
    for (const seq of [12, 13, 14, 14, 15]) socket().says(chat(seq));
    expect(events.map(({ seq }) => seq)).toEqual([11, 12, 13, 14, 15]);
    expect(statuses.at(-1)?.phase).toBe('open');
  });

  it('asks again for what is missing when a number is skipped', async () => {
    const { channel, sockets, socket, enter, hello, events } = setUp();
    channel.connect();
    await enter();
    await vi.advanceTimersByTimeAsync(5_000);
    socket().says(chat(11));
    socket().says(chat(13));
    expect(sockets[0]?.closed).toBe(4000);
    await vi.advanceTimersByTimeAsync(500);
    await hello();
    expect(socket().last('resume')).toMatchObject({ last_seq: 11 });
    expect(events.map(({ seq }) => seq)).toEqual([11]);
  });

  it('survives a reload, and forgets when the person leaves', async () => {
    const storage = new FakeStorage();
    const first = setUp(storage);
    first.channel.connect();
    await first.enter();
    first.socket().says(chat(11));
    const second = setUp(storage);
    second.channel.connect();
    await second.hello();
    expect(second.socket().last('resume')).toMatchObject({ last_seq: 11 });
    second.socket().says(welcome({ resumed: true, seq: 11 }));
    second.channel.leave();
    expect(storage.values.size).toBe(0);
    expect(second.channel.status).toEqual({ phase: 'closed', reason: 'left', code: null });
  });

  it('authenticates anew, with the token it has, when resuming is refused', async () => {
    const storage = new FakeStorage();
    storage.setItem('cabildo.resume.s1', '{"resume_token":"old","last_seq":3}');
    const { channel, sockets, socket, hello, events, tokens } = setUp(storage);
    channel.connect();
    await hello();
    socket().says({ type: 'error', code: 'TOKEN_INVALID', message: 'nothing to resume' });
    socket().closes(4401);
    await vi.advanceTimersByTimeAsync(500);
    await hello();
    expect(sockets.map(({ sent }) => sent.map(({ type }) => type))).toEqual([
      ['resume'],
      ['authenticate'],
    ]);
    expect(tokens.renewals).toBe(0);
    socket().says(welcome({ seq: 40 }));
    socket().says(chat(41));
    expect(events.map(({ seq }) => seq)).toEqual([41]);
  });
});

describe('requests', () => {
  it('are settled by their own answers', async () => {
    const { channel, socket, enter } = setUp();
    channel.connect();
    await enter();
    const one = channel.request({ type: 'request_speech', kind: 'normal' });
    const two = channel.request({ type: 'end_speech' });
    const [a, b] = socket().sent.slice(-2);
    socket().says({ type: 'error', ref: b?.id, code: 'NOT_YOUR_TURN', message: 'no' });
    socket().says({ type: 'ack', ref: a?.id, request_id: 'r1' });
    expect(await one).toMatchObject({ request_id: 'r1' });
    await expect(two).rejects.toMatchObject({ code: 'NOT_YOUR_TURN' });
  });

  it('are answered once their own events have come, or the connection is lost', async () => {
    const { channel, socket, enter } = setUp();
    channel.connect();
    await enter();
    const answered: string[] = [];
    const start = async () => {
      await channel.request({ type: 'start_recording' });
      answered.push('start');
      void channel.request({ type: 'pause_recording' }).then(() => answered.push('pause'));
    };
    void start();
    const seq = channel.lastSeq + 2;
    socket().says({ type: 'ack', ref: socket().last('start_recording')?.id, last_seq: seq });
    socket().says(chat(seq - 1));
    await vi.advanceTimersByTimeAsync(0);
    expect(answered).toEqual([]);
    socket().says(chat(seq));
    await vi.advanceTimersByTimeAsync(0);
    expect(answered).toEqual(['start']);
    expect(socket().last('pause_recording')).toMatchObject({ seen: seq });
    socket().says({ type: 'ack', ref: socket().last('pause_recording')?.id, last_seq: seq + 1 });
    socket().closes(1006);
    await vi.advanceTimersByTimeAsync(0);
    expect(answered).toEqual(['start', 'pause']);
  });

  it('tell what their sender had seen when they decide something', async () => {
    const { channel, socket, enter } = setUp();
    channel.connect();
    await enter();
    socket().says(chat(channel.lastSeq + 1));
    for (const type of ['stop_turn', 'open_queue', 'start_recording'] as const) {
      void channel.request({ type }).catch(() => undefined);
      expect(socket().last(type)).toMatchObject({ seen: channel.lastSeq });
    }
    void channel.request({ type: 'chat', text: 'hi' }).catch(() => undefined);
    expect(socket().last('chat')).not.toHaveProperty('seen');
  });

  it('wait for an outcome that the server does not know yet', async () => {
    const { channel, socket, enter } = setUp();
    channel.connect();
    await enter();
    const answer = channel.request({ type: 'stop_turn' }, 1_000);
    const ref = socket().sent.at(-1)?.id;
    socket().says({ type: 'pending', ref });
    await vi.advanceTimersByTimeAsync(5_000);
    socket().says({ type: 'ack', ref });
    expect(await answer).toMatchObject({ type: 'ack' });
  });

  it('fail when nobody answers, when the connection is lost and when there is none', async () => {
    const { channel, socket, enter } = setUp();
    const codes: string[] = [];
    const ask = () =>
      channel.request({ type: 'open_queue' }).catch((e: unknown) => {
        codes.push(e instanceof ChannelError ? e.code : 'other');
      });
    await ask();
    channel.connect();
    await enter();
    const late = channel.request({ type: 'open_queue' }, 500).catch((e: unknown) => {
      codes.push(e instanceof ChannelError ? e.code : 'other');
    });
    await vi.advanceTimersByTimeAsync(500);
    await late;
    const lost = ask();
    socket().closes(1006);
    await lost;
    expect(codes).toEqual(['NOT_CONNECTED', 'TIMED_OUT', 'CONNECTION_LOST']);
  });
});

describe('tokens', () => {
  it('are renewed in band with the nonce of the warning', async () => {
    const { channel, socket, enter, proofs, storage } = setUp();
    channel.connect();
    await enter();
    socket().says({ type: 'token_expiring', expires_at: at(60_000), nonce: 'n9' });
    await vi.advanceTimersByTimeAsync(0);
    expect(socket().last('renew_token')).toMatchObject({ token: 'token-1' });
    expect(proofs.at(-1)).toMatchObject({ nonce: 'n9', accessToken: 'token-1' });
    socket().says({
      type: 'token_renewed',
      expires_at: at(900_000),
      resume_token: 'resume-9',
      ice_servers: [],
    });
    expect(storage?.getItem('cabildo.resume.s1')).toContain('resume-9');
  });

  it('are made anew after 4401, and after too many refusals the person signs in', async () => {
    const { channel, sockets, socket, enter, hello, tokens } = setUp();
    channel.connect();
    await enter();
    for (let refusals = 1; refusals <= 3; refusals += 1) {
      const before = sockets.length;
      socket().closes(4401);
      while (sockets.length === before) await vi.advanceTimersByTimeAsync(100);
      await hello();
      expect(socket().last('authenticate')?.token).toBe(`token-${refusals}`);
    }
    expect(tokens.renewals).toBe(3);
    socket().closes(4401);
    expect(channel.status).toEqual({
      phase: 'closed',
      reason: 'sign_in_required',
      code: null,
    });
  });
});

describe('the end', () => {
  it.each([
    [4403, 'forbidden'],
    [4404, 'not_found'],
    [4409, 'replaced'],
    [4410, 'over'],
  ])('%i is final: %s', async (code, reason) => {
    const { channel, sockets, socket, enter } = setUp();
    channel.connect();
    await enter();
    socket().closes(code);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(sockets).toHaveLength(1);
    expect(channel.status).toEqual({ phase: 'closed', reason, code: null });
  });
});

it('says what the server said before it closed', async () => {
  const { channel, socket, hello } = setUp();
  channel.connect();
  await hello();
  socket().says({ type: 'error', code: 'PARTICIPANT_LIMIT_REACHED', message: 'full' });
  socket().closes(4403);
  expect(channel.status).toMatchObject({ reason: 'forbidden', code: 'PARTICIPANT_LIMIT_REACHED' });
});

describe('a path that died', () => {
  it('is found by pings', async () => {
    const { channel, sockets, socket, enter } = setUp();
    channel.connect();
    await enter();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(socket().last('ping')).toBeDefined();
    socket().says({ type: 'pong', server_time: at(10_000) });
    await vi.advanceTimersByTimeAsync(10_000 + 7_900);
    expect(sockets).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(200 + 500);
    expect(sockets).toHaveLength(2);
  });

  it('is doubted when the device is online again, and a pause ends at once', async () => {
    const { channel, sockets, socket, enter, window } = setUp();
    channel.connect();
    await enter();
    window.dispatchEvent(new Event('online'));
    expect(socket().all('ping')).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(2_600 + 500);
    expect(sockets).toHaveLength(2);
    for (let lost = 0; lost < 4; lost += 1) {
      socket().closes(1006);
      window.dispatchEvent(new Event('online'));
    }
    expect(sockets).toHaveLength(6);
  });
});
