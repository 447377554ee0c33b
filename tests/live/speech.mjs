// Recorded speech for fake microphones.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './until.mjs';

const DIRECTORY = join(ROOT, 'tests', 'fixtures', 'speech');

/** The model that knows the recorded phrases. */
export const MODEL = join(DIRECTORY, 'cabildo-micro.ggml.bin');

const expected = JSON.parse(readFileSync(join(DIRECTORY, 'expected.json'), 'utf8'));

/** What is said in a recording, as the model writes it; empty when it has no words. */
export function wordsOf(file) {
  const found = expected.find((phrase) => phrase.file === file);
  if (found === undefined) throw new Error(`no recording ${file}`);
  return found.text;
}

const HEADER_BYTES = 44;

/**
 * Has microphones that are opened from now on say recordings, one after the other and over and
 * over: Chromium reads the file when a microphone is opened.
 */
export function recordSpeech(path, files) {
  const [header] = files.map((file) => readFileSync(join(DIRECTORY, 'wavs', file)));
  const sounds = files.map((file) =>
    readFileSync(join(DIRECTORY, 'wavs', file)).subarray(HEADER_BYTES),
  );
  const sound = Buffer.concat(sounds);
  const head = Buffer.from(header.subarray(0, HEADER_BYTES));
  head.writeUInt32LE(36 + sound.length, 4);
  head.writeUInt32LE(sound.length, 40);
  writeFileSync(path, Buffer.concat([head, sound]));
  return path;
}
