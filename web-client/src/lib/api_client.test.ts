import { describe, expect, it } from 'vitest';
import { ApiClient } from './api_client';
import { DpopKey } from './dpop_key';
import { textFromBase64url } from './encoding';
import { ApiError } from './errors';
import { FakeTokens } from './testing/fakes';

interface Seen {
  url: string;
  method: string;
  headers: Headers;
}

/** A server that gives these answers in turn. */
async function client(...answers: (Response | 'unreachable')[]) {
  const seen: Seen[] = [];
  const tokens = new FakeTokens();
  const fetcher = ((url: string, init: RequestInit) => {
    seen.push({ url, method: init.method ?? '', headers: new Headers(init.headers) });
    const answer = answers.shift();
    return answer === undefined || answer === 'unreachable'
      ? Promise.reject(new TypeError('failed to fetch'))
      : Promise.resolve(answer);
  }) as typeof fetch;
  const api = new ApiClient(await DpopKey.open(null), tokens, 'https://h.example', fetcher);
  return { api, seen, tokens };
}

function refusal(status: number, code: string, headers: Record<string, string> = {}): Response {
  const body = { code, message: 'no', details: { field: 'x' }, trace_id: 't1' };
  return Response.json(body, { status, headers });
}

function claimOf(headers: Headers, name: string): unknown {
  const [, claims = ''] = (headers.get('DPoP') ?? '').split('.');
  return (JSON.parse(textFromBase64url(claims)) as Record<string, unknown>)[name];
}

describe('ApiClient', () => {
  it('reads with a proof, and once more when the server asks for a nonce', async () => {
    const { api, seen } = await client(
      refusal(401, 'DPOP_NONCE_REQUIRED', { 'DPoP-Nonce': 'n1' }),
      Response.json({ id: 's1' }),
    );
    await api.session('s1');
    expect(seen[0]?.headers.get('Authorization')).toBe('DPoP token-0');
    expect(seen.map(({ headers }) => claimOf(headers, 'nonce'))).toEqual([undefined, 'n1']);
    expect(seen[0]?.headers.has('Idempotency-Key')).toBe(false);
  });

  it('dates proofs by the clock of the server', async () => {
    const anHourAhead = new Date(Date.now() + 3_600_000).toUTCString();
    const { api, seen } = await client(
      Response.json({ id: 's1' }, { headers: { Date: anHourAhead } }),
      Response.json({ id: 's1' }),
    );
    await api.session('s1');
    await api.session('s1');
    const [before, after] = seen.map(({ headers }) => Number(claimOf(headers, 'iat')));
    expect(Math.abs((after ?? 0) - (before ?? 0) - 3_600)).toBeLessThanOrEqual(2);
  });

  it('tries again by the clock of the server when its own is days off', async () => {
    for (const daysMs of [-2 * 86_400_000, 2 * 86_400_000]) {
      const { api, seen } = await client(
        refusal(401, 'DPOP_PROOF_INVALID', {
          Date: new Date(Date.now() + daysMs).toUTCString(),
          'DPoP-Nonce': 'n1',
        }),
        Response.json({ id: 's1' }),
      );
      await api.session('s1');
      const [before, after] = seen.map(({ headers }) => Number(claimOf(headers, 'iat')));
      expect(Math.abs((after ?? 0) - (before ?? 0) - daysMs / 1_000)).toBeLessThanOrEqual(2);
    }
  });

  it('does not repeat a proof that is refused for another reason', async () => {
    const date = new Date(Date.now()).toUTCString();
    const wrong = () => refusal(401, 'DPOP_PROOF_INVALID', { Date: date });
    const { api, seen } = await client(wrong(), wrong());
    await expect(api.session('s1')).rejects.toMatchObject({ code: 'DPOP_PROOF_INVALID' });
    expect(seen).toHaveLength(1);
  });

  it('answers a demand for a nonce once, with the same idempotency key', async () => {
    const { api, seen } = await client(
      refusal(401, 'DPOP_NONCE_REQUIRED', { 'DPoP-Nonce': 'n1' }),
      Response.json({ ok: true }, { headers: { 'DPoP-Nonce': 'n2' } }),
      Response.json({ ok: true }),
    );
    await api.request('POST', '/api/v1/sessions/s1/start');
    expect(seen.map(({ headers }) => claimOf(headers, 'nonce'))).toEqual([undefined, 'n1']);
    const keys = seen.map(({ headers }) => headers.get('Idempotency-Key'));
    expect(keys[0]).toBe(keys[1]);
    await api.request('POST', '/api/v1/sessions/s1/cancel');
    expect(seen[2] && claimOf(seen[2].headers, 'nonce')).toBe('n2');
    expect(seen[2]?.headers.get('Idempotency-Key')).not.toBe(keys[0]);
  });

  it('gives up when the nonce is refused again', async () => {
    const { api, seen } = await client(
      refusal(401, 'DPOP_NONCE_REQUIRED', { 'DPoP-Nonce': 'n1' }),
      refusal(401, 'DPOP_NONCE_REQUIRED', { 'DPoP-Nonce': 'n2' }),
    );
    await expect(api.request('POST', '/x')).rejects.toMatchObject({ code: 'DPOP_NONCE_REQUIRED' });
    expect(seen).toHaveLength(2);
  });

  it('renews an expired token once', async () => {
    const { api, seen, tokens } = await client(
      refusal(401, 'TOKEN_EXPIRED'),
      Response.json({ id: 's1' }),
    );
    await api.session('s1');
    expect(tokens.renewals).toBe(1);
    expect(seen[1]?.headers.get('Authorization')).toBe('DPoP token-1');
  });

  it('tells refusals as the server does, and what is not of the server', async () => {
    const { api } = await client(
      refusal(429, 'RATE_LIMITED', { 'Retry-After': '7' }),
      new Response('<html>', { status: 502 }),
      'unreachable',
    );
    const failures: unknown[] = [];
    for (let call = 0; call < 3; call += 1)
      await api.session('s').catch((e: unknown) => failures.push(e));
    expect(failures.every((failure) => failure instanceof ApiError)).toBe(true);
    expect(failures).toMatchObject([
      { status: 429, code: 'RATE_LIMITED', retryAfterS: 7, traceId: 't1', details: { field: 'x' } },
      { status: 502, code: 'HTTP_502', traceId: null },
      { status: 0, code: 'NETWORK' },
    ]);
  });
});
