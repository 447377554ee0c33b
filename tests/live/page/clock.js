// Gives a page a camera that shows the time: milliseconds since 1970, the last
// 24 bits, as black and white blocks that survive any codec, and 8 bits by which
// a blurred reading is known. `window.__tint` says which colour "white" has, and
// `window.__clock` how long it stood still at most.
(() => {
  const [COLUMNS, ROWS, WIDTH, HEIGHT, FPS] = [8, 4, 640, 360, 15];
  const devices = navigator.mediaDevices;
  if (devices === undefined) return;
  const native = devices.getUserMedia.bind(devices);
  const tint = window.__tint ?? 'grey';
  const [dark, light] = {
    grey: ['#000', '#fff'],
    red: ['#600', '#fcc'],
    blue: ['#006', '#ccf'],
  }[tint];

  /** The longest time between two pictures, in which the page was not let run. */
  const clock = { drawnAt: null, longestBreakMs: 0 };
  window.__clock = clock;

  const draw = (context, now) => {
    if (clock.drawnAt !== null) {
      clock.longestBreakMs = Math.max(clock.longestBreakMs, now - clock.drawnAt);
    }
    clock.drawnAt = now;
    const time = now % 2 ** 24;
    const check = (((time >> 16) ^ (time >> 8) ^ time) & 0xff) ^ 0xa5;
    const bits = time * 256 + check;
    for (let block = 0; block < COLUMNS * ROWS; block += 1) {
      const isSet = Math.floor(bits / 2 ** (31 - block)) % 2 === 1;
      context.fillStyle = isSet ? light : dark;
      const [column, row] = [block % COLUMNS, Math.floor(block / COLUMNS)];
      context.fillRect(
        (column * WIDTH) / COLUMNS,
        (row * HEIGHT) / ROWS,
        WIDTH / COLUMNS,
        HEIGHT / ROWS,
      );
    }
  };

  const camera = () => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [WIDTH, HEIGHT];
    const context = canvas.getContext('2d', { alpha: false });
    draw(context, Date.now());
    const [track] = canvas.captureStream(FPS).getVideoTracks();
    const timer = setInterval(() => {
      if (track.readyState === 'ended') clearInterval(timer);
      else draw(context, Date.now());
    }, 1000 / FPS);
    return track;
  };

  devices.getUserMedia = async ({ audio, video }) => {
    const stream = audio ? await native({ audio }) : new MediaStream();
    if (video) stream.addTrack(camera());
    return stream;
  };
})();
