// What is heard and seen at receivers, measured by getStats.
import assert from 'node:assert/strict';
import { inbound, outbound } from './browser.mjs';
import { until } from './until.mjs';

const row = async (page, user, kind) =>
  (await inbound(page)).find((one) => one.user === user && one.kind === kind);

/** Waits until `frames` more pictures of everybody in `users` have been decoded. */
export async function sees(page, users, frames = 10) {
  const first = new Map();
  await until(`pictures of ${users.join(', ')}`, async (seen) => {
    const rows = (await inbound(page)).filter(({ kind }) => kind === 'video');
    seen.last = rows.map((one) => [one.user, one.frames, one.width]);
    return users.every((user) => {
      const now = rows.find((one) => one.user === user);
      if (now === undefined) return false;
      // A new transport counts from zero.
      if (!first.has(user) || now.frames < first.get(user)) first.set(user, now.frames);
      return now.frames >= first.get(user) + frames;
    });
  });
}

/** Waits until sound of `user` arrives: packets, and energy when played. */
export async function hears(page, user, packets = 50) {
  let first;
  await until(`sound of ${user}`, async (seen) => {
    const now = await row(page, user, 'audio');
    seen.last = now ?? null;
    if (now === undefined) return false;
    if (first === undefined || now.packets < first.packets) first = now;
    return now.packets >= first.packets + packets && now.energy > first.energy + 0.001;
  });
}

/**
 * Waits until the loudest frequency of what `user` says is this one. What a busy machine plays for a
 * moment, such as a tone that breaks off, has others.
 */
export const hearsPitch = (page, user, hertz) =>
  until(`a tone of ${hertz} Hz of ${user}`, async (seen) => {
    seen.last = await page.evaluate((who) => window.__probe.pitch(who), user);
    return seen.last !== null && Math.abs(seen.last - hertz) < 20;
  });

/** How many packets of sound each has sent here, by whatever track. */
const packetsOf = (rows, users) =>
  Object.fromEntries(
    users.map((user) => [
      user,
      rows
        .filter((one) => one.user === user && one.kind === 'audio')
        .reduce((sum, { packets }) => sum + packets, 0),
    ]),
  );

/**
 * Asserts that nothing of what `users` say arrives at `page`. The time in which
 * nothing may come is measured by what does come: pictures of `witness`. Packets
 * are counted, since a browser invents sound for a while when they stop.
 */
export async function hearsNothing(page, users, witness, frames = 50) {
  // What was under way when the gate closed may still come in.
  await sees(page, [witness], 5);
  const before = packetsOf(await inbound(page), users);
  await sees(page, [witness], frames);
  assert.deepEqual(packetsOf(await inbound(page), users), before);
}

/** Waits until `page` has sent this many more packets of sound. */
export async function sendsSound(page, packets = 50) {
  let first;
  await until('sent sound', async (seen) => {
    const rows = await outbound(page);
    const now = rows.find(({ kind }) => kind === 'audio')?.packets ?? 0;
    seen.last = now;
    first ??= now;
    return now >= first + packets;
  });
}
