// One assembly, from its making to its end: four participants and a moderator,
// each on the page of the web client that is theirs.
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { randomBytes } from 'node:crypto';
import { asGovernance, mutualTls, startedSession } from './api.mjs';
import {
  holes,
  inbound,
  launch,
  messages,
  outbound,
  received,
  screenshot,
  sentMessages,
} from './browser.mjs';
import { hears, hearsNothing, hearsPitch, sees, sendsSound } from './listen.mjs';
import {
  approve,
  ask,
  cutOff,
  holds,
  holdsNobody,
  isConnected,
  isReconnecting,
  join,
  openConsole,
  openJoin,
  press,
  reconnect,
  startTurn,
  stateOf,
} from './pages.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

/** Who sits in front of a browser whose microphone sounds at this many hertz. */
const LOW = { hertz: 440, people: ['ana', 'carla'] };
const HIGH = { hertz: 880, people: ['ben', 'dora'] };
const PARTICIPANTS = ['ana', 'ben', 'carla', 'dora'];

async function open(stage) {
  stage.server = await Server.start('meeting');
  stage.low = await launch({ hertz: LOW.hertz });
  stage.high = await launch({ hertz: HIGH.hertz });
}

const receivers = (stage, ...without) =>
  Object.entries(stage.pages).filter(([who]) => !without.includes(who));

/** Everybody but `user` hears `user`. */
const isHeard = (stage, user) =>
  Promise.all(receivers(stage, user).map(([, page]) => hears(page, user)));

/** Nobody hears any of `users`, while everybody sees somebody. */
const isSilent = (stage, users) =>
  Promise.all(
    receivers(stage, 'chair').map(([who, page]) =>
      hearsNothing(
        page,
        users.filter((user) => user !== who),
        PARTICIPANTS.find((one) => one !== who),
      ),
    ),
  );

async function everybodySees(stage, frames) {
  await Promise.all(
    receivers(stage, 'chair').map(([who, page]) =>
      sees(
        page,
        PARTICIPANTS.filter((one) => one !== who && one in stage.pages),
        frames,
      ),
    ),
  );
}

async function restart(stage, signal, t) {
  const { chair } = stage.pages;
  const before = await stateOf(chair);
  await stage.server.stop(signal);
  await Promise.all(receivers(stage).map(([, page]) => isReconnecting(page)));
  const stoppedAt = Date.now();
  await stage.server.start();
  const startedAt = Date.now();
  await Promise.all(receivers(stage).map(([, page]) => isConnected(page)));
  t.diagnostic(`all pages were connected ${Date.now() - startedAt} ms after the server was ready`);
  await until('everybody in the room', async (seen) => {
    seen.last = (await stateOf(chair)).people;
    return JSON.stringify(seen.last) === JSON.stringify(before.people);
  });
  const after = await stateOf(chair);
  assert.equal(after.turn.turn_id, before.turn.turn_id);
  assert.equal(after.turn.user_id, before.turn.user_id);
  assert.equal(after.turn.running, true);
  // The speaker in the hall spoke on: the clock ran while the server was down.
  assert.ok(after.turn.used_ms >= before.turn.used_ms + (startedAt - stoppedAt));
  assert.deepEqual(after.queue, before.queue);
  assert.deepEqual(after.requested, before.requested);
  assert.deepEqual(after.muted, before.muted);
  await everybodySees(stage, 20);
  await isHeard(stage, after.turn.user_id);
  for (const [who, page] of receivers(stage)) assert.deepEqual(await holes(page), [], who);
}

story('An assembly', open, {
  'the governance service makes a session, and nobody else can': async (stage) => {
    const { server } = stage;
    stage.session = await startedSession(server, { moderation: 'moderated', media_policy: 'all' });
    assert.equal(stage.session.status, 'active');
    const path = '/api/v1/sessions';
    await assert.rejects(
      mutualTls(server, { rejectUnauthorized: false }, 'POST', path, {}),
      'a caller without a certificate got through',
    );
    const outside = await fetch(server.origin + path, { method: 'POST', body: '{}' });
    assert.equal(outside.status, 401);
  },

  'four participants and a moderator come in and see each other': async (stage, t) => {
    const { server, session, low, high, pages } = stage;
    pages.chair = await openConsole(
      low,
      server,
      session,
      { user: 'chair', name: 'Presidencia' },
      { viewport: { width: 1280, height: 800 } },
    );
    await press(pages.chair, 'mic-button');
    for (const [browser, group] of [
      [low, LOW],
      [high, HIGH],
    ]) {
      for (const user of group.people) {
        const page = await openJoin(browser, server, session, { user });
        const pressedAt = Date.now();
        await join(page);
        t.diagnostic(`${user} was in the room ${Date.now() - pressedAt} ms after pressing Join`);
        pages[user] = page;
      }
    }
    await everybodySees(stage);
    await Promise.all(receivers(stage).map(([who, page]) => screenshot(page, `meeting-${who}`)));
  },

  'the picture that is sent to somebody is as large as they see it': async (stage) => {
    const { ana } = stage.pages;
    // A browser whose processor is busy sends no large picture to anybody, asked or not.
    const sentBy = async (user) =>
      Math.max(...(await outbound(stage.pages[user])).map(({ width }) => width));
    const largest = (layer, width) =>
      until(`encoding ${layer} of the large picture, and no larger one`, async (seen) => {
        const large = await ana.locator('.stage.speaker > .tile').getAttribute('data-testid');
        const track = large?.slice('tile-'.length);
        const rows = (await inbound(ana)).filter(({ kind }) => kind === 'video');
        const row = rows.find((one) => one.track === track);
        const wanted = (await sentMessages(ana, 'subscribe')).findLast(
          (message) => message.track === track,
        );
        const possible = row === undefined ? 0 : Math.min(width, await sentBy(row.user));
        seen.last = [wanted, possible, rows.map((one) => [one.user, one.width])];
        const widest = Math.max(...rows.map((one) => one.width));
        return wanted?.max_layer === layer && row?.width === possible && widest === possible;
      });
    await ana.setViewportSize({ width: 1280, height: 800 });
    await largest(1, 640);
    await ana.setViewportSize({ width: 360, height: 740 });
    await largest(0, 320);
    await ana.setViewportSize({ width: 800, height: 600 });
  },

  'before any turn the moderator is heard and nobody else': async (stage) => {
    const { pages } = stage;
    await Promise.all(PARTICIPANTS.map((who) => sendsSound(pages[who])));
    await Promise.all(PARTICIPANTS.map((who) => hears(pages[who], 'chair')));
    await isSilent(stage, PARTICIPANTS);
    for (const [who, page] of receivers(stage)) {
      const sound = (await inbound(page)).filter(
        ({ kind, user }) => kind === 'audio' && user !== 'chair',
      );
      assert.ok(
        sound.every(({ packets, energy }) => packets === 0 && energy === 0),
        who,
      );
    }
  },

  'a turn is asked for, approved and started, and then its speaker is heard': async (stage) => {
    const { chair, ana, ben } = stage.pages;
    await ask(ana);
    await approve(chair, 'ana');
    await isSilent(stage, PARTICIPANTS);
    await startTurn(chair, 'ana');
    await isHeard(stage, 'ana');
    await hearsPitch(ben, 'ana', LOW.hertz);
    await isSilent(stage, ['ben', 'carla', 'dora']);
    await screenshot(ana, 'turn-speaker');
    await screenshot(ben, 'turn-listener');
    await screenshot(chair, 'turn-console');
  },

  'a pause closes the microphone and resuming opens it': async (stage) => {
    const { chair, ana } = stage.pages;
    await press(chair, 'pause-turn');
    await chair.getByTestId('resume-turn').waitFor();
    await isSilent(stage, PARTICIPANTS);
    await sendsSound(ana);
    await press(chair, 'resume-turn');
    await isHeard(stage, 'ana');
  },

  'the end of the turn closes it': async (stage) => {
    const { chair, ana } = stage.pages;
    await press(chair, 'stop-turn');
    await Promise.all(receivers(stage).map(([, page]) => holdsNobody(page)));
    await sendsSound(ana);
    await isSilent(stage, PARTICIPANTS);
  },

  'a mute holds while the client goes on sending': async (stage) => {
    const { chair, ben } = stage.pages;
    await ask(ben);
    await approve(chair, 'ben');
    await startTurn(chair, 'ben');
    await isHeard(stage, 'ben');
    await hearsPitch(chair, 'ben', HIGH.hertz);
    await press(chair, 'mute-ben');
    await ben.locator('[data-testid="mic-state"][data-state="muted_by_moderator"]').waitFor();
    await sendsSound(ben);
    await isSilent(stage, ['ben']);
    await screenshot(ben, 'muted-speaker');
    await press(ben, 'mic-button');
    await press(ben, 'mic-button');
    await sendsSound(ben);
    await isSilent(stage, ['ben']);
    await press(chair, 'unmute-ben');
    await isHeard(stage, 'ben');
  },

  'a modified client changes nothing': async (stage) => {
    const { carla } = stage.pages;
    const refusals = await carla.evaluate(async () => {
      const { client } = window.__cabildo;
      const codes = [];
      const attempt = (message) =>
        client.command(message).then(
          () => codes.push(`${message.type} was carried out`),
          ({ code }) => codes.push(code),
        );
      await client.command({ type: 'set_media', audio: true, video: true, screen: true });
      for (const type of ['start_turn', 'resume_turn', 'stop_turn', 'pause_turn', 'close_queue']) {
        await attempt({ type });
      }
      await attempt({ type: 'unmute_user', user_id: 'carla' });
      await attempt({ type: 'mute_user', user_id: 'ben' });
      await attempt({ type: 'extend_turn', seconds: 60 });
      await attempt({ type: 'set_moderation', moderation: 'open' });
      await attempt({ type: 'add_speaker', user_id: 'carla' });
      await attempt({ type: 'remove_participant', user_id: 'ben' });
      await attempt({ type: 'end_speech' });
      // The same voice once more, declared as the sound of a shared screen.
      const voice = await navigator.mediaDevices.getUserMedia({ audio: true });
      client.media.setTrack('screen_audio', voice.getAudioTracks()[0]);
      // And past the client, on its own transport.
      for (const sender of client.media.publisher.connection.getSenders()) {
        if (sender.track?.kind === 'audio') {
          await sender.replaceTrack(voice.getAudioTracks()[0].clone());
        }
      }
      return codes;
    });
    assert.deepEqual([...new Set(refusals)].sort(), ['FORBIDDEN', 'NOT_YOUR_TURN']);
    await until('a second sound of carla, offered to dora', async () => {
      const { dora } = stage.pages;
      const published = (await messages(dora, 'track_published')).findLast(
        ({ user_id, source }) => user_id === 'carla' && source === 'screen_audio',
      );
      const offered = (await messages(dora, 'offer')).at(-1).tracks;
      return offered.some(({ track }) => track === published?.track);
    });
    await sendsSound(carla, 100);
    await isSilent(stage, ['carla']);
    await isHeard(stage, 'ben');
    await carla.evaluate(() => window.__cabildo.client.media.setTrack('screen_audio', null));
  },

  'noise at the media port disturbs nobody': async (stage) => {
    const { ana, dora } = stage.pages;
    const [before] = (await inbound(dora)).filter(
      ({ user, kind }) => user === 'ben' && kind === 'audio',
    );
    await flood(stage.server.port.media, 20_000);
    await everybodySees(stage);
    await isHeard(stage, 'ben');
    const [after] = (await inbound(dora)).filter(
      ({ user, kind }) => user === 'ben' && kind === 'audio',
    );
    assert.equal(after.track, before.track);
    assert.ok(after.packets > before.packets);
    await isConnected(ana);
  },

  'a lost socket comes back without a hole, and media goes on meanwhile': async (stage, t) => {
    const { chair, dora } = stage.pages;
    await cutOff(dora);
    await isReconnecting(dora);
    await screenshot(dora, 'reconnecting');
    await hears(dora, 'ben');
    await sees(dora, ['ben']);
    await press(chair, 'pause-turn');
    await press(chair, 'resume-turn');
    await chair.getByTestId('pause-turn').waitFor();
    const onlineAt = Date.now();
    await reconnect(dora);
    await isConnected(dora);
    t.diagnostic(`connected ${Date.now() - onlineAt} ms after the network was back`);
    await until('the events that were missed', async () => {
      const resumed = await messages(dora, 'turn_resumed');
      return resumed.length === (await messages(chair, 'turn_resumed')).length;
    });
    assert.deepEqual(await holes(dora), []);
    assert.equal((await messages(dora, 'welcome')).at(-1).resumed, true);
    await hears(dora, 'ben');
    await sees(dora, ['ana', 'ben', 'carla']);
    const left = (await messages(chair, 'participant_left')).map(({ user_id }) => user_id);
    assert.ok(!left.includes('dora'), 'the others were told that she left');
  },

  'a reload goes on with the meeting, the turn included': async (stage, t) => {
    const { ben, chair } = stage.pages;
    const joined = (await messages(chair, 'participant_joined')).length;
    const reloadedAt = Date.now();
    await ben.reload();
    await isConnected(ben);
    await hears(chair, 'ben');
    t.diagnostic(`the speaker was heard again ${Date.now() - reloadedAt} ms after reloading`);
    await holds(ben, 'ben');
    // A browser may want a touch before it plays sound in a page that was reloaded.
    await until('sound that plays, or waits for a touch', async () => {
      const blocked = ben.getByTestId('hear-button');
      if (await blocked.isVisible()) await blocked.click();
      return ((await received(ben, 'chair', 'audio'))?.energy ?? 0) > 0;
    });
    await hears(ben, 'chair');
    await everybodySees(stage);
    assert.equal((await messages(chair, 'participant_joined')).length, joined, 'he never left');
  },

  'whoever is removed is out until they are admitted again': async (stage) => {
    const { chair, carla } = stage.pages;
    await press(chair, 'remove-carla');
    await carla.locator('[data-testid="closed"][data-reason="forbidden"]').waitFor();
    await carla.reload();
    await carla.locator('[data-testid="closed"][data-reason="forbidden"]').waitFor();
    await press(chair, 'admit-carla');
    // Her page could ask before the chair's has.
    await until('her admission', async (seen) => {
      const wish = (await sentMessages(chair, 'admit')).at(-1);
      seen.last = await messages(chair, 'ack');
      return wish !== undefined && seen.last.some(({ ref }) => ref === wish.id);
    });
    await until('carla in the room', async (seen) => {
      seen.last = await carla.locator('main').getAttribute('data-testid');
      if (seen.last === 'closed') {
        await carla.reload();
        await carla.locator('[data-testid="closed"], [data-testid="meeting"]').waitFor();
      }
      return seen.last === 'meeting';
    });
    await isConnected(carla);
    await everybodySees(stage);
  },

  'a server that is stopped and started again goes on where it was': async (stage, t) => {
    const { ana, carla, chair } = stage.pages;
    await ask(ana);
    await ask(carla);
    await approve(chair, 'ana');
    await restart(stage, 'SIGTERM', t);
    await screenshot(chair, 'after-restart-console');
  },

  'so does one that is killed': async (stage, t) => {
    await restart(stage, 'SIGKILL', t);
  },

  'who comes late sees everybody at once': async (stage, t) => {
    const { server, session, high, pages } = stage;
    await pages.dora.context().close();
    delete pages.dora;
    const page = await openJoin(high, server, session, { user: 'eva' });
    const pressedAt = Date.now();
    await join(page);
    await until('the first pictures', async (seen) => {
      const rows = (await inbound(page)).filter(({ kind }) => kind === 'video');
      seen.last = rows;
      const users = new Set(rows.filter(({ frames }) => frames > 0).map(({ user }) => user));
      return ['ana', 'ben', 'carla'].every((user) => users.has(user));
    });
    t.diagnostic(`the first pictures of all came ${Date.now() - pressedAt} ms after pressing Join`);
    pages.eva = page;
    await holds(page, 'ben');
    await hears(page, 'ben');
  },

  'the governance service ends it, and every page says so': async (stage) => {
    const { server, session } = stage;
    const ended = await asGovernance(server, 'POST', `/api/v1/sessions/${session.id}/end`);
    assert.equal(ended.status, 200, JSON.stringify(ended.body));
    assert.equal(ended.body.status, 'completed');
    await Promise.all(
      receivers(stage).map(([, page]) =>
        page.locator('[data-testid="closed"][data-reason="over"]').waitFor(),
      ),
    );
    for (const [who, page] of receivers(stage)) assert.deepEqual(page.problems, [], who);
  },

  'the logs hold no fault and nothing about people': async ({ server }) => {
    const lines = server.events();
    assert.ok(lines.length > 0);
    for (const line of lines) {
      assert.ok(['INFO', 'DEBUG'].includes(JSON.parse(line).level), line);
      // Tokens, names and addresses.
      assert.doesNotMatch(
        line,
        /eyJ|Presidencia|\b(ana|ben|carla|dora|eva)\b|\d+\.\d+\.\d+\.\d+:\d/,
      );
    }
  },
});

/** Datagrams that look a little like STUN, DTLS, RTP, RTCP or nothing at all. */
async function flood(port, count) {
  const socket = createSocket('udp4');
  const first = [0x00, 0x01, 0x14, 0x16, 0x17, 0x40, 0x80, 0x81, 0x90, 0xff];
  const cookie = [0x21, 0x12, 0xa4, 0x42];
  for (let index = 0; index < count; index += 1) {
    const datagram = randomBytes(1 + ((index * 37) % 1400));
    datagram[0] = first[index % first.length];
    if (datagram[0] < 2 && datagram.length > 20) datagram.set(cookie, 4);
    await new Promise((resolve, reject) => {
      socket.send(datagram, port, '127.0.0.1', (error) => (error ? reject(error) : resolve()));
    });
  }
  await new Promise((resolve) => socket.close(resolve));
}
