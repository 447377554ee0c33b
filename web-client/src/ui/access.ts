import type { ClientConfig, TokenSource } from '../lib';
import { ApiClient, DevTokenSource, DpopKey, RedirectTokenSource, claimsOf } from '../lib';

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
}

/** A signed-in (or soon to be) person. */
export interface Access {
  readonly key: DpopKey;
  readonly tokens: TokenSource;
  readonly api: ApiClient;
}

/** Asks how people sign in here, and readies the key. */
export async function openDoor(): Promise<Door> {
  const [config, key] = await Promise.all([
    new ApiClient(null, null).clientConfig(),
    DpopKey.open(),
  ]);
  return { config, key };
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
    tenant: link.tenant ?? stored(localStorage, 'cabildo.dev.tenant') ?? '',
    user: link.user ?? stored(sessionStorage, 'cabildo.dev.user') ?? newUser(),
    name: link.name ?? stored(sessionStorage, 'cabildo.dev.name') ?? '',
    role: link.role ?? role,
  };
}

/** Remembers who this tab is. */
export function rememberPerson(person: DevPerson): void {
  localStorage.setItem('cabildo.dev.tenant', person.tenant);
  sessionStorage.setItem('cabildo.dev.name', person.name);
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
    : new RedirectTokenSource(key, config.login_url ?? '/', session);
  return { key, tokens, api: new ApiClient(key, tokens) };
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
    const value: unknown = JSON.parse(stored(localStorage, VISITS) ?? '[]');
    return Array.isArray(value) ? (value as Visit[]) : [];
  } catch {
    return [];
  }
}

/** Remembers a session. */
export function rememberVisit(visit: Visit): void {
  const others = visits().filter((one) => one.id !== visit.id);
  localStorage.setItem(VISITS, JSON.stringify([visit, ...others].slice(0, VISITS_MAX)));
}

function newUser(): string {
  const user = `dev-${crypto.randomUUID().slice(0, 8)}`;
  sessionStorage.setItem('cabildo.dev.user', user);
  return user;
}

function stored(storage: Storage, key: string): string | null {
  try {
    return storage.getItem(key);
  } catch {
    return null;
  }
}
