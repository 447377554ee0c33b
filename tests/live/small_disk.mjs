// File systems that are filled to the last byte.
import assert from 'node:assert/strict';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** Fills the file system of `directory`; answers what frees it. */
export function fillDisk(directory) {
  const filler = join(directory, 'filler');
  const file = openSync(filler, 'w');
  for (const size of [1 << 20, 4096, 1]) {
    const piece = Buffer.alloc(size);
    try {
      while (writeSync(file, piece) === size);
    } catch (error) {
      assert.equal(error.code, 'ENOSPC');
    }
  }
  closeSync(file);
  return () => rmSync(filler);
}
