// What a player of a session shows, judged by colour: a browser lowers the size of its pictures as
// the network and the processor allow, so sizes tell nothing.

/** The colour in a corner of the player's picture as [red, green, blue]; null before the first. */
const cornerOf = (page) =>
  page.getByTestId('player-video').evaluate((video) => {
    if (video.videoWidth === 0) return null;
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 16;
    const context = canvas.getContext('2d');
    context.drawImage(video, 0, 0, 16, 16);
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  });

/** The camera of Chromium's fake device is green there. */
const isCamera = ([red, green, blue]) => green > red + 60 && green > blue + 60;

/** The card of a session that shows nobody is dark there. */
const isCard = (corner) => Math.max(...corner) < 80;

/** Whether the player shows a browser's fake camera. */
export async function isSeen(page, seen = {}) {
  seen.last = await cornerOf(page);
  return seen.last !== null && isCamera(seen.last);
}

/** Whether the player shows the card of a session that shows nobody. */
export async function showsCard(page, seen = {}) {
  seen.last = await cornerOf(page);
  return seen.last !== null && isCard(seen.last);
}
