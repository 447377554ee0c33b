import { describe, expect, it } from 'vitest';
import type { RequestView, Told } from '../generated/wire';
import { chairPresence, meaningOf, textOf } from './announcements';
import type { RoomState } from './room_state';
import { CHAT_LINES_MAX, after, stateOf } from './room_state';
import { movedOrder, myPlace, turnTime } from './room_view';
import { START, at, participant, quorum, request, track, turn, welcome } from './testing/fakes';

type Happening = Told extends infer One
  ? One extends Told
    ? Omit<One, 'seq' | 'at'>
    : never
  : never;

/** The state after these, told one second apart. */
function play(state: RoomState, ...events: Happening[]): RoomState {
  return events.reduce(
    (so_far, event, index) =>
      after(so_far, {
        ...event,
        seq: so_far.describedSeq + 1 + index,
        at: at((index + 1) * 1000),
      }),
    state,
  );
}

const room = () => stateOf(welcome());
const serverMs = (ms: number) => Date.parse(START) + ms;

describe('turns', () => {
  it('count locally from the server time they were told of, and go below zero', () => {
    const state = stateOf(
      welcome({ floor: { ...welcome().floor, turn: turn('t', 'ben', { used_ms: 100_000 }) } }),
    );
    const current = state.floor.turn;
    expect(current && turnTime(current, serverMs(0))).toMatchObject({
      leftMs: 20_000,
      level: 'soon',
    });
    expect(current && turnTime(current, serverMs(12_000))).toMatchObject({
      leftMs: 8_000,
      level: 'last',
    });
    expect(current && turnTime(current, serverMs(25_000))).toMatchObject({
      leftMs: -5_000,
      level: 'over',
    });
    // A server clock seen slightly in the past does not give time back.
    expect(current && turnTime(current, serverMs(-3_000)).usedMs).toBe(100_000);
  });

  it('stand still while paused', () => {
    const state = play(
      room(),
      { type: 'turn_started', ...turn('t', 'ben') },
      { type: 'turn_paused', ...turn('t', 'ben', { used_ms: 1_000, running: false }) },
    );
    const current = state.floor.turn;
    expect(current && turnTime(current, serverMs(600_000)).usedMs).toBe(1_000);
  });

  it('wait while an interposed question is put, and go on after it', () => {
    const question = turn('q', 'ana', { kind: 'interposed_question' });
    const asked = play(
      room(),
      { type: 'turn_started', ...turn('t', 'ben') },
      { type: 'turn_paused', ...turn('t', 'ben', { used_ms: 5_000, running: false }) },
      { type: 'turn_started', ...question },
    );
    expect(asked.floor.turn?.turn_id).toBe('q');
    expect(asked.floor.interrupted.map((one) => one.turn_id)).toEqual(['t']);
    const answered = play(
      { ...asked, describedSeq: 20 },
      { type: 'turn_ended', ...question, reason: 'ended_by_speaker' },
      { type: 'turn_resumed', ...turn('t', 'ben', { used_ms: 5_000 }) },
    );
    expect(answered.floor.turn).toMatchObject({ turn_id: 't', running: true });
    expect(answered.floor.interrupted).toEqual([]);
  });

  it('end all at once when another is started', () => {
    const state = play(
      room(),
      { type: 'turn_started', ...turn('a', 'ben') },
      { type: 'turn_started', ...turn('b', 'ana', { kind: 'interposed_question' }) },
      { type: 'turn_ended', ...turn('b', 'ana'), reason: 'replaced' },
      { type: 'turn_ended', ...turn('a', 'ben'), reason: 'replaced' },
      { type: 'turn_started', ...turn('c', 'chair') },
    );
    expect(state.floor.turn?.turn_id).toBe('c');
    expect(state.floor.interrupted).toEqual([]);
  });
});

describe('who is heard', () => {
  it('follows the floor, the mutes and the mode, without being told of each person', () => {
    const heard = (state: RoomState) =>
      [...state.participants.values()].filter((one) => one.may_be_heard).map((one) => one.user_id);
    let state = play(room(), { type: 'turn_started', ...turn('t', 'ana') });
    expect(heard(state)).toEqual(['ana', 'chair']);
    expect(state.you.may_be_heard).toBe(true);
    state = play(
      { ...state, describedSeq: 30 },
      { type: 'user_muted', user_id: 'ana', by: 'chair' },
    );
    expect(heard(state)).toEqual(['chair']);
    expect(state.you).toMatchObject({ muted: true, may_be_heard: false });
    state = play(
      { ...state, describedSeq: 40 },
      { type: 'moderation_changed', moderation: 'open', by: 'chair' },
    );
    expect(heard(state)).toEqual(['ben', 'chair']);
    state = play(
      { ...state, describedSeq: 50 },
      { type: 'user_unmuted', user_id: 'ana', by: 'chair' },
    );
    expect(heard(state)).toEqual(['ana', 'ben', 'chair']);
  });

  it('shows nobody whose pictures a moderator stopped, whatever the rule is', () => {
    const seen = (state: RoomState) =>
      [...state.participants.values()].filter((one) => one.may_be_seen).map((one) => one.user_id);
    let state = play(
      room(),
      { type: 'moderation_changed', moderation: 'open', by: 'chair' },
      { type: 'pictures_stopped', user_id: 'ana', by: 'chair' },
      { type: 'turn_started', ...turn('t', 'ana') },
    );
    expect(seen(state)).toEqual(['ben', 'chair']);
    expect(state.you).toMatchObject({ pictures_stopped: true, may_be_seen: false, muted: false });
    const ana = participant('ana', { pictures_stopped: true });
    state = play({ ...state, describedSeq: 30 }, { type: 'participant_updated', ...ana });
    expect(state.floor.media_policy).toBe('all');
    state = play(
      { ...state, describedSeq: 40 },
      { type: 'pictures_allowed', user_id: 'ana', by: 'chair' },
    );
    expect(seen(state)).toEqual(['ana', 'ben', 'chair']);
  });

  it('lends the microphone of the hall to a speaker in the hall', () => {
    const state = play(
      room(),
      { type: 'participant_joined', ...participant('hall', { roles: ['hall'] }) },
      { type: 'participant_joined', ...participant('eye', { roles: ['observer'] }) },
      { type: 'turn_started', ...turn('t', 'guest', { in_hall: true }) },
    );
    expect(state.participants.get('hall')?.may_be_heard).toBe(true);
    expect(state.participants.get('eye')?.may_be_heard).toBe(false);
  });
});

describe('the speaking list', () => {
  it('shows my place at each step', () => {
    const mine = request('r1', 'ana');
    const other = request('r2', 'ben');
    let state = play(room(), { type: 'speech_request_received', ...mine });
    expect(myPlace(state)).toMatchObject({ kind: 'requested', request: { request_id: 'r1' } });
    state = play(
      { ...state, describedSeq: 20 },
      { type: 'speech_approved', request_id: 'r1', user_id: 'ana' },
      {
        type: 'queue_updated',
        removed: [],
        placed: [
          { request_id: 'r2', after: null, request: other },
          { request_id: 'r1', after: 'r2', request: mine },
        ],
        open: true,
      },
    );
    expect(myPlace(state)).toMatchObject({ kind: 'waiting', ahead: 1 });
    state = play(
      { ...state, describedSeq: 30 },
      { type: 'turn_started', ...turn('t', 'ana', { request_id: 'r1' }) },
    );
    expect(myPlace(state).kind).toBe('speaking');
    expect(state.floor.queue.map((one) => one.request_id)).toEqual(['r2']);
    state = play(
      { ...state, describedSeq: 40 },
      { type: 'turn_ended', ...turn('t', 'ana'), reason: 'stopped' },
    );
    expect(myPlace(state).kind).toBe('none');
  });

  it('drops what was denied or withdrawn, from either part', () => {
    const state = play(
      room(),
      { type: 'speech_request_received', ...request('a', 'x') },
      {
        type: 'queue_updated',
        removed: [],
        placed: [{ request_id: 'b', after: null, request: request('b', 'y') }],
        open: false,
      },
      { type: 'speech_denied', request_id: 'a', user_id: 'x', reason: null },
      { type: 'speech_cancelled', request_id: 'b', user_id: 'y' },
    );
    expect(state.floor).toMatchObject({ requested: [], queue: [], open: false });
  });

  it('follows the differences that it is told', () => {
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((id) => request(id, id)) as [
      RequestView,
      RequestView,
      RequestView,
      RequestView,
    ];
    let seq = 20;
    const next = (state: RoomState, event: Happening): RoomState =>
      after(state, { ...event, seq: (seq += 1), at: START });
    const place = (one: RequestView, ahead: string | null) => ({
      request_id: one.request_id,
      after: ahead,
      request: one,
    });
    const move = (id: string, ahead: string | null) => ({
      request_id: id,
      after: ahead,
      request: null,
    });
    const order = (state: RoomState) => state.floor.queue.map((one) => one.request_id).join('');
    let state = next(room(), {
      type: 'queue_updated',
      removed: [],
      placed: [place(a, null), place(b, 'a'), place(c, 'b')],
      open: true,
    });
    expect(order(state)).toBe('abc');
    state = next(state, {
      type: 'queue_updated',
      removed: ['b'],
      placed: [move('c', null), place(d, 'c')],
      open: false,
    });
    expect(order(state)).toBe('cda');
    expect(state.floor.open).toBe(false);
    state = next(state, {
      type: 'queue_updated',
      removed: [],
      placed: [move('a', null), move('gone', 'a')],
      open: true,
    });
    expect(order(state)).toBe('acd');
  });

  it('moves an entry, always to exactly the entries there are', () => {
    const queue = ['a', 'b', 'c', 'd'].map((id) => request(id, id));
    expect(movedOrder(queue, 'c', 0)).toEqual(['c', 'a', 'b', 'd']);
    expect(movedOrder(queue, 'a', 99)).toEqual(['b', 'c', 'd', 'a']);
    for (const [id, to] of [
      ['a', -5],
      ['b', 1],
      ['none', 2],
    ] as const) {
      expect(movedOrder(queue, id, to)).toBeNull();
    }
  });
});

describe('a resumed state', () => {
  it('already has what was missed, except the chat', () => {
    const state = stateOf(welcome({ seq: 20, resumed: true }));
    const left: Told = {
      type: 'participant_left',
      user_id: 'ben',
      reason: 'left',
      seq: 20,
      at: START,
    };
    expect(after(state, left)).toBe(state);
    const line: Told = {
      type: 'chat',
      user_id: 'ben',
      name: 'BEN',
      text: 'hi',
      seq: 19,
      at: START,
    };
    const heard = after(state, line);
    expect(heard.chat.map(({ text }) => text)).toEqual(['hi']);
    expect(after(heard, line)).toBe(heard);
    expect(after(heard, { ...left, seq: 21 }).participants.has('ben')).toBe(false);
  });
});

describe('people and tracks', () => {
  it('keep what is said of a name and of a camera until it is said no more', () => {
    const camera = participant('cabildo:camera:hall', { roles: ['camera'] });
    const noted = { name_notice: 'reserved', media_fault: 'codec_unsupported' };
    const joined = play(room(), { type: 'participant_joined', ...camera, ...noted });
    expect(joined.participants.get(camera.user_id)).toEqual({ ...camera, ...noted });
    const mended = play(joined, { type: 'participant_updated', ...camera });
    expect(mended.participants.get(camera.user_id)).toEqual(camera);
  });

  it('take their tracks with them', () => {
    const state = play(
      room(),
      { type: 'track_published', ...track('m', 'ben') },
      { type: 'track_published', ...track('n', 'chair') },
      { type: 'active_speakers', speakers: [{ user_id: 'ben', track: 'm', level: 20 }] },
      { type: 'participant_left', user_id: 'ben', reason: 'disconnected' },
    );
    expect([...state.tracks.keys()]).toEqual(['n']);
    expect(state.speakers).toEqual([]);
  });

  it('keep a bounded chat', () => {
    const lines = Array.from({ length: CHAT_LINES_MAX + 5 }, (_, index): Happening => {
      return { type: 'chat', user_id: 'b', name: 'B', text: String(index) };
    });
    const { chat } = play(room(), ...lines);
    expect(chat).toHaveLength(CHAT_LINES_MAX);
    expect(chat[0]?.text).toBe('5');
  });

  it('keep announced votes, each once, also those that were missed', () => {
    const vote = (seq: number, vote_id: string, ends_at: string | null): Told => ({
      type: 'vote_announced',
      seq,
      at: START,
      vote_id,
      title: 'Presupuesto',
      started_at: START,
      ends_at,
    });
    const missed = after(stateOf(welcome({ seq: 20, resumed: true })), vote(15, 'a', null));
    expect(missed.votes.map(({ vote_id }) => vote_id)).toEqual(['a']);
    expect(after(missed, vote(15, 'a', null))).toBe(missed);
    const other = after(missed, vote(21, 'b', null));
    const again = after(other, vote(22, 'a', at(60_000)));
    expect(again.votes.map(({ vote_id, ends_at }) => [vote_id, ends_at])).toEqual([
      ['b', null],
      ['a', at(60_000)],
    ]);
    expect(stateOf(welcome(), { votes: again.votes }).votes).toBe(again.votes);
  });

  it('have the votes that were open when this client came', () => {
    const vote = (vote_id: string, ends_at: string | null = null) => {
      return { vote_id, title: 'Presupuesto', started_at: START, ends_at };
    };
    const seen = ({ votes }: RoomState) => votes.map(({ vote_id, seq }) => [vote_id, seq]);
    const came = stateOf(welcome({ seq: 20, votes: [vote('a'), vote('b')] }));
    expect(seen(came)).toEqual([
      ['a', 20],
      ['b', 20],
    ]);
    // Whoever has read them is not told again, but of what was said anew meanwhile.
    const votes = [vote('a'), vote('b', at(60_000)), vote('c')];
    const back = stateOf(welcome({ seq: 30, votes }), { votes: came.votes });
    expect(seen(back)).toEqual([
      ['a', 20],
      ['b', 30],
      ['c', 30],
    ]);
    // What was missed comes as an event too.
    const missed: Told = { type: 'vote_announced', seq: 25, at: START, ...vote('c') };
    expect(seen(after(back, missed))).toEqual([
      ['a', 20],
      ['b', 30],
      ['c', 25],
    ]);
  });

  it('does not fall over an event of a later version', () => {
    const state = room();
    expect(
      after(state, { type: 'of_a_later_version', seq: 11, at: START } as unknown as Told),
    ).toBe(state);
  });
});

describe('who chairs', () => {
  it('is what the server says, also after they have left', () => {
    const state = room();
    expect(state.chair).toEqual({ user_id: 'chair', name: 'CHAIR' });
    expect(chairPresence(state)).toBe('here');
    const left = play(state, { type: 'participant_left', user_id: 'chair', reason: 'left' });
    expect(left.chair?.user_id).toBe('chair');
    expect(chairPresence(left)).toBe('gone');
    const eva = participant('eva', { roles: ['moderator'] });
    const taken = play(
      left,
      { type: 'participant_joined', ...eva },
      { type: 'chair_changed', user_id: 'eva', name: 'EVA', by: 'eva' },
    );
    expect(taken.chair).toEqual({ user_id: 'eva', name: 'EVA' });
    expect(chairPresence(taken)).toBe('here');
    expect(chairPresence(stateOf(welcome({ chair: null })))).toBe('none');
  });

  it('does not follow from a message, nor from who moderates', () => {
    const text = '⚖ Eva preside desde ahora';
    const state = play(
      stateOf(welcome({ chair: null })),
      { type: 'chat', user_id: 'chair', name: 'CHAIR', text },
      { type: 'participant_joined', ...participant('eva', { roles: ['moderator'] }) },
    );
    expect(state.chair).toBeNull();
    expect(state.chat.map((line) => [meaningOf(line), textOf(line)])).toEqual([
      ['chair', 'Eva preside desde ahora'],
    ]);
  });
});

describe('any sequence of events', () => {
  it('never changes a state that was told before, and never shows a person twice in turns', () => {
    let seed = 7;
    const random = (below: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return Math.floor((seed / 2_147_483_648) * below);
    };
    const who = () => ['ana', 'ben', 'chair', 'eva'][random(4)] ?? 'ana';
    const id = () => ['1', '2', '3', '4'][random(4)] ?? '1';
    const make: (() => Happening)[] = [
      () => ({ type: 'participant_joined', ...participant(who()) }),
      () => ({ type: 'participant_left', user_id: who(), reason: 'left' }),
      () => ({ type: 'speech_request_received', ...request(id(), who()) }),
      () => ({ type: 'speech_approved', request_id: id(), user_id: who() }),
      () => ({ type: 'speech_cancelled', request_id: id(), user_id: who() }),
      () => ({
        type: 'turn_started',
        ...turn(id(), who(), { kind: random(2) ? 'normal' : 'interposed_question' }),
      }),
      () => ({ type: 'turn_resumed', ...turn(id(), who()) }),
      () => ({ type: 'turn_paused', ...turn(id(), who(), { running: false }) }),
      () => ({ type: 'turn_ended', ...turn(id(), who()), reason: 'stopped' }),
      () => ({ type: 'user_muted', user_id: who(), by: 'chair' }),
      () => ({ type: 'user_unmuted', user_id: who(), by: 'chair' }),
      () => ({ type: 'pictures_stopped', user_id: who(), by: 'chair' }),
      () => ({ type: 'pictures_allowed', user_id: who(), by: 'chair' }),
      () => ({ type: 'track_published', ...track(id(), who()) }),
    ];
    const text = (state: RoomState) =>
      JSON.stringify({
        ...state,
        participants: [...state.participants],
        tracks: [...state.tracks],
      });
    let state = room();
    for (let step = 0; step < 2_000; step += 1) {
      const before = text(state);
      const happening = make[random(make.length)]?.() ?? {
        type: 'chat',
        user_id: '',
        name: '',
        text: '',
      };
      const next = play({ ...state, describedSeq: step }, happening);
      expect(text(state)).toBe(before);
      const turns = [next.floor.turn, ...next.floor.interrupted].flatMap((one) =>
        one ? [one.turn_id] : [],
      );
      expect(new Set(turns.slice(1)).has(turns[0] ?? '')).toBe(false);
      const waiting = [...next.floor.requested, ...next.floor.queue].map((one) => one.request_id);
      expect(new Set(waiting).size).toBe(waiting.length);
      for (const one of next.participants.values())
        if (one.muted) expect(one.may_be_heard, `step ${step}`).toBe(false);
      state = next;
    }
  });
});

describe('attendance', () => {
  it('follows what is told of people and of the quorum', () => {
    const welcomed = stateOf({ ...welcome(), quorum: quorum() });
    expect(welcomed.quorum?.reached).toBe(false);
    const validated = (user_id: string): Happening => ({
      type: 'attendance_changed',
      change: 'validated',
      user_id,
      name: user_id.toUpperCase(),
      present: true,
      method: 'qr',
      place: 'hall',
      cause: null,
      by: null,
      weight: '1.25',
    });
    expect(play(welcomed, validated('ben'))).toBe(welcomed);
    const state = play(welcomed, validated('ana'), {
      type: 'quorum_changed',
      ...quorum({ reached: true, weight_present: '51', turned: true }),
    });
    expect(state.present).toBe(true);
    expect(state.quorum).toEqual(quorum({ reached: true, weight_present: '51', turned: true }));
  });
});

describe('who spoke in the hall', () => {
  it('is known by name to whoever comes while they speak', () => {
    const running = turn('t1', 'hall-1', { name: 'Julia Paz', in_hall: true });
    const { floor } = welcome();
    const state = stateOf(welcome({ floor: { ...floor, turn: running } }));
    expect(state.names.get('hall-1')).toBe('Julia Paz');
  });
});
