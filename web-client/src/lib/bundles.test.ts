import { describe, expect, it } from 'vitest';
import { ApiClient } from './api_client';
import type { BundleProgress } from './bundles';
import { bundlePath, takeBundle } from './bundles';
import { DpopKey } from './dpop_key';
import { FakeTokens } from './testing/fakes';

const OF_SIX = { 'Cabildo-Expected-Bytes': '6', ETag: '"t"' };
const signalOf = () => new AbortController().signal;
const ignore = () => undefined;
const immediately = () => Promise.resolve();

/** A client to which the server answers so, one after the other; an error is a network that fails. */
async function clientOf(answers: readonly (Response | Error)[]) {
  const waiting = [...answers];
  const asked: Headers[] = [];
  const fetcher: typeof fetch = (_input, init) => {
    asked.push(new Headers(init?.headers));
    const next = waiting.shift() ?? new TypeError('nothing more');
    return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
  };
  const key = await DpopKey.open(null);
  return { api: new ApiClient(key, new FakeTokens(), 'https://h.example', fetcher), asked };
}

/** The rest of a bundle of six bytes. */
function rest(text: string, from: number, fails: boolean): Response {
  const headers = { ...OF_SIX, 'Content-Range': `bytes ${from}-5/6` };
  return new Response(streamed([text], fails), { status: 206, headers });
}

function streamed(pieces: readonly string[], fails: boolean): ReadableStream<Uint8Array> {
  const waiting = [...pieces];
  return new ReadableStream({
    pull(controller) {
      const next = waiting.shift();
      if (next !== undefined) controller.enqueue(new TextEncoder().encode(next));
      else if (fails) controller.error(new TypeError('network error'));
      else controller.close();
    },
  });
}

describe('bundles', () => {
  it('asks for the whole, a part or single entries', () => {
    expect(bundlePath('s 1', { kind: 'full' })).toBe('/api/v1/sessions/s%201/bundle');
    const clip = { kind: 'clip', fromMs: 1_000, toMs: 2_500, subjects: true } as const;
    expect(bundlePath('s', clip)).toBe(
      '/api/v1/sessions/s/bundle?from=1970-01-01T00%3A00%3A01.000Z&to=1970-01-01T00%3A00%3A02.500Z&subjects=true',
    );
    expect(bundlePath('s', { kind: 'entries', entries: [7, 9] })).toBe(
      '/api/v1/sessions/s/bundle?seq=7&seq=9',
    );
  });

  it('tells how far it is and gives the whole under the name of the server', async () => {
    const headers = {
      'Cabildo-Expected-Bytes': '6',
      'Content-Disposition': 'attachment; filename="cabildo-x.tar"',
    };
    const { api } = await clientOf([new Response(streamed(['abc', 'def'], false), { headers })]);
    const told: BundleProgress[] = [];
    const { signal } = new AbortController();
    const bundle = await takeBundle(api, '/b', signal, (progress) => told.push(progress));
    expect(bundle.name).toBe('cabildo-x.tar');
    expect(await bundle.file.text()).toBe('abcdef');
    expect(told).toEqual([
      { received: 3, expected: 6, waitsFor: null },
      { received: 6, expected: 6, waitsFor: null },
    ]);
  });

  it('goes on where it was cut off, with the same bundle', async () => {
    const { api, asked } = await clientOf([
      new Response(streamed(['abc'], true), { headers: OF_SIX }),
      new TypeError('no network'),
      rest('d', 3, true),
      rest('ef', 4, false),
    ]);
    const waits: number[] = [];
    const told: BundleProgress[] = [];
    const bundle = await takeBundle(
      api,
      '/b',
      new AbortController().signal,
      (progress) => told.push(progress),
      (ms) => Promise.resolve(void waits.push(ms)),
    );
    expect(await bundle.file.text()).toBe('abcdef');
    expect(waits).toEqual([500, 1_000, 500]);
    expect(told).toContainEqual({ received: 3, expected: 6, waitsFor: 'network' });
    const ranges = asked.map((headers) => [headers.get('Range'), headers.get('If-Range')]);
    expect(ranges).toEqual([
      [null, null],
      ['bytes=3-', '"t"'],
      ['bytes=3-', '"t"'],
      ['bytes=4-', '"t"'],
    ]);
  });

  it('begins anew when the server has no longer what was begun', async () => {
    const { api } = await clientOf([
      new Response(streamed(['abc'], true), { headers: OF_SIX }),
      new Response(streamed(['uvwxyz'], false), { headers: { ...OF_SIX, ETag: '"u"' } }),
    ]);
    const bundle = await takeBundle(api, '/b', signalOf(), ignore, immediately);
    expect(await bundle.file.text()).toBe('uvwxyz');
  });

  it('never puts together what does not fit', async () => {
    const { api } = await clientOf([
      new Response(streamed(['abc'], true), { headers: OF_SIX }),
      ...Array.from({ length: 20 }, () => rest('xyz', 2, false)),
    ]);
    const taken = takeBundle(api, '/b', signalOf(), ignore, immediately);
    await expect(taken).rejects.toMatchObject({ code: 'BUNDLE_CUT_OFF' });
  });

  it('waits for its place', async () => {
    const full = () =>
      new Response(JSON.stringify({ code: 'BUNDLE_LIMIT_REACHED', message: '' }), {
        status: 409,
        headers: { 'Retry-After': '7' },
      });
    const whole = new Response(streamed(['abcdef'], false), { headers: OF_SIX });
    const { api } = await clientOf([full(), full(), whole]);
    const waits: number[] = [];
    const told: BundleProgress[] = [];
    const bundle = await takeBundle(
      api,
      '/b',
      signalOf(),
      (progress) => told.push(progress),
      (ms) => Promise.resolve(void waits.push(ms)),
    );
    expect(bundle.file.size).toBe(6);
    expect(waits).toEqual([7_000, 7_000]);
    expect(told[0]).toEqual({ received: 0, expected: null, waitsFor: 'place' });
  });

  it('ends at once when it is given up while it waits', async () => {
    const { api } = await clientOf([new Response(streamed(['abc'], true), { headers: OF_SIX })]);
    const giving = new AbortController();
    const told = (progress: BundleProgress) => {
      if (progress.waitsFor === 'network') setTimeout(() => giving.abort());
    };
    const taken = takeBundle(api, '/b', giving.signal, told);
    await expect(taken).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('gives nothing of a bundle that was cut off and can not be continued', async () => {
    const { api } = await clientOf([new Response(streamed(['abc'], true))]);
    const taken = takeBundle(api, '/b', signalOf(), ignore, immediately);
    await expect(taken).rejects.toMatchObject({ code: 'BUNDLE_CUT_OFF' });
    const gone = Array.from({ length: 20 }, () => new TypeError('no network'));
    const begun = new Response(streamed(['abc'], true), { headers: OF_SIX });
    const { api: alone } = await clientOf([begun, ...gone]);
    const lost = takeBundle(alone, '/b', signalOf(), ignore, immediately);
    await expect(lost).rejects.toMatchObject({ code: 'BUNDLE_CUT_OFF' });
  });
});
