// Chromium speaks over a network that loses 5 % of the media; what it says is read in
// another browser, which is behind the same network, in the words in which it was said.
import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startedSession } from './api.mjs';
import { launch, messages } from './browser.mjs';
import { WeakNetwork } from './weak_network.mjs';
import { join as joinMeeting, openConsole, openJoin } from './pages.mjs';
import { Server } from './server.mjs';
import { MODEL, recordSpeech, wordsOf } from './speech.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

const PHRASE = 'es-voto-a-favor.wav';
const LOSS = 0.05;
/** Times that the phrase has to be read. */
const TIMES = 8;
/** A phrase is said every three seconds; a busy machine lets some go. */
const PATIENCE_MS = 120_000;

async function open(stage) {
  stage.network = await WeakNetwork.start({ loss: LOSS });
  stage.stop = () => stage.network.close();
  stage.server = await Server.start('transcription-loss', {
    CABILDO_TRANSCRIPTION__MODEL: MODEL,
    CABILDO_MEDIA__CANDIDATES: `127.0.0.1:${stage.network.port}`,
    CABILDO_MEDIA__TCP: 'false',
  });
  stage.network.serverPort = stage.server.port.media;
  const sound = join(tmpdir(), `cabildo-speech-${process.pid}-loss.wav`);
  stage.room = await launch({ sound: recordSpeech(sound, [PHRASE]) });
  stage.hall = await launch();
  stage.session = await startedSession(stage.server, {
    moderation: 'open',
    transcription: { enabled: true, language: 'es' },
  });
}

story('Transcription with 5 % loss', open, {
  'what is said is read in the words in which it was said': async (stage, t) => {
    const { server, session, network, room, hall, pages } = stage;
    pages.reader = await openConsole(hall, server, session, { user: 'reader' });
    pages.speaker = await openJoin(room, server, session, { user: 'speaker' });
    await joinMeeting(pages.speaker);
    const texts = await until(
      `the words of the speaker ${TIMES} times`,
      async (seen) => {
        const told = await messages(pages.reader, 'transcript_chunk');
        seen.last = told.map(({ text }) => text);
        return seen.last.filter((text) => text === wordsOf(PHRASE)).length >= TIMES && told;
      },
      PATIENCE_MS,
    );
    for (const { participant } of texts) assert.equal(participant, 'speaker');
    const { media, lost } = network;
    assert.ok(lost / media > LOSS / 2 && lost / media < 2 * LOSS, `${lost} of ${media} were lost`);
    const metrics = await server.metrics();
    const concealed = metrics['cabildo_transcriber_packets_concealed_total{engine="whisper"}'];
    assert.ok(concealed > 0, 'packets that were lost were noticed');
    const exact = texts.filter(({ text }) => text === wordsOf(PHRASE)).length;
    assert.ok(2 * exact >= texts.length, `${exact} of ${texts.length} texts have every word`);
    t.diagnostic(
      `${exact} of ${texts.length} texts have every word, with ${lost} of ${media} packets lost ` +
        `and ${concealed} reconstructed or concealed`,
    );
  },
});
