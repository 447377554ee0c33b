import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DpopKey } from './dpop_key';
import { base64url } from './encoding';
import { SignInRequired } from './errors';
import { FakeStorage } from './testing/fakes';
import { DevTokenSource, RedirectTokenSource, claimsOf } from './token_source';

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

describe('RedirectTokenSource', () => {
  function page(href: string) {
    const visited: string[] = [];
    const shown: string[] = [];
    const sessionStorage = new FakeStorage();
    return {
      visited,
      shown,
      sessionStorage,
      location: { href, assign: (url: string) => visited.push(url) },
      history: { replaceState: (_: unknown, __: string, url: string) => shown.push(url) },
    };
  }

  it('takes the token out of the address at once and keeps it for this tab', async () => {
    const token = jwt({ exp: NOW_S + 600 });
    const window = page(`https://h.example/join?session=s1#access_token=${token}`);
    const source = new RedirectTokenSource(
      await DpopKey.open(null),
      'https://id.example/login',
      's1',
      window,
    );
    expect(window.shown).toEqual(['https://h.example/join?session=s1']);
    expect(await source.current()).toEqual({ token, expiresAtMs: (NOW_S + 600) * 1000 });
    expect(window.visited).toEqual([]);
  });

  it('leaves for the identity service when there is none, or it ends', async () => {
    const key = await DpopKey.open(null);
    const window = page('https://h.example/join?session=s1#x');
    window.sessionStorage.setItem('cabildo.access_token', jwt({ exp: NOW_S + 10 }));
    const source = new RedirectTokenSource(key, 'https://id.example/login', 's1', window);
    await expect(source.current()).rejects.toBeInstanceOf(SignInRequired);
    const visited = new URL(window.visited[0] ?? '');
    expect(Object.fromEntries(visited.searchParams)).toEqual({
      jkt: key.thumbprint,
      session_id: 's1',
      return_to: 'https://h.example/join?session=s1',
    });
  });
});

describe('claimsOf', () => {
  it('reads names in any script and nothing from rubbish', () => {
    expect(claimsOf(jwt({ name: 'Íñigo 李' })).name).toBe('Íñigo 李');
    for (const bad of ['', 'a.b', 'a.!.c', jwt([]).slice(0, 4)]) expect(claimsOf(bad)).toEqual({});
  });
});
