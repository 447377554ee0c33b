import { describe, expect, it } from 'vitest';
import { ApiClient } from './api_client';
import type { BundleProgress } from './bundles';
import { bundlePath, takeBundle } from './bundles';
import { DpopKey } from './dpop_key';
import { FakeTokens } from './testing/fakes';

async function clientOf(response: Response) {
  const fetcher = (() => Promise.resolve(response)) as typeof fetch;
  return new ApiClient(await DpopKey.open(null), new FakeTokens(), 'https://h.example', fetcher);
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
    const api = await clientOf(new Response(streamed(['abc', 'def'], false), { headers }));
    const told: BundleProgress[] = [];
    const { signal } = new AbortController();
    const bundle = await takeBundle(api, '/b', signal, (progress) => told.push(progress));
    expect(bundle.name).toBe('cabildo-x.tar');
    expect(await bundle.file.text()).toBe('abcdef');
    expect(told).toEqual([
      { received: 3, expected: 6 },
      { received: 6, expected: 6 },
    ]);
  });

  it('gives nothing of a bundle that was cut off', async () => {
    const api = await clientOf(new Response(streamed(['abc'], true)));
    const taken = takeBundle(api, '/b', new AbortController().signal, () => undefined);
    await expect(taken).rejects.toMatchObject({ code: 'BUNDLE_CUT_OFF' });
  });
});
