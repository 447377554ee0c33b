// Sounds for fake microphones.
import { writeFileSync } from 'node:fs';

const RATE_HZ = 48_000;

/** Writes two seconds of a tone as 16-bit mono WAV; Chromium repeats it. */
export function writeTone(path, hertz) {
  const samples = RATE_HZ * 2;
  const file = Buffer.alloc(44 + samples * 2);
  file.write('RIFF', 0);
  file.writeUInt32LE(36 + samples * 2, 4);
  file.write('WAVEfmt ', 8);
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(1, 20);
  file.writeUInt16LE(1, 22);
  file.writeUInt32LE(RATE_HZ, 24);
  file.writeUInt32LE(RATE_HZ * 2, 28);
  file.writeUInt16LE(2, 32);
  file.writeUInt16LE(16, 34);
  file.write('data', 36);
  file.writeUInt32LE(samples * 2, 40);
  for (let index = 0; index < samples; index += 1) {
    const value = Math.sin((2 * Math.PI * hertz * index) / RATE_HZ);
    file.writeInt16LE(Math.round(value * 12_000), 44 + index * 2);
  }
  writeFileSync(path, file);
  return path;
}
