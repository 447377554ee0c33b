import { IDBFactory } from 'fake-indexeddb';
import { describe, expect, it, vi } from 'vitest';
import { DpopKey } from './dpop_key';
import { sha256, textFromBase64url } from './encoding';

interface Header {
  typ: string;
  alg: string;
  jwk: JsonWebKey;
}

function parts(proof: string) {
  const [header = '', claims = '', signature = ''] = proof.split('.');
  return {
    header: JSON.parse(textFromBase64url(header)) as Header,
    claims: JSON.parse(textFromBase64url(claims)) as Record<string, unknown>,
    input: new TextEncoder().encode(`${header}.${claims}`),
    signature: Uint8Array.from(Buffer.from(signature, 'base64url')),
  };
}

describe('DpopKey', () => {
  it('proves a request with a signature that its public key confirms', async () => {
    const key = await DpopKey.open(new IDBFactory());
    const proof = await key.proof({
      method: 'POST',
      url: 'https://host.example/api/v1/sessions?limit=1#top',
      accessToken: 'token',
      nonce: 'n1',
    });
    const { header, claims, input, signature } = parts(proof);
    expect(header).toMatchObject({ typ: 'dpop+jwt', alg: 'ES256' });
    expect(header.jwk).not.toHaveProperty('d');
    expect(claims).toMatchObject({
      htm: 'POST',
      htu: 'https://host.example/api/v1/sessions',
      nonce: 'n1',
      ath: await sha256('token'),
    });
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
    const publicKey = await crypto.subtle.importKey('jwk', header.jwk, algorithm, true, ['verify']);
    expect(publicKey.extractable).toBe(true);
    expect(
      await crypto.subtle.verify({ name: 'ECDSA', hash: 'SHA-256' }, publicKey, signature, input),
    ).toBe(true);
  });

  it('has the thumbprint of RFC 7638 of its public key', async () => {
    const key = await DpopKey.open(null);
    const { jwk } = parts(await key.proof({ method: 'GET', url: 'https://a.example/' })).header;
    const members = `{"crv":"P-256","kty":"EC","x":"${jwk.x ?? ''}","y":"${jwk.y ?? ''}"}`;
    expect(key.thumbprint).toBe(await sha256(members));
  });

  it('is the same for all tabs of a browser and never proves twice with one id', async () => {
    const database = new IDBFactory();
    const [first, second] = await Promise.all([DpopKey.open(database), DpopKey.open(database)]);
    expect(first.thumbprint).toBe(second.thumbprint);
    const subject = { method: 'GET', url: 'https://a.example/' };
    const ids = await Promise.all([first.proof(subject), second.proof(subject)]);
    expect(parts(ids[0]).claims.jti).not.toBe(parts(ids[1]).claims.jti);
    expect((await DpopKey.open(new IDBFactory())).thumbprint).not.toBe(first.thumbprint);
  });

  it('does not wait for ever for a database that never answers', async () => {
    vi.useFakeTimers();
    try {
      const silent = { open: () => new EventTarget() } as unknown as IDBFactory;
      const opening = DpopKey.open(silent);
      await vi.waitFor(() => expect(vi.getTimerCount()).toBeGreaterThan(0));
      await vi.advanceTimersByTimeAsync(3_000);
      expect((await opening).thumbprint).toHaveLength(43);
    } finally {
      vi.useRealTimers();
    }
  });

  it('works where even asking for the database is forbidden', async () => {
    vi.stubGlobal('indexedDB', undefined);
    Object.defineProperty(globalThis, 'indexedDB', {
      configurable: true,
      get() {
        throw new DOMException('denied', 'SecurityError');
      },
    });
    try {
      expect((await DpopKey.open()).thumbprint).toHaveLength(43);
    } finally {
      vi.unstubAllGlobals();
    }
  });

  it('still works where IndexedDB does not', async () => {
    const broken = {
      open() {
        throw new DOMException('denied', 'SecurityError');
      },
    } as unknown as IDBFactory;
    expect((await DpopKey.open(broken)).thumbprint).toHaveLength(43);
  });
});
