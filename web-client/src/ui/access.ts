import type { BrowserTokens, ClientConfig, ServerClock, TokenSource } from '../lib';
import {
  ApiClient,
  ApiError,
  DevTokenSource,
  DpopKey,
  LoginPageTokenSource,
  OidcTokenSource,
  SignInRequired,
  browserKeeping,
  claimsOf,
  newId,
  tabKeeping,
} from '../lib';

/** What the link of a page says. */
export interface Link {
  readonly session: string | null;
  /** As pages for recordings name it. */
  readonly sessionId: string | null;
  readonly tenant: string | null;
  readonly user: string | null;
  readonly name: string | null;
  readonly role: string | null;
  readonly debug: boolean;
}

/** The parameters of this page's address. */
export function readLink(search: string = location.search): Link {
  const parameters = new URLSearchParams(search);
  const text = (name: string) => {
    const value = parameters.get(name)?.trim() ?? '';
    return value === '' ? null : value;
  };
  return {
    session: text('session'),
    sessionId: text('session_id'),
    tenant: text('tenant'),
    user: text('user'),
    name: text('name'),
    role: text('role'),
    debug: parameters.has('debug'),
  };
}

/** Whether a text has the shape of a UUID. */
export function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);
}

/** The identifier in what somebody typed or pasted, a whole link included. */
export function sessionIn(text: string): string | null {
  const found = text
    .trim()
    .split(/[^0-9a-fA-F-]+/)
    .find(isUuid);
  return found?.toLowerCase() ?? null;
}

/** What everything else needs to speak to the server. */
export interface Door {
  readonly config: ClientConfig;
  readonly key: DpopKey;
  /** The server's clock. */
  readonly clock: ServerClock;
}

/** A signed-in (or soon to be) person. */
export interface Access {
  readonly key: DpopKey;
  readonly tokens: TokenSource;
  readonly api: ApiClient;
}

/** Asks how people sign in here, and readies the key. */
export async function openDoor(): Promise<Door> {
  // Browsers hide keys, cameras and microphones from such pages.
  if (!window.isSecureContext) throw new ApiError(0, 'INSECURE_PAGE', 'not a secure context');
  const api = new ApiClient(null, null);
  const [config, key] = await Promise.all([api.clientConfig(), DpopKey.open()]);
  return { config, key, clock: api.clock };
}

/** Whom a development server is asked to name. */
export interface DevPerson {
  readonly tenant: string;
  readonly user: string;
  readonly name: string;
  readonly role: string;
}

/** Who this tab was last, or is by its link. */
export function devPerson(link: Link, role: string): DevPerson {
  return {
    tenant: link.tenant ?? browserKeeping().getItem('cabildo.dev.tenant') ?? '',
    user: link.user ?? tabKeeping().getItem('cabildo.dev.user') ?? newUser(),
    name: link.name ?? tabKeeping().getItem('cabildo.dev.name') ?? '',
    role: link.role ?? role,
  };
}

/** Remembers who this tab is. */
export function rememberPerson(person: DevPerson): void {
  browserKeeping().setItem('cabildo.dev.tenant', person.tenant);
  tabKeeping().setItem('cabildo.dev.name', person.name);
}

/** Access through the built-in issuer, or through the identity service. */
export function accessOf(door: Door, session: string | null, person: DevPerson): Access {
  const { key, config } = door;
  const tokens = config.dev
    ? new DevTokenSource(key, {
        tenant_id: person.tenant,
        user_id: person.user,
        name: person.name === '' ? person.user : person.name,
        roles: [person.role],
        ...(session === null ? {} : { session_id: session }),
      })
    : (signInOf(door, session) ?? new NoTokens());
  return { key, tokens, api: new ApiClient(key, tokens) };
}

/** Where people sign in outside development; null when the server names nothing. */
export function signInOf(door: Door, session: string | null): BrowserTokens | null {
  const { key, config } = door;
  const options = { key, serverNow: () => door.clock.now() };
  if (config.sign_in !== undefined && config.sign_in !== null)
    return new OidcTokenSource(config.sign_in, options);
  return config.login_url === null
    ? null
    : new LoginPageTokenSource(config.login_url, session, options);
}

/** A server that says nowhere how people sign in. */
class NoTokens implements TokenSource {
  current(): Promise<never> {
    return this.renew();
  }

  renew(): Promise<never> {
    return Promise.reject(new ApiError(0, 'SIGN_IN_MISSING', 'no address for signing in'));
  }
}

/**
 * Makes sure that there is a token, before a page shows anything. Leaves for the
 * identity service when there is none; that is tried a few times only.
 */
export async function signedIn({ tokens }: Access): Promise<void> {
  try {
    await tokens.current();
  } catch (error) {
    if (!(error instanceof SignInRequired) || tokens.signIn === undefined) throw error;
    await tokens.signIn('page');
  }
}

/** The roles that the token of an access names. */
export async function rolesOf(access: Access): Promise<readonly string[]> {
  return claimsOf((await access.tokens.current()).token).roles ?? [];
}

/** A session this browser has been in, for the start page. */
export interface Visit {
  readonly id: string;
  readonly title: string;
  readonly tenant: string;
  readonly at: string;
}

const VISITS = 'cabildo.visits';
const VISITS_MAX = 10;

/** The sessions this browser has been in, the last first. */
export function visits(): readonly Visit[] {
  try {
    const value: unknown = JSON.parse(browserKeeping().getItem(VISITS) ?? '[]');
    return Array.isArray(value) ? (value as Visit[]) : [];
  } catch {
    return [];
  }
}

/** Remembers a session. */
export function rememberVisit(visit: Visit): void {
  const others = visits().filter((one) => one.id !== visit.id);
  browserKeeping().setItem(VISITS, JSON.stringify([visit, ...others].slice(0, VISITS_MAX)));
}

function newUser(): string {
  const user = `dev-${newId().slice(0, 8)}`;
  tabKeeping().setItem('cabildo.dev.user', user);
  return user;
}
