// A server for looking at the pages: the built files under the policy of the
// real one, the few routes that pages ask, and a room in which something goes
// on. It carries no media and decides nothing; `tests/live` uses the real one.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { WebSocketServer } from 'ws';
import { hallPeople } from './attendance.mjs';
import { headOf, record } from './evidence.mjs';

const DIST = new URL('../dist/', import.meta.url);
const POLICY =
  "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self' ws: wss:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};

export const TENANT = '01890000-0000-7000-8000-000000000001';
export const SESSION = '01890000-0000-7000-8000-0000000000aa';

/** Sessions whose recordings are in other states. */
export const RECORDINGS = Object.fromEntries(
  ['ready', 'making', 'erased', 'failed', 'none', 'sealing'].map((state, at) => [
    state,
    `01890000-0000-7000-8000-0000000001${String(at).padStart(2, '0')}`,
  ]),
);
const RECORDED_AT = Date.parse('2026-03-01T17:00:00Z');

const session = {
  id: SESSION,
  tenant_id: TENANT,
  assembly_id: '01890000-0000-7000-8000-0000000000bb',
  title: 'Asamblea general ordinaria de la Comunidad Jardines del Poniente',
  modality: 'mixed',
  provider: 'webrtc',
  status: 'active',
  scheduled_start_at: null,
  scheduled_end_at: null,
  started_at: new Date().toISOString(),
  ended_at: null,
  max_participants: 300,
  moderation: 'moderated',
  recording: { enabled: true, retention_days: 1825 },
  transcription: { enabled: false, language: null },
  speaking: { default_turn_s: 180, max_turn_s: 600, auto_start: false },
  attendance: { admission: 'proof', delegated_units_max: 3 },
  join_url: '',
  version: 1,
  created_at: new Date().toISOString(),
};

const mediaTokens = [];

function person(user_id, name, roles = ['participant'], more = {}) {
  return {
    user_id,
    name,
    roles,
    connections: 1,
    audio: false,
    video: false,
    screen: false,
    muted: false,
    pictures_stopped: false,
    may_be_heard: roles.includes('moderator'),
    joined_at: new Date().toISOString(),
    ...more,
  };
}

function request(request_id, user_id, name, kind = 'normal', more = {}) {
  return {
    request_id,
    user_id,
    name,
    kind,
    stance: null,
    note: null,
    requested_at: new Date(Date.now() - 95_000).toISOString(),
    in_hall: false,
    previous_turns: 0,
    ...more,
  };
}

/** The quorum as it stands; tests change it. */
export const quorum = {
  call: 'first',
  heads_present: 143,
  heads_total: 312,
  weight_present: '47.85',
  weight_total: '100',
  heads_needed: null,
  weight_needed: '1/2',
  comparison: 'more_than',
  reached: false,
  since: null,
  roll_known: true,
  turned: false,
};

function welcome(claims, evidence) {
  const me = person(claims.user_id, claims.name, claims.roles);
  return {
    type: 'welcome',
    you: { ...me, connection_id: 'c1' },
    session: {
      id: SESSION,
      title: session.title,
      modality: 'mixed',
      recording: false,
      started_at: session.started_at,
    },
    participants: [
      me,
      person('carmen', 'Carmen Ibáñez Rodríguez de la Vega', ['participant'], {
        audio: true,
        video: true,
        may_be_heard: true,
      }),
      person('luis', 'Luis Ordóñez', ['moderator'], { audio: true, video: true }),
      person('sala', 'Salón de actos', ['hall'], { audio: true }),
      person('joao', 'João Pereira', ['participant'], { muted: true, audio: true }),
      person('eva', 'Eva Núñez', ['observer'], { connections: 0 }),
      person('cabildo:recorder', 'Recorder', ['recorder']),
    ],
    votes: [],
    tracks: ['carmen', 'luis'].map((user_id) => ({
      track: `v-${user_id}`,
      user_id,
      kind: 'video',
      source: 'camera',
      codec: 'vp8',
      layers: 3,
    })),
    floor: {
      moderation: 'moderated',
      open: true,
      requested: [
        request('r3', 'joao', 'João Pereira', 'point_of_order', { note: 'Falta el acta anterior' }),
        request('r4', 'marta', 'Marta Gil', 'normal', { stance: 'contra', previous_turns: 2 }),
      ],
      queue: [
        request('r1', 'pedro', 'Pedro Almagro', 'normal', { in_hall: true }),
        request('r2', 'nuria', 'Nuria Valls i Puigdomènech', 'normal', { previous_turns: 1 }),
        request('r5', 'teo', 'Teo Marín'),
      ],
      turn: {
        turn_id: 't1',
        request_id: 'r0',
        user_id: 'carmen',
        name: 'Carmen Ibáñez Rodríguez de la Vega',
        kind: 'normal',
        limit_s: 180,
        used_ms: 155_000,
        running: true,
        in_hall: false,
      },
      interrupted: [],
      default_turn_s: 180,
      max_turn_s: 600,
      auto_start: false,
    },
    quorum: { ...quorum },
    recording: { state: 'recording', enabled: true, retention_days: 1825, acknowledged: false },
    transcription: { state: 'on', language: 'es', languages: ['es', 'en', 'pt'] },
    evidence,
    ice_servers: [],
    resume_token: 'r',
    server_time: new Date().toISOString(),
    seq: 0,
    resumed: false,
  };
}

function base64url(value) {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

async function body(incoming) {
  const parts = [];
  for await (const part of incoming) parts.push(part);
  return JSON.parse(Buffer.concat(parts).toString() || '{}');
}

const moment = (seconds) => new Date(RECORDED_AT + seconds * 1000).toISOString();

function recordedFile(of, state, more = {}) {
  return {
    of,
    track: null,
    user_id: null,
    name: null,
    source: null,
    kind: 'video',
    container: 'webm',
    media_type: 'video/webm; codecs="vp8"',
    state,
    progress_permille: state === 'ready' ? 1000 : state === 'building' ? 430 : 0,
    from: moment(0),
    duration_ms: 3_000_000,
    size_bytes: 412_000_000,
    url: state === 'ready' ? '/api/v1/recordings/video' : null,
    ...more,
  };
}

function recordingOf(state) {
  const made = { ready: 'ready', making: 'building', failed: 'failed' }[state];
  const person = (name, source, kind, more = {}) =>
    recordedFile('track', made === 'failed' ? 'ready' : made, {
      track: name,
      user_id: name,
      name,
      source,
      kind,
      duration_ms: 1_200_000,
      size_bytes: 9_100_000,
      ...more,
    });
  const files =
    made === undefined
      ? []
      : [
          recordedFile('combined', made),
          person('Carmen Ibáñez Rodríguez de la Vega', 'camera', 'video'),
          person('Carmen Ibáñez Rodríguez de la Vega', 'microphone', 'audio', { track: 'm' }),
          person('Salón de actos', 'microphone', 'audio', { state: 'waiting', url: null }),
        ];
  return {
    session_id: RECORDINGS[state],
    title: session.title,
    state: state === 'failed' ? 'ready' : state,
    pending_segments: state === 'sealing' ? 3 : 0,
    expires_at: new Date(Date.now() + 600_000).toISOString(),
    sealed_bytes: 184_000_000,
    timeline_url: '/api/v1/recordings/line/timeline',
    files,
  };
}

function timeline() {
  const item = (kind, from, to, more = {}) => ({
    kind,
    from: moment(from),
    to: to === null ? null : moment(to),
    user_id: null,
    name: null,
    text: null,
    track: null,
    entries: kind === 'gap' ? [] : [2],
    ...more,
  });
  const carmen = { name: 'Carmen Ibáñez Rodríguez de la Vega' };
  const said = [
    'Buenas tardes. Propongo que se apruebe el acta de la reunión anterior.',
    'La derrama para el tejado es de 12.400 euros, en cuatro plazos.',
    'Pido que conste mi voto en contra.',
  ];
  return {
    from: moment(0),
    to: moment(3000),
    items: [
      item('recording', 0, 1900),
      item('gap', 1900, 2100),
      item('recording', 2100, 3000),
      item('joined', 4, null, carmen),
      item('turn', 60, 640, carmen),
      ...said.map((text, at) =>
        item('transcript', 70 + at * 90, 80 + at * 90, { ...carmen, text }),
      ),
      item('turn', 700, 1500, { name: 'João Pereira' }),
      item('turn', 1510, 1560, { name: 'Nuria Valls i Puigdomènech' }),
      item('vote', 1700, null, { text: 'Aprobación de la derrama' }),
      item('turn', 2150, 2800, { name: 'Salón de actos' }),
      item('muted', 2400, null, { name: 'João Pereira' }),
      item('vote', 2850, null, { text: 'Ruegos y preguntas' }),
      item('left', 2900, null, carmen),
    ],
  };
}

/** Routes of the record and of recordings; null for every other. */
async function recorded(url, writer, video) {
  const { pathname, searchParams } = url;
  if (pathname === '/.well-known/cabildo-evidence-keys.json') return writer.keysWithOperator();
  if (pathname === `/api/v1/sessions/${SESSION}/audit-proof`) {
    const from = Number(searchParams.get('from_size') ?? 0);
    const seqs = searchParams.getAll('seq').map(Number);
    const newest = writer.heads.at(-1).size;
    return writer.proof({ seqs, from: from > 0 && from < newest ? [from] : [] });
  }
  const state = Object.keys(RECORDINGS).find(
    (one) => pathname === `/api/v1/sessions/${RECORDINGS[one]}/recording-url`,
  );
  if (state !== undefined) return recordingOf(state);
  if (pathname === '/api/v1/recordings/line/timeline') return timeline();
  if (pathname === '/api/v1/recordings/video') return video;
  return null;
}

async function answer(incoming, outgoing, { writer, video, people }) {
  const { pathname, searchParams } = new URL(incoming.url ?? '/', 'http://localhost');
  const say = (value, status = 200) => {
    outgoing.writeHead(status, { 'Content-Type': 'application/json' });
    outgoing.end(JSON.stringify(value));
  };
  if (pathname === '/api/v1/client-config') return say({ dev: true, login_url: null });
  if (pathname === `/api/v1/sessions/${SESSION}`) return say(session);
  if (pathname === '/dev/sessions') return say({ items: [session], next_cursor: null });
  if (pathname === '/dev/token') {
    const claims = await body(incoming);
    return say({ access_token: `h.${base64url(claims)}.s`, token_type: 'DPoP', expires_in: 600 });
  }
  if (pathname.startsWith(`/api/v1/sessions/${SESSION}/media-tokens`)) {
    if (incoming.method === 'GET') return say({ items: mediaTokens });
    if (incoming.method === 'DELETE') {
      mediaTokens.splice(0, 1);
      outgoing.writeHead(204);
      return outgoing.end();
    }
    const { kind, source = null, ttl_s } = await body(incoming);
    const expires_at = new Date(Date.now() + ttl_s * 1000).toISOString();
    const id = `token-${mediaTokens.length}`;
    const known = { user_id: 'ana', name: 'Ana Benítez', speak_without_turn: false };
    mediaTokens.push({ id, kind, source, ...known, created_at: expires_at, expires_at });
    const url = `http://localhost/api/v1/sessions/${SESSION}/${kind}`;
    return say({ id, token: 'mt_5hQ0c3Vt0Zr7m1y9kP2sW8xA4bN6dF', url, expires_at }, 201);
  }
  const attendance = `/api/v1/sessions/${SESSION}/attendance`;
  if (pathname.startsWith(attendance)) {
    const rest = pathname.slice(attendance.length);
    const given = incoming.method === 'GET' ? {} : await body(incoming);
    const told = people.answer(incoming.method, rest, searchParams, given);
    if (told !== null) return say(told.body, told.status);
  }
  const found = await recorded(new URL(incoming.url, 'http://localhost'), writer, video());
  if (found instanceof Buffer) {
    outgoing.writeHead(200, { 'Content-Type': 'video/webm', 'Content-Length': found.length });
    return outgoing.end(found);
  }
  if (found !== null) return say(found);
  const name = pathname === '/' ? 'index.html' : pathname.slice(1);
  const file = extname(name) === '' ? `${name}.html` : name;
  try {
    const content = await readFile(new URL(file, DIST));
    outgoing.writeHead(200, {
      'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream',
      'Content-Security-Policy': POLICY,
      'X-Content-Type-Options': 'nosniff',
    });
    return outgoing.end(content);
  } catch {
    return say({ code: 'SESSION_NOT_FOUND', message: '', details: {}, trace_id: '' }, 404);
  }
}

/** Starts on a free port of the loopback; `say` tells every room an event. */
export async function start() {
  const writer = await record(SESSION);
  let video = Buffer.alloc(0);
  let seq = 0;
  const say = (event) => {
    seq += 1;
    const text = JSON.stringify({ ...event, seq, at: new Date().toISOString() });
    for (const socket of sockets.clients) socket.send(text);
  };
  const people = hallPeople(say, quorum);
  const behind = { writer, video: () => video, people };
  const server = createServer((incoming, outgoing) => void answer(incoming, outgoing, behind));
  const sockets = new WebSocketServer({ server, path: '/moderation' });
  sockets.on('connection', (socket) => {
    const send = (message) => socket.send(JSON.stringify(message));
    send({ type: 'hello', nonce: 'n', version: 'cabildo.v1' });
    socket.on('message', (data) => {
      const message = JSON.parse(data.toString());
      if (message.type === 'authenticate') {
        const [, claims] = message.token.split('.');
        send({
          ...welcome(JSON.parse(Buffer.from(claims, 'base64url').toString()), headOf(writer)),
          seq,
        });
      } else if (message.type === 'ping') {
        send({ type: 'pong', server_time: new Date().toISOString() });
      } else if (message.type === 'resume') {
        send({ type: 'error', code: 'TOKEN_INVALID', message: '' });
        socket.close(4401);
      } else if (message.type !== 'offer') {
        send({ type: 'ack', ref: message.id });
      }
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    say,
    /** Tells every room a head, false if so wanted. */
    tellHead(change = {}) {
      const head = { type: 'evidence_head', at: new Date().toISOString(), ...headOf(writer) };
      for (const socket of sockets.clients) socket.send(JSON.stringify({ ...head, ...change }));
    },
    /** What the player gets. */
    setVideo(bytes) {
      video = bytes;
    },
    /** Hangs up on everybody, and takes nobody until `listen`. */
    cut() {
      for (const socket of sockets.clients) socket.terminate();
      server.close();
    },
    close() {
      for (const socket of sockets.clients) socket.terminate();
      server.closeAllConnections();
      server.close();
    },
  };
}
