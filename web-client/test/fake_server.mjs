// A server for looking at the pages: the built files under the policy of the
// real one, the few routes that pages ask, and a room in which something goes
// on. It carries no media and decides nothing; `tests/live` uses the real one.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { WebSocketServer } from 'ws';

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
  join_url: '',
  version: 1,
  created_at: new Date().toISOString(),
};

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

function welcome(claims) {
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
    quorum: null,
    recording: { state: 'recording', enabled: true, retention_days: 1825, acknowledged: false },
    evidence: null,
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

async function answer(incoming, outgoing) {
  const { pathname } = new URL(incoming.url ?? '/', 'http://localhost');
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
  const server = createServer((incoming, outgoing) => void answer(incoming, outgoing));
  const sockets = new WebSocketServer({ server, path: '/moderation' });
  let seq = 0;
  sockets.on('connection', (socket) => {
    const say = (message) => socket.send(JSON.stringify(message));
    say({ type: 'hello', nonce: 'n', version: 'cabildo.v1' });
    socket.on('message', (data) => {
      const message = JSON.parse(data.toString());
      if (message.type === 'authenticate') {
        const [, claims] = message.token.split('.');
        say({ ...welcome(JSON.parse(Buffer.from(claims, 'base64url').toString())), seq });
      } else if (message.type === 'ping') {
        say({ type: 'pong', server_time: new Date().toISOString() });
      } else if (message.type === 'resume') {
        say({ type: 'error', code: 'TOKEN_INVALID', message: '' });
        socket.close(4401);
      } else if (message.type !== 'offer') {
        say({ type: 'ack', ref: message.id });
      }
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    say(event) {
      seq += 1;
      const text = JSON.stringify({ ...event, seq, at: new Date().toISOString() });
      for (const socket of sockets.clients) socket.send(text);
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
