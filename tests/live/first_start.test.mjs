// Two servers that are started at the same moment, for the first time, on one new PostgreSQL. With the
// same vault and keys both serve; with different ones one of them does, and the other says why not.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { call, startedSession } from './api.mjs';
import { Person } from './person.mjs';
import { Postgres } from './postgres.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

/** How often each pair is started. */
const ROUNDS = 2;

async function open(stage) {
  stage.directory = mkdtempSync(join(tmpdir(), 'cabildo-first-start-'));
  stage.servers = [];
  stage.stop = async () => {
    await Promise.all(stage.servers.map((server) => server.destroy()));
    stage.postgres?.stop();
    rmSync(stage.directory, { recursive: true, force: true });
  };
}

/** Starts two servers at once on a new database; what became of each start. */
async function startBoth(stage, what, placesOf) {
  stage.postgres = await Postgres.start();
  const servers = [0, 1].map((number) => {
    const places = placesOf(number);
    return new Server(`${what}-${number}`, {
      ...stage.postgres.environment,
      CABILDO_VAULT__DIRECTORY: join(stage.directory, `${what}-vault-${places.vault}`),
      CABILDO_KEYS__DIRECTORY: join(stage.directory, `${what}-keys-${places.keys}`),
    });
  });
  stage.servers = servers;
  const starts = await Promise.allSettled(servers.map((server) => server.start()));
  return servers.map((server, at) => ({ server, started: starts[at].status === 'fulfilled' }));
}

async function stopBoth(stage) {
  await Promise.all(stage.servers.map((server) => server.destroy()));
  stage.servers = [];
  stage.postgres.stop();
  stage.postgres = undefined;
}

/** A server serves: sessions begin, and are there for whoever else serves. */
async function serve(servers) {
  for (const server of servers) {
    const session = await startedSession(server);
    for (const other of servers) {
      const ready = await call(other, 'GET', '/health/ready');
      assert.equal(ready.status, 200, JSON.stringify(ready));
      const identity = { tenant: session.tenant_id, user: 'ana' };
      const ana = await Person.of(other, identity);
      const seen = await ana.call('GET', `/api/v1/sessions/${session.id}`);
      assert.equal(seen.body.status, 'active', JSON.stringify(seen));
    }
  }
}

function different(places, code) {
  return async (stage) => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const what = `${places.join('-')}-${round}`;
      const both = await startBoth(stage, what, (number) => {
        const own = Object.fromEntries(places.map((place) => [place, number]));
        return { vault: 0, keys: 0, ...own };
      });
      const serving = both.filter(({ started }) => started);
      const told = both.map(({ server }) => server.log()).join('\n');
      assert.equal(serving.length, 1, told);
      const refused = both.find(({ started }) => !started).server;
      assert.deepEqual(await refused.exited, { code: 3, signal: null }, told);
      await until(code, () => refused.log().includes(code));
      await serve(serving.map(({ server }) => server));
      await stopBoth(stage);
    }
  };
}

story('Two servers that start at once for the first time', open, {
  'with the same vault and keys both serve': async (stage) => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const both = await startBoth(stage, `same-${round}`, () => ({ vault: 0, keys: 0 }));
      const told = both.map(({ server }) => server.log()).join('\n');
      assert.deepEqual(
        both.map(({ started }) => started),
        [true, true],
        told,
      );
      await serve(both.map(({ server }) => server));
      await stopBoth(stage);
    }
  },
  'with different vaults one of them serves': different(['vault'], 'VAULT_UNMARKED'),
  'with different keys one of them serves': different(['keys'], 'KEYS_UNMARKED'),
  'with both different one of them serves': different(['vault', 'keys'], 'VAULT_UNMARKED'),
});
