import type { BrowserTokensOptions } from './browser_tokens';
import { BrowserTokens } from './browser_tokens';
import { ApiError } from './errors';
import type { AccessToken } from './token_source';
import type { Returned } from './visitor';
import { RETURN_PATH } from './visitor';

/**
 * Tokens of an identity service with a page of its own, which returns with one:
 * it is told `jkt`, `session_id`, `state` and `return_to`, and comes back to
 * `return_to` with `#access_token=…&state=…`. With `prompt=none` it shows nothing.
 */
export class LoginPageTokenSource extends BrowserTokens {
  constructor(
    private readonly loginUrl: string,
    private readonly sessionId: string | null,
    options: BrowserTokensOptions,
  ) {
    super(loginUrl, options);
    this.takeFromAddress();
  }

  protected inBackground(): Promise<AccessToken> {
    return this.inFrame();
  }

  protected address(state: string, _verifier: string, silent: boolean): Promise<string> {
    const login = new URL(this.loginUrl, this.visitor.returnTo);
    login.searchParams.set('jkt', this.key.thumbprint);
    if (this.sessionId !== null) login.searchParams.set('session_id', this.sessionId);
    // A service that does not know `state` keeps the address it is told.
    login.searchParams.set('return_to', `${this.visitor.returnTo}?state=${state}`);
    login.searchParams.set('state', state);
    if (silent) login.searchParams.set('prompt', 'none');
    return Promise.resolve(login.href);
  }

  /** A service may also link to a page with a token; it must not stay in the address. */
  private takeFromAddress(): void {
    if (typeof window === 'undefined') return;
    const [address = '', fragment = ''] = window.location.href.split('#');
    const token = new URLSearchParams(fragment).get('access_token');
    if (token === null || window.location.pathname === RETURN_PATH) return;
    this.keep(token, null, null);
    window.history.replaceState(null, '', address);
  }

  protected take(returned: Returned): Promise<AccessToken> {
    const { access_token, expires_in, error } = returned;
    if (access_token === undefined) {
      const refusal = new ApiError(0, 'SIGN_IN_REFUSED', error ?? 'no token came back');
      return Promise.reject(refusal);
    }
    const life = Number(expires_in ?? Number.NaN);
    return Promise.resolve(this.keep(access_token, Number.isFinite(life) ? life : null, null));
  }
}
