// Two servers on one PostgreSQL. People are in a room of the first, and whoever watches watches there;
// a request that changes their session reaches the second. The first learns of it at once.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asGovernance, startedSession } from './api.mjs';
import { Person } from './person.mjs';
import { Postgres } from './postgres.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

async function open(stage) {
  stage.directory = mkdtempSync(join(tmpdir(), 'cabildo-elsewhere-'));
  stage.postgres = await Postgres.start();
  const shared = {
    ...stage.postgres.environment,
    CABILDO_KEYS__DIRECTORY: join(stage.directory, 'keys'),
  };
  stage.server = await Server.start('here', shared);
  stage.other = await Server.start('elsewhere', shared);
  stage.session = await startedSession(stage.server, { moderation: 'open' });
  stage.stop = async () => {
    await stage.other.destroy();
    await stage.server.stop('SIGKILL');
    stage.postgres.stop();
    rmSync(stage.directory, { recursive: true, force: true });
  };
}

/** Changes the session by the other server. */
async function change({ other, session }, wanted) {
  const match = { 'If-Match': `"${session.version}"` };
  const path = `/api/v1/sessions/${session.id}`;
  const changed = await asGovernance(other, 'PATCH', path, wanted, match);
  assert.equal(changed.status, 200, JSON.stringify(changed));
  session.version = changed.body.version;
}

story('A session that is changed by another instance', open, {
  'its members are told at once': async (stage, t) => {
    const { server, session } = stage;
    const person = await Person.of(server, { tenant: session.tenant_id, user: 'ana' });
    stage.ana = await person.enter(session.id);
    const told = stage.ana.told('live_viewing_changed');
    const began = Date.now();
    await change(stage, { live_viewing: true });
    assert.equal((await told).live_viewing, true);
    t.diagnostic(`after ${Date.now() - began} ms`);
  },

  'and so are those who watch': async (stage, t) => {
    const { server, session } = stage;
    const tenant = session.tenant_id;
    const body = { tenantId: tenant, sessionId: session.id };
    const issued = await asGovernance(server, 'POST', '/gateway/sessions', body);
    assert.equal(issued.status, 201, JSON.stringify(issued));
    const query = new URLSearchParams({ token: issued.body.token });
    const main = `${server.origin}/gateway/playback/${tenant}/session:${session.id}/index.m3u8?${query}`;
    const text = await until('a playlist', async () => {
      const answer = await fetch(main);
      return answer.ok && answer.text();
    });
    const media = new URL(
      text.split('\n').find((line) => /^[^#]/.test(line)),
      main,
    );
    const began = Date.now();
    await change(stage, { live_viewing: false });
    await until('the end', async () => (await (await fetch(media)).text()).includes('ENDLIST'));
    t.diagnostic(`after ${Date.now() - began} ms`);
    await stage.ana.leave();
  },
});
