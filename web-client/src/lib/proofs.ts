import { ApiError } from './errors';

type Bytes = Uint8Array<ArrayBuffer>;

/** The public documents that records are checked against; no credentials. */
export class ProofSource {
  constructor(
    private readonly origin: string = window.location.origin,
    private readonly fetcher: typeof fetch = (...input) => fetch(...input),
  ) {}

  /** The keys that the server publishes. */
  keys(): Promise<Bytes> {
    return this.load('/.well-known/cabildo-evidence-keys.json');
  }

  /** The public proof, with entry 0; with `fromSize` a receipt of consistency too. */
  proof(session: string, fromSize: number | null): Promise<Bytes> {
    const from = fromSize === null ? '' : `&from_size=${fromSize}`;
    return this.load(`/api/v1/sessions/${encodeURIComponent(session)}/audit-proof?seq=0${from}`);
  }

  private async load(path: string): Promise<Bytes> {
    let response: Response;
    try {
      response = await this.fetcher(this.origin + path, {
        headers: { Accept: 'application/json' },
      });
    } catch {
      throw new ApiError(0, 'NETWORK', 'the server does not answer');
    }
    if (!response.ok) throw new ApiError(response.status, `HTTP_${response.status}`, '');
    return new Uint8Array(await response.arrayBuffer());
  }
}
