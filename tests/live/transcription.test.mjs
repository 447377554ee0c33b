// Chromium speaks recorded phrases into its fake microphone; what it said is read
// as captions in another browser, as whoever said it, in the turn in which it was
// said. Whoever may not speak, or says nothing, is not written down.
import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asGovernance, startedSession } from './api.mjs';
import { launch, messages, screenshot } from './browser.mjs';
import { sendsSound } from './listen.mjs';
import { isAccessible } from './looks.mjs';
import {
  approve,
  ask,
  cutOff,
  holdsNobody,
  isConnected,
  isReconnecting,
  join as joinMeeting,
  openConsole,
  openJoin,
  press,
  reconnect,
  startTurn,
  stateOf,
} from './pages.mjs';
import { Person } from './person.mjs';
import { Server } from './server.mjs';
import { MODEL, recordSpeech, wordsOf } from './speech.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

/** A phrase is said every three or four seconds; a busy machine lets some go. */
const PATIENCE_MS = 120_000;

const CHAIR = 'es-hay-quorum.wav';
const ENGLISH = 'en-i-vote-in-favour.wav';
/** How a page says that a moderator has set the language of the session again. */
const SAID_TO_THEM = 'La moderación ha indicado que usted habla el idioma de la sesión';
/** Long enough for words so far, which are made of a second of speech and more. */
const ANA = 'es-eleccion-del-consejo-de-administracion.wav';

async function open(stage) {
  stage.server = await Server.start('transcription', {
    CABILDO_TRANSCRIPTION__MODEL: MODEL,
  });
  const place = (who) => join(tmpdir(), `cabildo-speech-${process.pid}-${who}.wav`);
  stage.sounds = { room: place('room'), hall: place('hall') };
  recordSpeech(stage.sounds.room, [ANA]);
  recordSpeech(stage.sounds.hall, [CHAIR]);
  stage.room = await launch({ sound: stage.sounds.room });
  stage.hall = await launch({ sound: stage.sounds.hall });
  stage.session = await startedSession(stage.server, {
    moderation: 'moderated',
    transcription: { enabled: true, language: 'es' },
  });
}

/** All texts that a page was told, of which each is final or not. */
const chunks = async (page, isFinal) =>
  (await messages(page, 'transcript_chunk')).filter(({ final }) => final === isFinal);

/** All texts of somebody that a page was told, that stay. */
const textsOf = async (page, user) =>
  (await chunks(page, true)).filter(({ participant }) => participant === user);

/**
 * Waits until a page was told what is said in `file` as the words of `user`, `times` more; answers
 * the last. When a microphone opens in the middle of a phrase, the first text is of a part.
 */
async function reads(page, user, file, times = 2) {
  const before = (await textsOf(page, user)).length;
  return until(
    `the words of ${user}`,
    async (seen) => {
      const texts = (await textsOf(page, user)).slice(before);
      seen.last = texts.map(({ text }) => text);
      const exact = texts.filter(({ text }) => text === wordsOf(file));
      return exact.length >= times ? exact.at(-1) : null;
    },
    PATIENCE_MS,
  );
}

/**
 * Asserts that nothing that `user` says from now on becomes text at `page`. The time in which nothing
 * may come is measured by what does come: what the chair says meanwhile. What either said before may
 * come as well, and late on a busy machine.
 */
async function readsNothing(page, user) {
  const now = Date.now();
  const saidSince = async (who) =>
    (await textsOf(page, who)).filter(({ from }) => Date.parse(from) >= now);
  await until(
    'what the chair says',
    async (seen) => {
      seen.last = (await saidSince('chair')).map(({ text }) => text);
      return seen.last.filter((text) => text === wordsOf(CHAIR)).length >= 3;
    },
    PATIENCE_MS,
  );
  const texts = await saidSince(user);
  assert.deepEqual(
    texts.map(({ text }) => text),
    [],
  );
}

/** Waits until a page shows words as a caption under a name. */
const shows = (page, user, file) =>
  page
    .locator(`[data-testid="caption"][data-user="${user}"]`)
    .filter({ hasText: wordsOf(file) })
    .first()
    .waitFor({ timeout: PATIENCE_MS });

async function givesFloor(chair, page, user) {
  await ask(page);
  await approve(chair, user);
  await startTurn(chair, user);
}

/** Somebody alone in a session of a language, who speaks, and who is read in the other browser. */
async function speaksIn(stage, language, file) {
  const { server } = stage;
  const session = await startedSession(server, {
    moderation: 'open',
    transcription: { enabled: true, language },
  });
  const reader = await openConsole(stage.hall, server, session, {
    user: 'reader',
  });
  recordSpeech(stage.sounds.room, [file]);
  const speaker = await openJoin(stage.room, server, session, {
    user: 'speaker',
  });
  await joinMeeting(speaker);
  const text = await reads(reader, 'speaker', file);
  assert.equal(text.language, language);
  assert.equal(text.turn, undefined, 'nobody gives turns here');
  await speaker.context().close();
  await reader.context().close();
}

/** Chooses the language that one speaks, with the keyboard alone. */
async function choosesLanguage(page, language) {
  await press(page, 'captions-button');
  const own = page.getByTestId('own-language');
  await own.focus();
  await own.selectOption(language);
  await isAccessible(page, 'the language that one speaks');
  await screenshot(page, 'own-language');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.getByTestId('own-language-set').waitFor({ state: 'detached' });
  await page.keyboard.press('Escape');
  await own.waitFor({ state: 'detached' });
}

/** Waits until a page was told what is said in `file` as the words of `user`, in this language. */
async function readsIn(page, user, file, language) {
  const before = (await textsOf(page, user)).length;
  await until(
    `the words of ${user} in ${language}`,
    async (seen) => {
      const texts = (await textsOf(page, user)).slice(before);
      seen.last = texts.map((text) => [text.text, text.language]);
      return texts.some((text) => text.text === wordsOf(file) && text.language === language);
    },
    PATIENCE_MS,
  );
}

story('Live transcription', open, {
  'people come in, of whom only the chair may speak': async (stage) => {
    const { server, session, room, hall, pages } = stage;
    pages.chair = await openConsole(hall, server, session, { user: 'chair' });
    pages.ben = await openJoin(hall, server, session, { user: 'ben' });
    await joinMeeting(pages.ben, { microphone: false });
    pages.ana = await openJoin(room, server, session, { user: 'ana' });
    await joinMeeting(pages.ana);
    await press(pages.chair, 'mic-button');
    const text = await reads(pages.ben, 'chair', CHAIR);
    assert.equal(text.turn, undefined, 'a chair needs no turn');
    assert.equal(text.engine, 'whisper cabildo-micro.ggml');
    await shows(pages.ben, 'chair', CHAIR);
  },

  'who has no floor is not written down': async ({ pages }) => {
    await sendsSound(pages.ana);
    await readsNothing(pages.ben, 'ana');
  },

  'what is said in a turn is shown under the name of who said it': async ({ server, pages }, t) => {
    const { ana, ben, chair } = pages;
    await givesFloor(chair, ana, 'ana');
    const { turn } = await stateOf(chair);
    const text = await reads(ben, 'ana', ANA);
    assert.equal(text.turn, turn.turn_id);
    assert.equal(text.language, 'es');
    // What she is still saying is shown, under no other name and in no other turn. The phrase comes
    // again and again, so words of it are due as soon as a worker has nothing to do.
    const soFar = await until(
      'words so far',
      async () => {
        const found = await chunks(ben, false);
        return found.some(({ text: words }) => words !== '') ? found : null;
      },
      PATIENCE_MS,
    );
    for (const one of soFar) {
      assert.deepEqual([one.participant, one.turn, one.seq], ['ana', turn.turn_id, undefined]);
    }
    assert.ok(text.confidence > 0.5, `${text.confidence}`);
    await shows(ben, 'ana', ANA);
    await screenshot(ben, 'captions');
    const metrics = await server.metrics();
    const of = (part) => metrics[`cabildo_transcription_latency_seconds_${part}`];
    const mean = of('sum') / of('count');
    t.diagnostic(`${of('count')} texts, on average ${mean.toFixed(2)} s after the speech`);
  },

  'who is muted in their turn is not written down': async ({ pages }) => {
    const { ana, ben, chair } = pages;
    await press(chair, 'mute-ana');
    await ana.locator('[data-testid="mic-state"][data-state="muted_by_moderator"]').waitFor();
    await readsNothing(ben, 'ana');
    await press(chair, 'unmute-ana');
    await reads(ben, 'ana', ANA);
  },

  'a speaker who loses the channel and comes back stays the same': async ({ pages }) => {
    const { ana, ben, chair } = pages;
    const { turn } = await stateOf(chair);
    await cutOff(ana);
    await isReconnecting(ana);
    // The media goes on meanwhile.
    assert.equal((await reads(ben, 'ana', ANA)).turn, turn.turn_id);
    await reconnect(ana);
    await isConnected(ana);
    assert.equal((await reads(ben, 'ana', ANA)).turn, turn.turn_id);
  },

  'a correction that was begun stays while another one is made': async ({ pages }) => {
    const { ben, chair } = pages;
    const [first, second] = (await chunks(chair, true)).slice(-2);
    const piece = ({ seq }) => chair.locator(`[data-testid="transcript-piece"][data-seq="${seq}"]`);
    const input = (of) => piece(of).getByTestId('correction-input');
    for (const [of, words] of [
      [first, 'primera corrección'],
      [second, 'segunda corrección'],
    ]) {
      await piece(of).getByTestId('correct-button').click();
      await input(of).fill(words);
    }
    await piece(second).getByTestId('correction-save').click();
    await input(second).waitFor({ state: 'detached' });
    assert.equal(await input(first).inputValue(), 'primera corrección');
    await piece(first).getByTestId('correction-save').click();
    await until('both corrections', async (seen) => {
      const told = await messages(ben, 'transcript_corrected');
      seen.last = told.map(({ of, text }) => [of, text]);
      const has = ({ seq }, words) => told.some(({ of, text }) => of === seq && text === words);
      return has(first, 'primera corrección') && has(second, 'segunda corrección');
    });
  },

  'after the turn nothing more is written down': async ({ pages }) => {
    const { ana, ben, chair } = pages;
    await press(chair, 'stop-turn');
    await holdsNobody(ana);
    await sendsSound(ana);
    await readsNothing(ben, 'ana');
  },

  'a speaker who comes in anew is read as before': async (stage) => {
    const { server, session, room, pages } = stage;
    await pages.ana.context().close();
    pages.ana = await openJoin(room, server, session, { user: 'ana' });
    await joinMeeting(pages.ana);
    await givesFloor(pages.chair, pages.ana, 'ana');
    const { turn } = await stateOf(pages.chair);
    assert.equal((await reads(pages.ben, 'ana', ANA)).turn, turn.turn_id);
    await press(pages.chair, 'stop-turn');
    await holdsNobody(pages.ana);
    await pages.ana.context().close();
  },

  'silence and noise give no text': async (stage) => {
    const { server, session, room, sounds, pages } = stage;
    recordSpeech(sounds.room, ['silence.wav', 'white-noise.wav']);
    pages.ana = await openJoin(room, server, session, { user: 'ana' });
    await joinMeeting(pages.ana);
    await givesFloor(pages.chair, pages.ana, 'ana');
    await readsNothing(pages.ben, 'ana');
    await readsNothing(pages.ben, 'ana');
  },

  'the transcript of the session has what was shown': async (stage) => {
    const { server, session, pages } = stage;
    const shown = await chunks(pages.ben, true);
    const ended = await asGovernance(server, 'POST', `/api/v1/sessions/${session.id}/end`);
    assert.equal(ended.status, 200, JSON.stringify(ended.body));
    for (const page of Object.values(pages)) await page.context().close();
    stage.pages = {};
    const reader = await Person.of(server, {
      tenant: session.tenant_id,
      user: 'chair',
      roles: ['moderator'],
    });
    await until('a whole transcript', async (seen) => {
      const path = `/api/v1/sessions/${session.id}/transcript?limit=500`;
      const { body } = await reader.call('GET', path);
      const texts = body.items.filter(({ text }) => text !== null);
      seen.last = texts.length;
      const has = (one) =>
        texts.some(({ seq, text, original }) => seq === one.seq && (original ?? text) === one.text);
      return shown.every(has);
    });
  },

  'English and Portuguese are read as well': async (stage) => {
    await speaksIn(stage, 'en', ENGLISH);
    await speaksIn(stage, 'pt', 'pt-questao-de-ordem.wav');
  },

  'in one session everybody is read in the language that they speak': async (stage) => {
    const { server, room, hall, pages } = stage;
    const session = await startedSession(server, {
      moderation: 'open',
      transcription: { enabled: true, language: 'es' },
    });
    pages.chair = await openConsole(hall, server, session, { user: 'chair' });
    await press(pages.chair, 'mic-button');
    recordSpeech(stage.sounds.room, [ENGLISH]);
    pages.guest = await openJoin(room, server, session, { user: 'guest' });
    await joinMeeting(pages.guest);
    await choosesLanguage(pages.guest, 'en');
    await readsIn(pages.chair, 'guest', ENGLISH, 'en');
    await readsIn(pages.chair, 'chair', CHAIR, 'es');
    const caption = pages.chair.locator('[data-testid="transcript-piece"] [lang="en"]');
    await caption
      .filter({ hasText: wordsOf(ENGLISH) })
      .first()
      .waitFor();
    await shows(pages.guest, 'chair', CHAIR);
    await screenshot(pages.guest, 'captions-languages');
  },

  'a language outlasts a lost connection and a page that is loaded anew': async ({ pages }) => {
    const { chair, guest } = pages;
    await cutOff(guest);
    await isReconnecting(guest);
    await reconnect(guest);
    await isConnected(guest);
    await readsIn(chair, 'guest', ENGLISH, 'en');
    await guest.reload();
    await isConnected(guest);
    await readsIn(chair, 'guest', ENGLISH, 'en');
    await press(guest, 'captions-button');
    const own = guest.getByTestId('own-language');
    await until('her language', async () => (await own.inputValue()) === 'en');
    await guest.keyboard.press('Escape');
    await own.waitFor({ state: 'detached' });
  },

  'a moderator says for others what they speak, and they are told': async ({ pages }) => {
    const { chair, guest } = pages;
    await press(chair, 'language-guest');
    const dialog = chair.getByTestId('language-dialog');
    await isAccessible(chair, 'the language of somebody');
    await screenshot(chair, 'language-dialog');
    const theirs = chair.getByTestId('their-language');
    await until('their language', async () => (await theirs.inputValue()) === 'en');
    await theirs.selectOption('');
    await press(chair, 'their-language-set');
    await dialog.waitFor({ state: 'detached' });
    const told = await until('the news', async () => {
      const [last] = (await messages(guest, 'language_changed')).slice(-1);
      return last?.language === null ? last : null;
    });
    assert.deepEqual([told.user_id, told.by], ['guest', 'chair']);
    await guest.getByText(SAID_TO_THEM).first().waitFor();
    await until(
      'a text in the language of the session',
      async (seen) => {
        seen.last = (await textsOf(chair, 'guest')).map(({ language }) => language);
        return seen.last.at(-1) === 'es';
      },
      PATIENCE_MS,
    );
    for (const page of Object.values(pages)) await page.context().close();
  },
});
