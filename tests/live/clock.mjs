// Reading recordings: the time that pictures show, and when tones sound.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);
const OUTPUT_MAX = 1 << 30;

/** As in page/clock.js. */
const [COLUMNS, ROWS] = [8, 4];
/** Pictures are read at this size. */
const [WIDTH, HEIGHT] = [160, 90];
const BITS = 2 ** 24;
const RATE_HZ = 16_000;
/** How long a piece of sound is when it is asked for a tone. */
const WINDOW_MS = 50;

/** What ffprobe says of a file; it accepts every file that a person can play. */
export async function probe(path) {
  const { stdout, stderr } = await run(
    'ffprobe',
    ['-v', 'warning', '-of', 'json', '-show_streams', '-show_format', path],
    { maxBuffer: OUTPUT_MAX },
  );
  assert.equal(stderr, '', `${path}: ${stderr}`);
  return JSON.parse(stdout);
}

async function ffmpeg(...options) {
  const { stdout, stderr } = await run('ffmpeg', ['-v', 'error', '-nostdin', ...options, '-'], {
    maxBuffer: OUTPUT_MAX,
    encoding: 'buffer',
  });
  return { stdout, complaints: stderr.toString() };
}

/** The time of a picture shown by 32 blocks, or null when they can't be read. */
function timeOf(luma, nearMs) {
  let bits = 0;
  for (let block = 0; block < COLUMNS * ROWS; block += 1) {
    const column = Math.floor((((block % COLUMNS) + 0.5) * WIDTH) / COLUMNS);
    const row = Math.floor(((Math.floor(block / COLUMNS) + 0.5) * HEIGHT) / ROWS);
    let sum = 0;
    for (let y = row - 2; y <= row + 2; y += 1) {
      for (let x = column - 2; x <= column + 2; x += 1) sum += luma[y * WIDTH + x];
    }
    bits = bits * 2 + (sum / 25 > 110 ? 1 : 0);
  }
  const time = Math.floor(bits / 256);
  const check = (((time >> 16) ^ (time >> 8) ^ time) & 0xff) ^ 0xa5;
  if (bits % 256 !== check) return null;
  return nearMs + ((((time - (nearMs % BITS)) % BITS) + BITS * 1.5) % BITS) - BITS / 2;
}

/**
 * Every picture of a file: `at`, when it is to be shown by the file, `shows`,
 * the time that stands in it (null when it can't be read) and its `tint`.
 */
export async function pictures(path, fromMs) {
  const probed = await run(
    'ffprobe',
    [
      '-v',
      'error',
      '-select_streams',
      'v:0',
      '-show_entries',
      'frame=pts_time',
      '-of',
      'json',
      path,
    ],
    { maxBuffer: OUTPUT_MAX },
  );
  const times = JSON.parse(probed.stdout).frames.map(({ pts_time }) => Number(pts_time) * 1000);
  const { stdout, complaints } = await ffmpeg(
    ...['-i', path, '-map', '0:v:0', '-fps_mode', 'passthrough', '-enc_time_base', '1:90000'],
    ...['-vf', `scale=${WIDTH}:${HEIGHT}:flags=area,format=yuv444p`, '-f', 'rawvideo'],
  );
  assert.equal(complaints, '', `${path}: ${complaints}`);
  const plane = WIDTH * HEIGHT;
  assert.equal(stdout.length, times.length * plane * 3, `${path}: pictures and their times`);
  const mean = (bytes) => bytes.reduce((sum, byte) => sum + byte, 0) / bytes.length;
  return times.map((ms, index) => {
    const [y, u, v] = [0, 1, 2].map((component) => {
      const start = (index * 3 + component) * plane;
      return stdout.subarray(start, start + plane);
    });
    const lean = mean(v) - mean(u);
    const tint = lean > 8 ? 'red' : lean < -8 ? 'blue' : 'grey';
    return { at: fromMs + ms, shows: timeOf(y, fromMs + ms), tint };
  });
}

/** How far pictures are from the time they show: greatest, and by share. */
export function deviation(frames) {
  const off = frames
    .filter(({ shows }) => shows !== null)
    .map(({ at, shows }) => at - shows)
    .sort((a, b) => a - b);
  const share = (part) => Math.round(off[Math.min(off.length - 1, Math.floor(off.length * part))]);
  return {
    frames: frames.length,
    read: off.length,
    least: share(0),
    median: share(0.5),
    greatest: share(1),
  };
}

/** The longest time without a picture between two moments. */
export function longestHole(frames, fromMs, toMs) {
  const times = frames.map(({ at }) => at).filter((at) => at > fromMs && at < toMs);
  const all = [fromMs, ...times, toMs];
  return Math.max(...all.slice(1).map((at, index) => at - all[index]));
}

/** The power of a tone in samples, by Goertzel's algorithm, and of all. */
function powers(samples, hertz) {
  const turn = 2 * Math.cos((2 * Math.PI * hertz) / RATE_HZ);
  let [before, last, all] = [0, 0, 0];
  for (const sample of samples) {
    [before, last] = [last, sample + turn * last - before];
    all += sample * sample;
  }
  const tone = (last * last + before * before - turn * last * before) / samples.length ** 2;
  return { tone: tone * 2, all: all / samples.length };
}

/** A file's sound on the clock: what of it is a tone, when. */
export class Sound {
  static async read(path, fromMs) {
    const { stdout, complaints } = await ffmpeg(
      ...['-i', path, '-map', '0:a:0', '-ac', '1'],
      // Holes of the file stay holes.
      ...['-af', `aresample=${RATE_HZ}:async=1:min_hard_comp=0.02:first_pts=0`, '-f', 'f32le'],
    );
    assert.equal(complaints, '', `${path}: ${complaints}`);
    const samples = new Float32Array(
      stdout.buffer.slice(stdout.byteOffset, stdout.byteOffset + stdout.length),
    );
    return new Sound(samples, fromMs);
  }

  constructor(samples, fromMs) {
    this.samples = samples;
    this.fromMs = fromMs;
  }

  get toMs() {
    return this.fromMs + (this.samples.length / RATE_HZ) * 1000;
  }

  /** Windows between two moments, each with its share of a tone and loudness. */
  windows(hertz, fromMs, toMs) {
    const size = (RATE_HZ * WINDOW_MS) / 1000;
    const found = [];
    for (let at = fromMs; at + WINDOW_MS <= toMs; at += WINDOW_MS) {
      const first = Math.round(((at - this.fromMs) * RATE_HZ) / 1000);
      const isInside = first >= 0 && first + size <= this.samples.length;
      const window = isInside ? this.samples.subarray(first, first + size) : new Float32Array(size);
      const { tone, all } = powers(window, hertz);
      found.push({ at, isTone: all > 1e-4 && tone / all > 0.6, isSilent: all < 1e-6 });
    }
    return found;
  }

  /** The part of the time between two moments in which a tone sounds. */
  share(hertz, fromMs, toMs) {
    const windows = this.windows(hertz, fromMs, toMs);
    return windows.filter(({ isTone }) => isTone).length / windows.length;
  }

  /** The part of the time between two moments that is silent. */
  silence(fromMs, toMs) {
    const windows = this.windows(1000, fromMs, toMs);
    return windows.filter(({ isSilent }) => isSilent).length / windows.length;
  }
}
