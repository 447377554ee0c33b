// Two servers on one PostgreSQL share what governance tells by Kafka. One of them is killed without a
// word and comes back, so that the brokers give its part to the other and take it away again: every
// vote is announced in the room, once.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startedSession } from './api.mjs';
import { Brokers } from './brokers.mjs';
import { Person } from './person.mjs';
import { Postgres } from './postgres.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

/** Votes before, while and after one of the readers is gone. */
const EACH = 12;
/** The brokers miss a reader after ten seconds; then the others join anew. */
const REBALANCED_WITHIN_MS = 120_000;

async function open(stage) {
  stage.directory = mkdtempSync(join(tmpdir(), 'cabildo-readers-'));
  stage.postgres = await Postgres.start();
  stage.brokers = await Brokers.start();
  const shared = {
    ...stage.postgres.environment,
    ...stage.brokers.environment,
    CABILDO_KEYS__DIRECTORY: join(stage.directory, 'keys'),
    CABILDO_VAULT__DIRECTORY: join(stage.directory, 'vault'),
  };
  stage.server = await Server.start('reader', shared);
  stage.other = await Server.start('reader-other', shared);
  stage.session = await startedSession(stage.server, { moderation: 'open' });
  const person = await Person.of(stage.server, { tenant: stage.session.tenant_id, user: 'ana' });
  stage.ana = await person.enter(stage.session.id);
  stage.told = [];
  stage.stop = async () => {
    await stage.other.destroy();
    await stage.server.stop('SIGKILL');
    await stage.brokers.stop();
    stage.postgres.stop();
    rmSync(stage.directory, { recursive: true, force: true });
  };
}

async function tellVotes(stage, votes) {
  for (let vote = 0; vote < votes; vote += 1) {
    const id = `vote-${stage.told.length}`;
    stage.told.push(id);
    await stage.brokers.startVote(stage.session, { vote_id: id, title: 'Presupuesto' });
  }
}

/** Waits until everything that was told is announced, and sees that nothing is twice. */
async function areAnnounced(stage) {
  const announced = await until(
    'every vote in the room',
    async (seen) => {
      seen.last = stage.ana.messages
        .filter(({ type }) => type === 'vote_announced')
        .map(({ vote_id }) => vote_id);
      return seen.last.length >= stage.told.length ? seen.last : null;
    },
    REBALANCED_WITHIN_MS,
  );
  assert.deepEqual(announced.sort(), [...stage.told].sort());
}

story('Two servers that read what governance tells', open, {
  'every vote is announced once, whichever of them reads it': async (stage) => {
    await tellVotes(stage, EACH);
    await areAnnounced(stage);
  },

  'what a reader that is killed had to read the other reads': async (stage) => {
    await tellVotes(stage, EACH / 2);
    await stage.other.stop('SIGKILL');
    await tellVotes(stage, EACH);
    await areAnnounced(stage);
  },

  'and when it comes back, nothing is told twice or lost': async (stage) => {
    const back = stage.other.start();
    await tellVotes(stage, EACH);
    await back;
    await tellVotes(stage, EACH);
    await areAnnounced(stage);
    const kinds = `SELECT count(*) FROM room_events
      WHERE session_id = '${stage.session.id}' AND kind = 'vote_announced'`;
    assert.equal(stage.postgres.sql('cabildo', kinds), String(stage.told.length));
  },
});
