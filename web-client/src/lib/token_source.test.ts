import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DpopKey } from './dpop_key';
import { base64url } from './encoding';
import { DevTokenSource, claimsOf } from './token_source';

function jwt(claims: object): string {
  return `h.${base64url(new TextEncoder().encode(JSON.stringify(claims)))}.s`;
}

const NOW_S = 1_800_000_000;

beforeEach(() => vi.useFakeTimers({ now: NOW_S * 1000, toFake: ['Date'] }));
afterEach(() => vi.useRealTimers());

describe('DevTokenSource', () => {
  it('asks once for callers at the same time, and again before the end', async () => {
    const bodies: unknown[] = [];
    const fetcher = ((_: string, init: RequestInit) => {
      bodies.push(JSON.parse(init.body as string));
      return Promise.resolve(Response.json({ access_token: `t${bodies.length}`, expires_in: 300 }));
    }) as typeof fetch;
    const key = await DpopKey.open(null);
    const identity = { tenant_id: 'x', user_id: 'u', name: 'Ana', roles: ['participant'] };
    const source = new DevTokenSource(key, identity, fetcher);
    const [a, b] = await Promise.all([source.current(), source.current()]);
    expect([a.token, b.token, bodies.length]).toEqual(['t1', 't1', 1]);
    expect(bodies[0]).toEqual({ ...identity, jkt: key.thumbprint });
    vi.setSystemTime((NOW_S + 260) * 1000);
    expect((await source.current()).token).toBe('t1');
    vi.setSystemTime((NOW_S + 271) * 1000);
    expect((await source.current()).token).toBe('t2');
  });
});

describe('claimsOf', () => {
  it('reads names in any script and nothing from rubbish', () => {
    expect(claimsOf(jwt({ name: 'Íñigo 李' })).name).toBe('Íñigo 李');
    for (const bad of ['', 'a.b', 'a.!.c', jwt([]).slice(0, 4)]) expect(claimsOf(bad)).toEqual({});
  });
});
