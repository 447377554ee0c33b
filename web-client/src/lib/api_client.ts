import { ApiError } from './errors';
import type { DpopKey } from './dpop_key';
import type { SignInConfig } from './oidc';
import { newId } from './encoding';
import { ServerClock } from './server_clock';
import type { TokenSource } from './token_source';

/** What pages must know before anybody has signed in. */
export interface ClientConfig {
  /** Whether the server runs with its built-in issuer and governance page. */
  readonly dev: boolean;
  /** Where people sign in; absent in development. */
  readonly login_url: string | null;
  /** The provider at which the client signs people in itself, if any. */
  readonly sign_in?: SignInConfig | null;
}

/** What is read of the server's health. */
interface Health {
  readonly dependencies: Readonly<Record<string, string>>;
}

/** What makes people present in a session. */
export interface AttendanceRules {
  /** `channel`: being connected; `proof`: being connected and a proof of presence. */
  readonly admission: 'channel' | 'proof';
  /** Most units of others that one person may represent. */
  readonly delegated_units_max: number;
}

/** A session, as the REST API shows it. */
export interface Session {
  readonly id: string;
  readonly tenant_id: string;
  readonly assembly_id: string;
  readonly title: string;
  readonly modality: 'virtual' | 'in_person' | 'mixed';
  readonly provider: string;
  readonly status: 'scheduled' | 'active' | 'completed' | 'cancelled';
  readonly scheduled_start_at: string | null;
  readonly scheduled_end_at: string | null;
  readonly started_at: string | null;
  readonly ended_at: string | null;
  readonly max_participants: number;
  readonly moderation: 'open' | 'moderated';
  /** Whether whoever has a link for it may watch it without being in it. */
  readonly live_viewing: boolean;
  readonly recording: { readonly enabled: boolean; readonly retention_days: number };
  readonly transcription: { readonly enabled: boolean; readonly language: string | null };
  readonly speaking: { readonly default_turn_s: number; readonly max_turn_s: number };
  readonly attendance?: AttendanceRules;
  readonly join_url: string;
  readonly version: number;
  readonly created_at: string;
}

/** Options of one request. */
export interface RequestOptions {
  readonly body?: unknown;
  /** Repeating a write with the same key repeats its answer; made up when absent. */
  readonly idempotencyKey?: string;
  /** `If-Match`, for patches. */
  readonly ifMatch?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** A clock that is further off than this may be why a proof was refused. */
const CLOCK_OFF_MS = 30_000;

/**
 * The REST API with proofs of possession (RFC 9449): the server's nonce is kept,
 * a request is sent again once when the server asks for one, and proofs are dated
 * by the server's clock.
 */
export class ApiClient {
  private nonce: string | undefined;
  /** The server's, by the dates of its answers. */
  readonly clock = new ServerClock();

  constructor(
    private readonly key: DpopKey | null,
    private readonly tokens: TokenSource | null,
    private readonly origin: string = window.location.origin,
    private readonly fetcher: typeof fetch = (...input) => fetch(...input),
  ) {}

  /** Public. */
  clientConfig(): Promise<ClientConfig> {
    return this.send<ClientConfig>('GET', '/api/v1/client-config', {}, 'public');
  }

  /** Whether the server can store recordings now. Public. */
  async storesRecordings(): Promise<boolean> {
    const health = await this.send<Health>('GET', '/health', {}, 'public');
    return health.dependencies.vault !== 'degraded';
  }

  session(id: string): Promise<Session> {
    return this.request('GET', `/api/v1/sessions/${encodeURIComponent(id)}`);
  }

  async sessions(query: Readonly<Record<string, string>> = {}): Promise<readonly Session[]> {
    const parameters = new URLSearchParams(query).toString();
    const answer = await this.request<readonly Session[] | Listing>(
      'GET',
      `/api/v1/sessions${parameters === '' ? '' : `?${parameters}`}`,
    );
    return listed(answer);
  }

  /** One call with the token and a proof of its key. */
  request<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
    return this.send<T>(method, path, options, 'dpop');
  }

  /** As `request`, of what is no JSON. */
  async requestText(path: string): Promise<{ readonly text: string; readonly headers: Headers }> {
    const response = await this.answer('GET', path, {}, 'dpop');
    try {
      return { text: await response.text(), headers: response.headers };
    } catch {
      throw new ApiError(0, 'NETWORK', 'the text ended early');
    }
  }

  /** A call without any credentials, for public and development routes. */
  publicRequest<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
    return this.send<T>(method, path, options, 'public');
  }

  /** A file of the server, whatever its type. */
  async file(path: string): Promise<Blob> {
    const response = await this.answer('GET', path, {}, 'dpop');
    try {
      return await response.blob();
    } catch {
      throw new ApiError(0, 'NETWORK', 'the file ended early');
    }
  }

  /** What is to be taken as its bytes come; with `rest`, from that byte on if it is the same still. */
  stream(
    path: string,
    signal: AbortSignal,
    rest: { readonly from: number; readonly tag: string } | null = null,
  ): Promise<Response> {
    const headers =
      rest === null ? {} : { headers: { Range: `bytes=${rest.from}-`, 'If-Range': rest.tag } };
    return this.answer('GET', path, { signal, ...headers }, 'dpop');
  }

  private async send<T>(
    method: string,
    path: string,
    options: RequestOptions,
    credentials: 'public' | 'dpop',
  ): Promise<T> {
    const response = await this.answer(method, path, options, credentials);
    return (response.status === 204 ? undefined : await response.json()) as T;
  }

  /** The answer to a call that was granted. */
  private async answer(
    method: string,
    path: string,
    options: RequestOptions,
    credentials: 'public' | 'dpop',
  ): Promise<Response> {
    const url = this.origin + path;
    const idempotencyKey = method === 'GET' ? undefined : (options.idempotencyKey ?? newId());
    for (let attempt = 0; ; attempt += 1) {
      // Before the proof is dated, since another answer may tell the time meanwhile.
      const knownOffsetMs = this.clock.offsetMs;
      const headers = await this.headers(method, url, credentials);
      if (idempotencyKey !== undefined) headers.set('Idempotency-Key', idempotencyKey);
      if (options.ifMatch !== undefined) headers.set('If-Match', options.ifMatch);
      for (const [name, value] of Object.entries(options.headers ?? {})) headers.set(name, value);
      if (options.body !== undefined) headers.set('Content-Type', 'application/json');
      const sentMs = Date.now();
      const response = await this.fetchOnce(url, {
        method,
        headers,
        ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      });
      this.nonce = response.headers.get('DPoP-Nonce') ?? this.nonce;
      const date = response.headers.get('Date');
      if (date !== null) this.clock.handleReading(date, sentMs, Date.now());
      if (response.ok) return response;
      const error = await errorOf(response);
      const retry = attempt === 0 && response.status === 401 && this.tokens !== null;
      if (!retry) throw error;
      if (error.code === 'TOKEN_EXPIRED') await this.tokens.renew();
      else if (error.code === 'DPOP_PROOF_INVALID') {
        // A clock that is days off dates proofs that nothing makes fresh; now the server's is known.
        if (Math.abs(this.clock.offsetMs - knownOffsetMs) < CLOCK_OFF_MS) throw error;
      } else if (error.code !== 'DPOP_NONCE_REQUIRED') throw error;
    }
  }

  private async fetchOnce(url: string, init: RequestInit): Promise<Response> {
    try {
      return await this.fetcher(url, init);
    } catch (cause) {
      if (init.signal?.aborted === true) throw cause;
      throw new ApiError(0, 'NETWORK', 'the server does not answer');
    }
  }

  private async headers(
    method: string,
    url: string,
    credentials: 'public' | 'dpop',
  ): Promise<Headers> {
    const headers = new Headers({ Accept: 'application/json' });
    if (credentials === 'public') return headers;
    if (this.tokens === null || this.key === null) {
      throw new ApiError(401, 'CREDENTIALS_MISSING', 'nobody has signed in');
    }
    const { token } = await this.tokens.current();
    const nowMs = this.clock.now();
    headers.set('Authorization', `DPoP ${token}`);
    headers.set(
      'DPoP',
      await this.key.proof({ method, url, accessToken: token, nonce: this.nonce, nowMs }),
    );
    return headers;
  }
}

interface Listing {
  readonly items?: readonly Session[];
  readonly sessions?: readonly Session[];
}

/** The entries of a list, whether it pages or not. */
export function listed(answer: readonly Session[] | Listing): readonly Session[] {
  if ('items' in answer || 'sessions' in answer) return answer.items ?? answer.sessions ?? [];
  return Array.isArray(answer) ? (answer as readonly Session[]) : [];
}

async function errorOf(response: Response): Promise<ApiError> {
  const wait = Number(response.headers.get('Retry-After') ?? Number.NaN);
  const retryAfterS = Number.isFinite(wait) ? wait : null;
  try {
    const body = (await response.json()) as Partial<Record<string, unknown>>;
    if (typeof body.code === 'string') {
      return new ApiError(
        response.status,
        body.code,
        typeof body.message === 'string' ? body.message : '',
        (body.details ?? {}) as Record<string, unknown>,
        typeof body.trace_id === 'string' ? body.trace_id : null,
        retryAfterS,
      );
    }
  } catch {
    // Not our server's error object: something between us answered.
  }
  return new ApiError(
    response.status,
    `HTTP_${response.status}`,
    response.statusText,
    {},
    null,
    retryAfterS,
  );
}
