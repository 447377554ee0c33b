/** A refusal of the REST API, as the server tells it. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    /** HTTP status; 0 when the server could not be reached. */
    readonly status: number,
    /** Stable, upper snake case; `NETWORK` when the server could not be reached. */
    readonly code: string,
    message: string,
    readonly details: Readonly<Record<string, unknown>> = {},
    /** Finds the failure in the server's logs. */
    readonly traceId: string | null = null,
    /** From `Retry-After`, in seconds. */
    readonly retryAfterS: number | null = null,
  ) {
    super(message);
  }
}

/** A request on the moderation channel that was refused or not answered. */
export class ChannelError extends Error {
  override readonly name = 'ChannelError';

  constructor(
    /** The server's code, or `NOT_CONNECTED`, `CONNECTION_LOST`, `TIMED_OUT`. */
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** A visit of the identity service for which a page was left gave no access. */
export class VisitFailed extends Error {
  override readonly name = 'VisitFailed';

  constructor(
    /** Path of the page that the visit began on. */
    readonly back: string,
    override readonly cause: unknown,
  ) {
    super('the visit of the identity service gave no access');
  }
}

/** The person has to sign in again; the page has been or should be left for it. */
export class SignInRequired extends Error {
  override readonly name = 'SignInRequired';
}
