import { beforeEach, describe, expect, it, vi } from 'vitest';
import { base64url, sha256 } from './encoding';
import { SignInRequired } from './errors';
import { keepingIn } from './keeping';
import { LoginPageTokenSource } from './login_page';
import { OidcTokenSource } from './oidc';
import type { Returned, Visitor } from './visitor';
import { mayLeave } from './visitor';

const ISSUER = 'https://id.example';
const CONFIG = {
  issuer: ISSUER,
  client_id: 'web',
  scope: 'openid offline_access',
  audience: 'cabildo',
  resource: null,
};

function jwt(claims: object): string {
  return `h.${base64url(new TextEncoder().encode(JSON.stringify(claims)))}.s`;
}

/** A provider and a browser that visits it; both remember what was asked. */
class World {
  readonly left: URL[] = [];
  readonly grants: URLSearchParams[] = [];
  readonly proofs: (string | null)[] = [];
  /** What the next silent visit or window gives back. */
  visit: (asked: URL) => Promise<Returned> = () => Promise.reject(new Error('nobody'));
  answer: (grant: URLSearchParams) => Response = () =>
    Response.json({ access_token: `t${this.grants.length}`, expires_in: 60, refresh_token: 'r' });
  discovery: () => Response = () =>
    Response.json({
      issuer: ISSUER,
      authorization_endpoint: `${ISSUER}/auth`,
      token_endpoint: `${ISSUER}/token`,
      dpop_signing_alg_values_supported: ['ES256'],
    });
  readonly keeping = keepingIn(() => {
    throw new Error('none');
  });

  source(): OidcTokenSource {
    const visitor: Visitor = {
      returnTo: 'https://h.example/signed-in',
      leave: (url) => void this.left.push(new URL(url)),
      inFrame: (url) => this.visit(new URL(url)),
      inWindow: (url) => this.visit(new URL(url)),
    };
    const fetcher = ((url: string, init: RequestInit) => {
      if (url.endsWith('openid-configuration')) return Promise.resolve(this.discovery());
      const grant = init.body as URLSearchParams;
      this.grants.push(grant);
      this.proofs.push(new Headers(init.headers).get('DPoP'));
      return Promise.resolve(this.answer(grant));
    }) as typeof fetch;
    const key = {
      thumbprint: 'jkt',
      proof: (subject: { nonce?: string | undefined }) =>
        Promise.resolve(`proof ${subject.nonce ?? ''}`),
    };
    return new OidcTokenSource(CONFIG, { key, visitor, keeping: this.keeping, fetcher });
  }
}

let world: World;
beforeEach(() => (world = new World()));

const granted = (asked: URL) =>
  Promise.resolve({ code: 'c', state: asked.searchParams.get('state') ?? '', iss: ISSUER });

describe('OidcTokenSource', () => {
  it('signs in with a code, a verifier that fits its challenge, and a proof', async () => {
    const source = world.source();
    let asked: URL | null = null;
    world.visit = (url) => granted((asked = url));
    await source.signIn('window');
    const parameters = Object.fromEntries((asked as unknown as URL).searchParams);
    expect(parameters).toMatchObject({
      response_type: 'code',
      client_id: 'web',
      redirect_uri: 'https://h.example/signed-in',
      code_challenge_method: 'S256',
      dpop_jkt: 'jkt',
    });
    const grant = Object.fromEntries(world.grants[0] ?? []);
    expect(grant).toMatchObject({ grant_type: 'authorization_code', code: 'c', client_id: 'web' });
    expect(await sha256(grant.code_verifier ?? '')).toBe(parameters.code_challenge);
    expect(world.proofs[0]).toBe('proof');
    expect((await source.current()).token).toBe('t1');
  });

  it('renews with the refresh token, once for callers at the same time', async () => {
    const source = world.source();
    world.visit = granted;
    await source.signIn('window');
    const [a, b] = await Promise.all([source.renew(), source.renew()]);
    expect([a.token, b.token]).toEqual(['t2', 't2']);
    expect(world.grants[1]?.get('refresh_token')).toBe('r');
    // A page that was reloaded goes on with what is kept.
    expect((await world.source().renew()).token).toBe('t3');
    expect(world.left).toEqual([]);
  });

  it('proves again with the nonce of the provider', async () => {
    const source = world.source();
    world.visit = granted;
    world.answer = () =>
      world.grants.length === 1
        ? Response.json(
            { error: 'use_dpop_nonce' },
            { status: 400, headers: { 'DPoP-Nonce': 'n1' } },
          )
        : Response.json({ access_token: 't' });
    await source.signIn('window');
    expect(world.proofs).toEqual(['proof', 'proof n1']);
  });

  it('asks silently when the refresh token is used up, and never leaves by itself', async () => {
    const source = world.source();
    world.visit = granted;
    await source.signIn('window');
    world.answer = (grant) =>
      grant.get('grant_type') === 'refresh_token'
        ? Response.json({ error: 'invalid_grant' }, { status: 400 })
        : Response.json({ access_token: 'silent', expires_in: 60 });
    const asked: URL[] = [];
    world.visit = (url) => {
      asked.push(url);
      return granted(url);
    };
    expect((await source.renew()).token).toBe('silent');
    expect(asked[0]?.searchParams.get('prompt')).toBe('none');
    world.visit = () => Promise.resolve({ error: 'login_required', state: '' });
    await expect(source.renew()).rejects.toBeInstanceOf(SignInRequired);
    expect(world.left).toEqual([]);
  });

  it('keeps a token to its last second while the provider is away', async () => {
    const source = world.source();
    world.visit = granted;
    world.answer = () => Response.json({ access_token: 't', expires_in: 20, refresh_token: 'r' });
    await source.signIn('window');
    world.answer = () => new Response('', { status: 503 });
    expect((await source.current()).token).toBe('t');
    await expect(source.renew()).rejects.toMatchObject({ code: 'SIGN_IN_UNAVAILABLE' });
    vi.useFakeTimers({ now: Date.now() + 21_000, toFake: ['Date'] });
    await expect(source.current()).rejects.toMatchObject({ code: 'SIGN_IN_UNAVAILABLE' });
    vi.useRealTimers();
  });

  it('takes no code of another provider, and no document that names another', async () => {
    world.visit = async (asked) => ({ ...(await granted(asked)), iss: 'https://evil.example' });
    await expect(world.source().signIn('window')).rejects.toMatchObject({
      code: 'SIGN_IN_REFUSED',
    });
    world.discovery = () =>
      Response.json({
        issuer: 'https://evil.example',
        authorization_endpoint: `${ISSUER}/auth`,
        token_endpoint: `${ISSUER}/token`,
      });
    await expect(world.source().signIn('window')).rejects.toMatchObject({
      code: 'SIGN_IN_REFUSED',
    });
    expect(world.grants).toEqual([]);
  });

  it('takes up only the visit that it began', async () => {
    const source = world.source();
    expect(await source.comeBack({ code: 'c', state: 'of somebody else' })).toBeNull();
    expect(world.grants).toEqual([]);
  });
});

describe('LoginPageTokenSource', () => {
  it('renews silently at a page that is told so', async () => {
    const visits: URL[] = [];
    const token = jwt({ iat: 1_000, exp: 1_060 });
    const visitor: Visitor = {
      returnTo: 'https://h.example/signed-in',
      leave: () => undefined,
      inFrame: (url) => {
        visits.push(new URL(url));
        return Promise.resolve({ access_token: token, state: '' });
      },
      inWindow: () => Promise.reject(new Error('closed')),
    };
    const keeping = world.keeping;
    const key = { thumbprint: 'jkt', proof: () => Promise.resolve('') };
    const source = new LoginPageTokenSource('https://id.example/login?x=1', 's1', {
      key,
      visitor,
      keeping,
    });
    // By this browser's clock, however wrong it is: the token lives a minute from now.
    const { token: given, expiresAtMs } = await source.current();
    expect(given).toBe(token);
    expect(Math.round((expiresAtMs - Date.now()) / 1000)).toBe(60);
    expect(Object.fromEntries(visits[0]?.searchParams ?? [])).toMatchObject({
      x: '1',
      jkt: 'jkt',
      session_id: 's1',
      prompt: 'none',
    });
    await expect(source.signIn('window')).rejects.toMatchObject({ code: 'SIGN_IN_WINDOW' });
  });
});

describe('leaving the page to sign in', () => {
  it('is done three times in a row at most, and not at all where it cannot be counted', () => {
    const kept = new Map<string, string>();
    const keeping = keepingIn(
      () =>
        ({
          getItem: (key: string) => kept.get(key) ?? null,
          setItem: (key: string, value: string) => void kept.set(key, value),
          removeItem: (key: string) => void kept.delete(key),
        }) as unknown as Storage,
    );
    expect([1, 2, 3, 4].map((at) => mayLeave(at * 1_000, keeping))).toEqual([
      true,
      true,
      true,
      false,
    ]);
    expect(mayLeave(500_000, keeping)).toBe(true);
    expect(mayLeave(0, world.keeping)).toBe(false);
  });
});
