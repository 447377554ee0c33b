// Recordings fetched by their signed addresses.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Odd places: the ends, the middle, and across the borders of parts and chunks. */
function ranges(size) {
  const clip = (first, last) => [Math.min(first, size - 1), Math.min(last, size - 1)];
  const middle = Math.floor(size / 2);
  return [
    ['bytes=0-0', 0, 0],
    ['bytes=-1', size - 1, size - 1],
    ['bytes=-12345', Math.max(0, size - 12_345), size - 1],
    [`bytes=${middle}-`, middle, size - 1],
    ...[
      clip(16_383, 16_384),
      clip(1, 16_400),
      clip(middle - 7, middle + 40_001),
      clip(size - 2, size + 100),
    ].map(([first, last]) => [`bytes=${first}-${last}`, first, last]),
  ];
}

/** Fetches a file whole and by ranges, compares them, and answers where it is kept. */
export async function download(server, file, directory) {
  const address = server.origin + file.url;
  const response = await fetch(address);
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('accept-ranges'), 'bytes');
  const whole = Buffer.from(await response.arrayBuffer());
  assert.equal(whole.length, file.size_bytes);
  for (const [range, first, last] of ranges(whole.length)) {
    const answer = await fetch(address, { headers: { Range: range } });
    assert.equal(answer.status, 206, range);
    const total = `bytes ${first}-${last}/${whole.length}`;
    assert.equal(answer.headers.get('content-range'), total, range);
    const part = Buffer.from(await answer.arrayBuffer());
    assert.ok(part.equals(whole.subarray(first, last + 1)), `${range} is not what stands there`);
  }
  const beyond = await fetch(address, { headers: { Range: `bytes=${whole.length}-` } });
  assert.equal(beyond.status, 416);
  assert.equal((await beyond.json()).code, 'RANGE_NOT_SATISFIABLE');
  mkdirSync(directory, { recursive: true });
  const name = [file.of, file.user_id, file.source, file.track?.slice(-6)]
    .filter(Boolean)
    .join('-');
  const path = join(directory, `${name}.${file.container}`);
  writeFileSync(path, whole);
  return path;
}
