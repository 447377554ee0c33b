// How long pictures of a clock take to a page that shows them: page/clock.js draws such a clock, and
// so does the camera /clock of tests/support/gst_camera.py, on the same machine.
import { rawClient } from './browser.mjs';
import { until } from './until.mjs';

/** For how long pictures may not come. */
const PATIENCE_MS = 120_000;

/** In the page: notes for each picture of `video` how many milliseconds ago it was taken. */
function note(video) {
  const [COLUMNS, ROWS, WIDTH, HEIGHT] = [8, 4, 160, 90];
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [WIDTH, HEIGHT];
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const delays = [];
  window.delays = delays;
  const read = () => {
    // Others are noted by now.
    if (window.delays !== delays) return;
    context.drawImage(video, 0, 0, WIDTH, HEIGHT);
    let bits = 0;
    for (let block = 0; block < COLUMNS * ROWS; block += 1) {
      const column = Math.floor((((block % COLUMNS) + 0.5) * WIDTH) / COLUMNS);
      const row = Math.floor(((Math.floor(block / COLUMNS) + 0.5) * HEIGHT) / ROWS);
      bits = bits * 2 + (context.getImageData(column, row, 1, 1).data[1] > 127 ? 1 : 0);
    }
    const time = Math.floor(bits / 256);
    const check = (((time >> 16) ^ (time >> 8) ^ time) & 0xff) ^ 0xa5;
    if (bits % 256 === check) {
      delays.push((((Date.now() - time) % 2 ** 24) + 2 ** 24) % 2 ** 24);
    }
    video.requestVideoFrameCallback(read);
  };
  video.requestVideoFrameCallback(read);
}

/** A participant that receives the pictures of a camera in the room and nothing else. */
export async function inRoomWith(browser, server, session, camera) {
  const { id, tenant_id: tenant } = session;
  const page = await rawClient(browser, server, { session: id, tenant, user: 'measurer' });
  const track = await page.evaluate(async (user) => {
    const isIt = (track) => track.user_id === user && track.kind === 'video';
    const known = [...window.client.tracks.values()].find(isIt);
    const isPublished = (message) => message.type === 'track_published' && isIt(message);
    return (known ?? (await window.client.seen(isPublished))).track;
  }, `cabildo:camera:${camera}`);
  const answer = await page.evaluate((id) => window.client.subscribe(id), track);
  if (answer.type !== 'ack') throw new Error(JSON.stringify(answer));
  return { page, video: page.locator('video') };
}

/** The delays of `count` pictures after the first `skipped`, in milliseconds, in order of size. */
export async function delaysOf(page, video, count, skipped = 0) {
  await video.evaluate(note);
  const wanted = skipped + count;
  const read = () => page.evaluate(() => window.delays);
  await until(
    `${wanted} pictures of a clock`,
    async (seen) => {
      seen.last = (await read()).length;
      return seen.last >= wanted;
    },
    PATIENCE_MS,
  );
  return (await read()).slice(skipped, wanted).sort((one, other) => one - other);
}

/** The value below which `part` of the sorted values are. */
export const quantile = (sorted, part) => sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)];
