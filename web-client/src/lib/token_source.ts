import { ApiError } from './errors';
import type { DpopKey } from './dpop_key';
import { textFromBase64url } from './encoding';

/** A token and when it ends, milliseconds since the epoch by this browser's clock. */
export interface AccessToken {
  readonly token: string;
  readonly expiresAtMs: number;
}

/** Where access tokens come from. */
export interface TokenSource {
  /** A token that is good for a while; made anew when it soon ends. */
  current(): Promise<AccessToken>;
  /**
   * A new token, because the old one was refused or ends. It never leaves the
   * page: where only the person can help, it rejects with `SignInRequired`.
   */
  renew(): Promise<AccessToken>;
  /**
   * Has the person sign in; absent where nobody signs in. Waiting for a window
   * can be given up, which rejects with `SIGN_IN_CANCELLED`.
   */
  signIn?(way: 'page' | 'window', signal?: AbortSignal): Promise<void>;
}

/** What pages read from a token for display; only the server may trust it. */
export interface Claims {
  readonly sub?: string;
  readonly name?: string;
  readonly locale?: string;
  readonly tenant_id?: string;
  readonly roles?: readonly string[];
  readonly exp?: number;
  readonly iat?: number;
  readonly cnf?: { readonly jkt?: string };
}

/** The claims of a JWT, unchecked; an empty object when it is not one. */
export function claimsOf(token: string): Claims {
  try {
    const value: unknown = JSON.parse(textFromBase64url(token.split('.')[1] ?? ''));
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}

/** Renewed this long before the end, so that a token never ends on its way. */
const RENEW_BEFORE_MS = 30_000;

/** Whom the built-in issuer of a development server is asked to name. */
export interface DevIdentity {
  readonly tenant_id: string;
  readonly user_id: string;
  readonly name: string;
  readonly roles: readonly string[];
  readonly session_id?: string;
}

/** Tokens of the built-in issuer of a development server. */
export class DevTokenSource implements TokenSource {
  private token: AccessToken | null = null;
  private pending: Promise<AccessToken> | null = null;

  constructor(
    private readonly key: DpopKey,
    private readonly identity: DevIdentity,
    private readonly fetcher: typeof fetch = (...input) => fetch(...input),
  ) {}

  async current(): Promise<AccessToken> {
    if (this.token && this.token.expiresAtMs - RENEW_BEFORE_MS > Date.now()) return this.token;
    return this.renew();
  }

  renew(): Promise<AccessToken> {
    this.pending ??= this.issue().finally(() => (this.pending = null));
    return this.pending;
  }

  private async issue(): Promise<AccessToken> {
    let response: Response;
    try {
      response = await this.fetcher('/dev/token', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ ...this.identity, jkt: this.key.thumbprint }),
      });
    } catch {
      throw new ApiError(0, 'NETWORK', 'the server does not answer');
    }
    if (!response.ok) {
      throw new ApiError(response.status, 'TOKEN_INVALID', 'the built-in issuer gave no token');
    }
    const body = (await response.json()) as { access_token: string; expires_in: number };
    this.token = {
      token: body.access_token,
      expiresAtMs: Date.now() + body.expires_in * 1000,
    };
    return this.token;
  }
}
