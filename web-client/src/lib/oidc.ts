import type { BrowserTokensOptions } from './browser_tokens';
import { BrowserTokens, challengeOf } from './browser_tokens';
import { ApiError, SignInRequired } from './errors';
import type { AccessToken } from './token_source';
import type { Returned } from './visitor';

/** How the server says that people sign in. */
export interface SignInConfig {
  readonly issuer: string;
  readonly client_id: string;
  readonly scope: string;
  readonly audience: string;
  readonly resource: string | null;
}

/** What is used of a discovery document (OpenID Connect Discovery 1.0 §3, RFC 9449 §5.1). */
interface Provider {
  readonly issuer: string;
  readonly authorization_endpoint: string;
  readonly token_endpoint: string;
  readonly dpop_signing_alg_values_supported?: readonly string[];
}

interface TokenAnswer {
  readonly access_token?: string;
  readonly expires_in?: number;
  readonly refresh_token?: string;
  readonly error?: string;
}

/**
 * Tokens of an OpenID Connect provider: authorization code with PKCE (RFC 7636),
 * bound to the browser's key where the provider can (RFC 9449), renewed with the
 * refresh token, and else by a silent visit.
 */
export class OidcTokenSource extends BrowserTokens {
  private found: Promise<Provider> | null = null;
  /** The provider's own nonce for proofs (RFC 9449 §8). */
  private nonce: string | undefined;

  constructor(
    private readonly config: SignInConfig,
    options: BrowserTokensOptions,
  ) {
    super(`${config.issuer} ${config.client_id}`, options);
  }

  protected async inBackground(refresh: string | null): Promise<AccessToken> {
    if (refresh !== null) {
      try {
        return await this.grant({ grant_type: 'refresh_token', refresh_token: refresh }, refresh);
      } catch (error) {
        if (!(error instanceof SignInRequired)) throw error;
        // Used up or withdrawn; the provider may still know the person.
        this.forgetRefresh();
      }
    }
    return this.inFrame();
  }

  protected async address(state: string, verifier: string, silent: boolean): Promise<string> {
    const { client_id, scope, audience, resource } = this.config;
    const address = new URL((await this.provider()).authorization_endpoint);
    const parameters: Readonly<Record<string, string | null>> = {
      response_type: 'code',
      client_id,
      redirect_uri: this.visitor.returnTo,
      scope,
      state,
      code_challenge: await challengeOf(verifier),
      code_challenge_method: 'S256',
      audience,
      resource,
      dpop_jkt: this.key.thumbprint,
      // Providers that ask before they give a refresh token do so only with this.
      prompt: silent ? 'none' : scope.split(' ').includes('offline_access') ? 'consent' : null,
    };
    for (const [name, value] of Object.entries(parameters)) {
      if (value !== null) address.searchParams.set(name, value);
    }
    return address.href;
  }

  protected async take(returned: Returned, verifier: string): Promise<AccessToken> {
    const { code, error, iss } = returned;
    if (error !== undefined || code === undefined) {
      throw new ApiError(0, 'SIGN_IN_REFUSED', error ?? 'the provider gave no code');
    }
    // RFC 9207: a code of another provider must not be shown to this one.
    if (iss !== undefined && iss !== this.config.issuer) {
      throw new ApiError(0, 'SIGN_IN_REFUSED', 'the code is of another provider');
    }
    try {
      return await this.grant(
        {
          grant_type: 'authorization_code',
          code,
          redirect_uri: this.visitor.returnTo,
          code_verifier: verifier,
        },
        null,
      );
    } catch (refusal) {
      if (!(refusal instanceof SignInRequired)) throw refusal;
      throw new ApiError(0, 'SIGN_IN_REFUSED', refusal.message);
    }
  }

  private async grant(
    grant: Readonly<Record<string, string>>,
    refresh: string | null,
  ): Promise<AccessToken> {
    const { client_id, resource } = this.config;
    const provider = await this.provider();
    const body = new URLSearchParams({
      ...grant,
      client_id,
      ...(resource === null ? {} : { resource }),
    });
    const bound = provider.dpop_signing_alg_values_supported?.includes('ES256') === true;
    for (let attempt = 0; ; attempt += 1) {
      const response = await this.ask(provider.token_endpoint, {
        method: 'POST',
        headers: bound ? { DPoP: await this.proof(provider.token_endpoint) } : {},
        body,
      });
      this.nonce = response.headers.get('DPoP-Nonce') ?? this.nonce;
      const answer = await answerOf(response);
      if (answer.access_token !== undefined) {
        const next = answer.refresh_token ?? refresh;
        return this.keep(answer.access_token, answer.expires_in ?? null, next);
      }
      if (answer.error === 'use_dpop_nonce' && attempt === 0) continue;
      if (response.status >= 500 || response.status === 429 || answer.error === undefined) {
        throw new ApiError(response.status, 'SIGN_IN_UNAVAILABLE', 'the provider failed');
      }
      throw new SignInRequired(answer.error);
    }
  }

  private proof(url: string): Promise<string> {
    const nowMs = this.serverNow();
    return this.key.proof({ method: 'POST', url, nonce: this.nonce, nowMs });
  }

  private provider(): Promise<Provider> {
    this.found ??= this.discover().catch((error: unknown) => {
      // Asked again the next time.
      this.found = null;
      throw error;
    });
    return this.found;
  }

  private async discover(): Promise<Provider> {
    const issuer = this.config.issuer.replace(/\/$/, '');
    const response = await this.ask(`${issuer}/.well-known/openid-configuration`, {});
    const document = (await response.json().catch(() => ({}))) as Partial<Provider>;
    const { authorization_endpoint, token_endpoint } = document;
    if (authorization_endpoint === undefined || token_endpoint === undefined) {
      throw new ApiError(response.status, 'SIGN_IN_UNAVAILABLE', 'no discovery document');
    }
    // Discovery 1.0 §4.3: a document that names another issuer is not to be used.
    if (document.issuer !== this.config.issuer) {
      throw new ApiError(0, 'SIGN_IN_REFUSED', 'the discovery document names another issuer');
    }
    return { ...document, issuer: document.issuer, authorization_endpoint, token_endpoint };
  }
}

async function answerOf(response: Response): Promise<TokenAnswer> {
  try {
    return (await response.json()) as TokenAnswer;
  } catch {
    return {};
  }
}
