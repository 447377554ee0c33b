// `cabildo doctor --from`: what it says of a server that is reached, and of each way that is not.
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createServer as createTls } from 'node:tls';
import { bearerToken, startedSession } from './api.mjs';
import { cabildo } from './cabildo.mjs';
import { Person } from './person.mjs';
import { steadyPort } from './ports.mjs';
import { metric } from './relays.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';
import { WeakNetwork } from './weak_network.mjs';

/** The server's certificate is for 127.0.0.1 and not for this one. */
const OTHER_NAME = '127.0.0.2';

const listening = async (server, host = '127.0.0.1') => {
  server.listen(0, host);
  await once(server, 'listening');
  return server.address().port;
};

/** What the command says, by what it is of: a list of `state text` each. */
async function doctor(from, { token, args = [], env = {} } = {}) {
  const secret = token === undefined ? {} : { CABILDO_DOCTOR_TOKEN: token };
  const done = await cabildo(['doctor', '--from', from, ...args], { env: { ...secret, ...env } });
  if (token !== undefined) {
    assert.ok(!`${done.stdout}${done.stderr}`.includes(token), 'the token is never printed');
  }
  const lines = {};
  for (const line of done.stdout.split('\n')) {
    const found = /^(ok|warning|failed|not tested) +([^:]+): (.*)$/.exec(line);
    if (found === null) continue;
    const [, state, what, text] = found;
    lines[what] = [...(lines[what] ?? []), `${state} ${text}`];
  }
  return { ...done, lines };
}

/** Checks that something said of `what` matches. */
function says({ lines, stdout, stderr }, what, pattern) {
  const said = lines[what] ?? [];
  assert.ok(
    said.some((line) => pattern.test(line)),
    `${what} ${pattern}\n${stdout}${stderr}`,
  );
}

/** A proxy with TLS, which passes bytes on to the server. */
async function withTls(stage, host = '127.0.0.1', protocols = ['h2', 'http/1.1']) {
  const certificates = join(stage.server.dataDir, 'certs');
  const file = (name) => readFileSync(join(certificates, name));
  const options = { cert: file('server.pem'), key: file('server.key'), ALPNProtocols: protocols };
  const proxy = createTls(options, (socket) => {
    const upstream = connect(stage.server.port.http, '127.0.0.1');
    for (const [one, other] of [
      [socket, upstream],
      [upstream, socket],
    ]) {
      one.on('error', () => other.destroy());
      one.pipe(other);
    }
  });
  // A client that does not take the certificate ends the handshake.
  proxy.on('tlsClientError', () => undefined);
  const port = await listening(proxy, host);
  stage.proxies.push(proxy);
  return `https://${host}:${port}`;
}

/** Something that answers HTTP as `answer` does. */
async function answering(stage, answer) {
  const other = createHttp(answer);
  stage.proxies.push(other);
  return `http://127.0.0.1:${await listening(other)}`;
}

async function open(stage) {
  stage.proxies = [];
  stage.stop = () => {
    for (const proxy of stage.proxies) proxy.close();
    stage.router.close();
  };
  // The first start makes development's certificates.
  stage.server = await Server.start('reach');
  await stage.server.stop();
  const certificates = join(stage.server.dataDir, 'certs');
  stage.turnTls = {
    CABILDO_MEDIA__TURN__TLS_BIND: '127.0.0.1:0',
    CABILDO_MEDIA__TURN__TLS_HOST: '127.0.0.1',
    CABILDO_MEDIA__TURN__TLS_CERT: join(certificates, 'server.pem'),
    CABILDO_MEDIA__TURN__TLS_KEY: join(certificates, 'server.key'),
  };
  // A router that passes another UDP port on to the media port.
  stage.router = await WeakNetwork.start({});
  stage.router.serverPort = stage.server.port.media;
  stage.server.environment = {
    ...stage.turnTls,
    CABILDO_MEDIA__TURN__UDP: `127.0.0.1:${stage.router.port}`,
  };
  await stage.server.start();
  stage.ca = ['--ca', join(certificates, 'ca.pem')];
  const { id, tenant_id: tenant } = await startedSession(stage.server, { moderation: 'open' });
  stage.session = { id, tenant };
  stage.ana = await Person.of(stage.server, { tenant, user: 'ana' });
}

const nobodyStays = (stage) =>
  until('nobody stays behind', async (seen) => {
    seen.last = [
      await metric(stage, 'cabildo_sfu_transports '),
      await metric(stage, 'cabildo_turn_allocations '),
    ];
    return seen.last.every((count) => count === 0);
  });

story('Doctor from outside', open, {
  'every way of media is tested, and the session is left again': async (stage) => {
    const origin = await withTls(stage);
    const token = await stage.ana.mediaToken(stage.session.id, 'whep');
    const from = `${origin}/api/v1/sessions/${stage.session.id}/whep`;
    const seen = await doctor(from, { token, args: stage.ca });
    says(seen, 'TLS', /^ok TLS 1\.3, certificate for 127\.0\.0\.1, valid for \d+ days more$/);
    says(seen, 'HTTP/2', /^ok /);
    says(seen, 'server', /^ok Cabildo \S+ is ok$/);
    says(seen, 'WebSocket', /^ok /);
    says(seen, 'clock', /^ok the clock here is \d+ s /);
    says(seen, 'session', /^ok entered to play/);
    const media = stage.server.port.media;
    for (const way of ['UDP', 'TCP']) {
      says(seen, `media over ${way}`, new RegExp(`^ok 127\\.0\\.0\\.1:${media} answers after`));
    }
    for (const way of ['UDP', 'TCP', 'TLS']) {
      says(seen, `TURN over ${way}`, /^ok 127\.0\.0\.1:\d+ carries, after/);
    }
    says(seen, 'session', /^ok left again/);
    assert.equal(seen.code, 0, seen.stdout);
    await nobodyStays(stage);
  },

  'a token to publish is known by its refusal to play': async (stage) => {
    const token = await stage.ana.mediaToken(stage.session.id, 'whip');
    const args = ['--session', stage.session.id];
    const seen = await doctor(stage.server.origin, { token, args });
    says(seen, 'TLS', /^not tested /);
    says(seen, 'session', /^ok entered to publish/);
    says(seen, 'media over UDP', /^ok /);
    says(seen, 'session', /^ok left again/);
    // The certificate of TURN is of development's authority, which this machine does not trust.
    says(seen, 'TURN over TLS', /^failed .*no authority that this machine trusts/);
    assert.equal(seen.code, 1);
    await nobodyStays(stage);
  },

  'each token that can not be used is told apart': async (stage) => {
    const { id, tenant } = stage.session;
    const at = (session) => ['--session', session];
    const bound = await doctor(stage.server.origin, { token: stage.ana.token, args: at(id) });
    says(bound, 'session', /^failed the token is bound to a key/);
    const unknown = await doctor(stage.server.origin, { token: 'hunter2hunter2', args: at(id) });
    says(unknown, 'session', /^failed the token is neither a media token nor an access token/);
    const wrong = await doctor(stage.server.origin, {
      token: `cbm_${'A'.repeat(43)}`,
      args: at(id),
    });
    says(wrong, 'session', /^failed the server answers 401 TOKEN_INVALID/);
    const free = await bearerToken(stage.server, { tenant, user: 'eva' });
    const elsewhere = '01890a5d-ac96-774b-bcce-b302099a8057';
    const lost = await doctor(stage.server.origin, { token: free, args: at(elsewhere) });
    says(lost, 'session', /^failed the server answers 404 SESSION_NOT_FOUND/);
    for (const { code } of [bound, unknown, wrong, lost]) assert.equal(code, 1);
    const unnamed = await doctor(stage.server.origin, { token: free });
    says(unnamed, 'media', /^not tested the session is not known/);
    assert.equal(unnamed.code, 0);
    const plays = await doctor(stage.server.origin, {
      token: free,
      args: [...at(id), ...stage.ca],
    });
    says(plays, 'session', /^ok entered to play/);
    assert.equal(plays.code, 0, plays.stdout);
    await nobodyStays(stage);
  },

  'a certificate is refused by its name and by its authority': async (stage) => {
    const other = await doctor(await withTls(stage, OTHER_NAME), { args: stage.ca });
    says(other, 'TLS', /^failed the certificate is for another name: .*localhost/);
    says(other, 'media', /^not tested the server was not reached$/);
    const stranger = await doctor(await withTls(stage));
    says(stranger, 'TLS', /^failed no authority that this machine trusts/);
    const old = await doctor(await withTls(stage, '127.0.0.1', ['http/1.1']), { args: stage.ca });
    says(old, 'HTTP/2', /^warning not offered/);
    assert.deepEqual([other.code, stranger.code, old.code], [1, 1, 0]);
  },

  'what answers and is no Cabildo is not taken for one': async (stage) => {
    const page = await answering(stage, (_, response) => response.end('<h1>It works</h1>'));
    const wrong = await doctor(page);
    says(wrong, 'server', /^failed no Cabildo answers there: .* 200/);
    const moved = await answering(stage, (_, response) => {
      response.writeHead(301, { Location: 'https://elsewhere.example/' });
      response.end();
    });
    const redirected = await doctor(moved);
    says(redirected, 'server', /^failed the address redirects to https:\/\/elsewhere\.example\//);
    const gone = await doctor(`http://127.0.0.1:${await steadyPort()}`);
    says(gone, 'TCP', /^failed .*nothing listens there/);
    const unnamed = await doctor('https://nobody.invalid');
    says(unnamed, 'DNS', /^failed nobody\.invalid has no address/);
    for (const { code } of [wrong, redirected, gone, unnamed]) assert.equal(code, 1);
  },

  'an address that can not be used is wrong usage and is not repeated': async () => {
    const secret = await doctor('https://ana:hunter2@cabildo.example');
    assert.equal(secret.code, 2);
    assert.match(secret.stderr, /user name or a password/);
    assert.doesNotMatch(secret.stderr, /hunter2/);
    for (const address of ['cabildo.example', 'ftp://cabildo.example', '']) {
      assert.equal((await doctor(address)).code, 2, address);
    }
    const session = ['--session', 'tomorrow'];
    assert.equal((await doctor('https://cabildo.example', { args: session })).code, 2);
  },

  'a proxy without upgrades and a clock that is off are told': async (stage) => {
    const answer = async (request, response) => {
      const { status, body } = await fetch(stage.server.origin + request.url).then(
        async (answered) => ({ status: answered.status, body: await answered.text() }),
      );
      const late = new Date(Date.now() + 300_000).toUTCString();
      response.writeHead(status, { 'Content-Type': 'application/json', Date: late });
      response.end(body);
    };
    const seen = await doctor(await answering(stage, answer));
    says(seen, 'server', /^ok /);
    says(seen, 'WebSocket', /^failed the upgrade is answered with 400/);
    says(seen, 'clock', /^warning the clock here is (29|30)\d s behind the server's/);
    assert.equal(seen.code, 1);
  },

  'a media port that lets nothing in is told, with the ways that are left': async (stage) => {
    // It takes datagrams and answers none, as a firewall does that drops them.
    const silent = createSocket('udp4');
    silent.bind(0, '127.0.0.1');
    await once(silent, 'listening');
    await stage.server.stop();
    const { port } = silent.address();
    stage.server.environment = { ...stage.turnTls, CABILDO_MEDIA__CANDIDATES: `127.0.0.1:${port}` };
    await stage.server.start();
    const { id } = stage.session;
    const token = await stage.ana.mediaToken(id, 'whep');
    const seen = await doctor(stage.server.origin, {
      token,
      args: ['--session', id, ...stage.ca],
    });
    silent.close();
    says(seen, 'media over UDP', new RegExp(`^failed 127\\.0\\.0\\.1:${port}: no answer within`));
    says(seen, 'media over TCP', /^failed .*nothing listens there/);
    says(seen, 'TURN over UDP', /^not tested /);
    says(seen, 'TURN over TCP', /^failed .*nothing listens there/);
    says(seen, 'TURN over TLS', /^ok /);
    says(seen, 'session', /^ok left again/);
    assert.equal(seen.code, 1);
    assert.match(seen.stdout, /set media\.candidates to its public address/);
    await nobodyStays(stage);
  },
});
