// An OpenID Connect provider of its own: oidc-provider, with people who sign in
// by their name alone.
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { steadyPort } from './ports.mjs';
import { ROOT } from './until.mjs';

const require = createRequire(join(ROOT, 'web-client', 'package.json'));
const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')));

/** What tokens are for: a resource, as RFC 8707 has it. */
export const RESOURCE = 'https://cabildo.example';
export const CLIENT = 'cabildo-web';

export class Identity {
  /** `people` has the claims of each name; the client returns to `returnTo`. */
  static async start({ people, returnTo }) {
    const identity = new Identity();
    const port = await steadyPort();
    Object.assign(identity, {
      port,
      issuer: `http://127.0.0.1:${port}`,
      tokenS: 60,
      delayMs: 0,
    });
    /** Grants that were asked for, by type. */
    identity.grants = { authorization_code: 0, refresh_token: 0 };
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const jwk = {
      ...privateKey.export({ format: 'jwk' }),
      alg: 'ES256',
      use: 'sig',
      kid: 'one',
    };
    const provider = new Provider(identity.issuer, {
      clients: [
        {
          client_id: CLIENT,
          token_endpoint_auth_method: 'none',
          redirect_uris: [returnTo],
          grant_types: ['authorization_code', 'refresh_token'],
          response_types: ['code'],
          id_token_signed_response_alg: 'ES256',
        },
      ],
      jwks: { keys: [jwk] },
      cookies: { keys: ['a key of the test'] },
      clientBasedCORS: () => true,
      rotateRefreshToken: true,
      issueRefreshToken: (_, client, code) =>
        client.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
      findAccount: (_, id) =>
        id in people ? { accountId: id, claims: () => ({ sub: id, ...people[id] }) } : undefined,
      extraTokenClaims: (_, token) => people[token.accountId],
      features: {
        devInteractions: { enabled: true },
        resourceIndicators: {
          enabled: true,
          defaultResource: () => RESOURCE,
          useGrantedResource: () => true,
          getResourceServerInfo: () => ({
            scope: 'openid',
            audience: 'cabildo',
            accessTokenTTL: identity.tokenS,
            accessTokenFormat: 'jwt',
            jwt: { sign: { alg: 'ES256' } },
          }),
        },
      },
    });
    provider.on('grant.success', ({ oidc }) => (identity.grants[oidc.params.grant_type] += 1));
    const answer = provider.callback();
    identity.handle = (request, response) => {
      if (identity.delayMs === 0) answer(request, response);
      else setTimeout(() => answer(request, response), identity.delayMs);
    };
    await identity.up();
    return identity;
  }

  get jwksUrl() {
    return `${this.issuer}/jwks`;
  }

  async up() {
    this.server = createServer(this.handle);
    this.server.listen(this.port, '127.0.0.1');
    await once(this.server, 'listening');
  }

  /** Nobody answers any more. */
  async down() {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

/** Signs somebody in on the provider's own pages. */
export async function signIn(page, name) {
  await page.locator('input[name="login"]').fill(name);
  await page.locator('input[name="password"]').fill('anything');
  await page.locator('button[type="submit"]').click();
  // It asks whether the client may act for the person.
  await page.locator('form[action*="/interaction/"] button[type="submit"]').click();
}
