// A person without a browser: proves to hold their key over REST and on the
// channel, as docs/MODERATION.md and RFC 9449 say.
import { createHash, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { PATIENCE_MS, ROOT, until, within } from './until.mjs';

const { WebSocket } = createRequire(join(ROOT, 'web-client', 'package.json'))('ws');

const hash = (text) => createHash('sha256').update(text).digest('base64url');
const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

export class Person {
  /** `identity` has `tenant`, `user`, and perhaps `roles` and `name`. */
  static async of(server, { tenant, user, roles = ['participant'], name = user }) {
    const person = new Person();
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { crv, kty, x, y } = publicKey.export({ format: 'jwk' });
    Object.assign(person, { server, user, jwk: { crv, kty, x, y }, privateKey, nonce: undefined });
    const response = await fetch(`${server.origin}/dev/token`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({
        tenant_id: tenant,
        user_id: user,
        name,
        roles,
        jkt: hash(JSON.stringify(person.jwk)),
      }),
    });
    if (response.status !== 200) throw new Error(`no token: ${await response.text()}`);
    person.token = (await response.json()).access_token;
    return person;
  }

  proof(method, url, nonce) {
    const header = { typ: 'dpop+jwt', alg: 'ES256', jwk: this.jwk };
    const claims = {
      htm: method,
      htu: url,
      iat: Math.floor(Date.now() / 1000),
      jti: randomUUID(),
      ath: hash(this.token),
      ...(nonce === undefined ? {} : { nonce }),
    };
    const input = `${part(header)}.${part(claims)}`;
    const key = { key: this.privateKey, dsaEncoding: 'ieee-p1363' };
    return `${input}.${sign('sha256', Buffer.from(input), key).toString('base64url')}`;
  }

  /** A call that proves the key; once more when the server wants its own nonce. */
  async call(method, path, wanted, headers = {}) {
    const [plain] = path.split('?');
    for (let attempt = 0; ; attempt += 1) {
      const response = await fetch(this.server.origin + path, {
        method,
        headers: {
          Authorization: `DPoP ${this.token}`,
          DPoP: this.proof(method, this.server.origin + plain, this.nonce),
          ...(wanted === undefined ? {} : { 'Content-Type': 'application/json' }),
          ...headers,
        },
        body: wanted === undefined ? undefined : JSON.stringify(wanted),
      });
      this.nonce = response.headers.get('dpop-nonce') ?? this.nonce;
      const text = await response.text();
      const body = text === '' ? null : JSON.parse(text);
      const replayed = response.headers.get('idempotency-replayed') === 'true';
      const retryAfter = response.headers.get('retry-after');
      if (response.status === 401 && body.code === 'DPOP_NONCE_REQUIRED' && attempt === 0) continue;
      return { status: response.status, body, replayed, retryAfter };
    }
  }

  /** A media token of this person, `kind` being `whip` or `whep`. */
  async mediaToken(session, kind) {
    const path = `/api/v1/sessions/${session}/media-tokens`;
    const answer = await this.call('POST', path, { kind, ttl_s: 3600 });
    if (answer.status !== 201) throw new Error(`no media token: ${JSON.stringify(answer)}`);
    return answer.body.token;
  }

  /** The recording of a session as this person may see it. */
  async recording(session) {
    const answer = await this.call('GET', `/api/v1/sessions/${session}/recording-url`);
    if (answer.status !== 200) throw new Error(`no recording: ${JSON.stringify(answer)}`);
    return answer.body;
  }

  /** Waits until every file is made; answers what there is, and fails when one can't be. */
  recordingReady(session, ms = 240_000) {
    return until(
      'a recording that is ready',
      async (seen) => {
        const view = await this.recording(session);
        seen.last = [
          view.state,
          view.pending_tracks,
          view.files.map(({ of, state }) => [of, state]),
        ];
        return view.state === 'ready' ? view : null;
      },
      ms,
    );
  }

  /** Enters the room; answers its channel after the welcome. */
  async enter(session) {
    const url = `${this.server.origin.replace('http', 'ws')}/moderation?session_id=${session}`;
    const channel = new Channel(new WebSocket(url, 'cabildo.v1'));
    const { nonce } = await channel.told('hello');
    const proof = this.proof('GET', `${this.server.origin}/moderation`, nonce);
    channel.send({ type: 'authenticate', token: this.token, dpop: proof });
    channel.welcome = await channel.told('welcome');
    return channel;
  }
}

/** A socket of the moderation channel. */
class Channel {
  constructor(socket) {
    this.socket = socket;
    this.messages = [];
    this.lastId = 0;
    this.closed = new Promise((resolve) => socket.on('close', resolve));
    // Whoever waits sees that nothing comes; the reason is the server's end.
    socket.on('error', () => undefined);
    socket.on('message', (text) => this.messages.push({ ...JSON.parse(text), cameAt: Date.now() }));
  }

  send(message) {
    this.socket.send(JSON.stringify(message));
  }

  /** Keeps only answers from now on: of hundreds of people, each is told everything. */
  forget() {
    this.messages.length = 0;
    this.socket.removeAllListeners('message');
    this.socket.on('message', (text) => {
      const message = JSON.parse(text);
      if (message.ref !== undefined) this.messages.push(message);
    });
  }

  /** A message of a type that came already, or the next one. */
  told(type, wanted = () => true) {
    return until(`a message ${type}`, (seen) => {
      seen.last = this.messages.at(-1);
      return this.messages.find((message) => message.type === type && wanted(message));
    });
  }

  /** Sends a wish; answers its `ack` or `error`, which on a busy machine come after `pending`. */
  async request(message) {
    const id = (this.lastId += 1);
    this.send({ ...message, id });
    return until(`an answer to ${message.type}`, () =>
      this.messages.find(({ ref, type }) => ref === id && type !== 'pending'),
    );
  }

  /** The signed heads that came, in order. */
  heads() {
    const first = this.welcome?.evidence ?? null;
    return [
      ...(first === null ? [] : [{ ...first, cameAt: null }]),
      ...this.messages.filter(({ type }) => type === 'evidence_head'),
    ];
  }

  async leave() {
    this.socket.close(1000);
    await within(PATIENCE_MS, 'the end of the socket', this.closed);
  }
}
