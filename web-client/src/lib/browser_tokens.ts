import type { DpopKey } from './dpop_key';
import { base64url, sha256 } from './encoding';
import { ApiError, SignInRequired, VisitFailed } from './errors';
import type { Keeping } from './keeping';
import { tabKeeping } from './keeping';
import type { AccessToken, TokenSource } from './token_source';
import { claimsOf } from './token_source';
import type { Returned, Visitor } from './visitor';
import { PageVisitor, forgetVisits, mayLeave } from './visitor';

/** A token, when it ends by this browser's clock, and what it can be renewed with. */
interface Kept extends AccessToken {
  readonly refresh: string | null;
}

/** A visit by leaving the page, to be taken up when it comes back. */
interface Visit {
  readonly state: string;
  readonly verifier: string;
  readonly back: string;
}

/** How somebody signs in: by leaving the page, or in a window beside it. */
export type SignInWay = 'page' | 'window';

/** How long a token lasts whose issuer does not say. */
const LIFE_MS_DEFAULT = 300_000;
/** Renewed this long before the end, so that a token never ends on its way. */
const RENEW_BEFORE_MS = 30_000;
const ANSWER_WITHIN_MS = 10_000;

/** What sources of tokens in a browser need. */
export interface BrowserTokensOptions {
  readonly key: Pick<DpopKey, 'thumbprint' | 'proof'>;
  readonly visitor?: Visitor;
  readonly keeping?: Keeping;
  readonly fetcher?: typeof fetch;
  /** Now by the server's clock, for proofs; this browser's clock when absent. */
  readonly serverNow?: () => number;
}

/**
 * What sources of tokens have in common that ask an identity service: the token
 * is kept as long as the tab, renewed without leaving the page, and good to its
 * last second when it can't be. Only `signIn` leaves the page.
 */
export abstract class BrowserTokens implements TokenSource {
  protected readonly key: Pick<DpopKey, 'thumbprint' | 'proof'>;
  protected readonly visitor: Visitor;
  protected readonly keeping: Keeping;
  protected readonly fetcher: typeof fetch;
  protected readonly serverNow: () => number;
  private pending: Promise<AccessToken> | null = null;

  constructor(
    private readonly name: string,
    options: BrowserTokensOptions,
  ) {
    this.key = options.key;
    this.visitor = options.visitor ?? new PageVisitor();
    this.keeping = options.keeping ?? tabKeeping();
    this.fetcher = options.fetcher ?? ((...input) => fetch(...input));
    this.serverNow = options.serverNow ?? (() => Date.now());
  }

  async current(): Promise<AccessToken> {
    const kept = this.kept();
    if (kept === null) return this.renew();
    const life = (claimsOf(kept.token).exp ?? 0) - (claimsOf(kept.token).iat ?? 0);
    const before = life > 0 ? Math.min(RENEW_BEFORE_MS, life * 500) : RENEW_BEFORE_MS;
    const leftMs = kept.expiresAtMs - Date.now();
    if (leftMs > before) return kept;
    try {
      return await this.renew();
    } catch (error) {
      if (leftMs > 0) return kept;
      throw error;
    }
  }

  renew(): Promise<AccessToken> {
    this.pending ??= this.inBackground(this.kept()?.refresh ?? null).finally(
      () => (this.pending = null),
    );
    return this.pending;
  }

  /**
   * Has the person sign in. By leaving the page this rejects with
   * `SignInRequired`, and, when it was tried too often, with `SIGN_IN_LOOP`.
   */
  async signIn(way: SignInWay, signal?: AbortSignal): Promise<void> {
    const state = random();
    const verifier = random();
    if (way === 'page') {
      if (!mayLeave(Date.now())) {
        throw new ApiError(0, 'SIGN_IN_LOOP', 'signing in was tried several times in vain');
      }
      const visit: Visit = { state, verifier, back: this.here() };
      this.keeping.setItem(this.visitKey, JSON.stringify(visit));
      this.visitor.leave(await this.address(state, verifier, false));
      throw new SignInRequired('signing in');
    }
    const address = await this.address(state, verifier, false);
    let returned: Returned;
    try {
      returned = await this.visitor.inWindow(address, state, signal);
    } catch {
      if (signal?.aborted === true) {
        throw new ApiError(0, 'SIGN_IN_CANCELLED', 'signing in was given up');
      }
      throw new ApiError(0, 'SIGN_IN_WINDOW', 'the window for signing in did not return');
    }
    await this.take(returned, verifier);
    forgetVisits();
  }

  /**
   * Takes up a visit that left the page; answers the address to go back to, or
   * null when it is none of this tab's.
   */
  async comeBack(returned: Returned): Promise<string | null> {
    const text = this.keeping.getItem(this.visitKey);
    if (text === null) return null;
    const visit = JSON.parse(text) as Visit;
    if (returned.state !== visit.state) return null;
    this.keeping.removeItem(this.visitKey);
    try {
      await this.take(returned, visit.verifier);
    } catch (error) {
      throw new VisitFailed(visit.back, error);
    }
    return visit.back;
  }

  /** Renews without the person; rejects with `SignInRequired` when that can't be. */
  protected abstract inBackground(refresh: string | null): Promise<AccessToken>;

  /** Where the person signs in; `silent`: or is known already, without being asked. */
  protected abstract address(state: string, verifier: string, silent: boolean): Promise<string>;

  /** Makes a token of what a visit gave back. */
  protected abstract take(returned: Returned, verifier: string): Promise<AccessToken>;

  /** Renews by a visit that shows nothing. */
  protected async inFrame(): Promise<AccessToken> {
    const state = random();
    const verifier = random();
    const address = await this.address(state, verifier, true);
    let returned: Returned;
    try {
      returned = await this.visitor.inFrame(address, state);
    } catch {
      throw new SignInRequired('the identity service did not answer without the person');
    }
    if (returned.error !== undefined) throw new SignInRequired(returned.error);
    return this.take(returned, verifier);
  }

  /** Asks the identity service; a service that is away or late is an `ApiError`. */
  protected async ask(url: string, init: RequestInit): Promise<Response> {
    try {
      return await this.fetcher(url, { ...init, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
    } catch {
      throw new ApiError(0, 'SIGN_IN_UNAVAILABLE', 'the identity service does not answer');
    }
  }

  protected keep(token: string, expiresInS: number | null, refresh: string | null): AccessToken {
    const { exp, iat } = claimsOf(token);
    const claimed = exp !== undefined && iat !== undefined ? (exp - iat) * 1000 : LIFE_MS_DEFAULT;
    const lifeMs = expiresInS === null ? claimed : expiresInS * 1000;
    const kept: Kept = { token, expiresAtMs: Date.now() + lifeMs, refresh };
    this.keeping.setItem(this.tokenKey, JSON.stringify(kept));
    return kept;
  }

  protected forgetRefresh(): void {
    const kept = this.kept();
    if (kept !== null) {
      this.keeping.setItem(this.tokenKey, JSON.stringify({ ...kept, refresh: null }));
    }
  }

  private kept(): Kept | null {
    try {
      const value = JSON.parse(this.keeping.getItem(this.tokenKey) ?? 'null') as Kept | null;
      // A key of another visit would prove nothing about this token.
      const bound = value === null ? undefined : claimsOf(value.token).cnf?.jkt;
      return bound !== undefined && bound !== this.key.thumbprint ? null : value;
    } catch {
      return null;
    }
  }

  private here(): string {
    return typeof window === 'undefined' ? '/' : window.location.href;
  }

  private get tokenKey(): string {
    return `cabildo.token.${this.name}`;
  }

  private get visitKey(): string {
    return `cabildo.visit.${this.name}`;
  }
}

/** 256 bits that nobody can guess, base64url. */
function random(): string {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

/** The challenge of a verifier (RFC 7636 §4.2). */
export function challengeOf(verifier: string): Promise<string> {
  return sha256(verifier);
}
