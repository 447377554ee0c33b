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

  /** The public proof; with `fromSize` a receipt of consistency, with `seqs` of inclusion. */
  proof(session: string, fromSize: number | null, seqs: readonly number[] = []): Promise<Bytes> {
    const query = new URLSearchParams(seqs.map((seq) => ['seq', String(seq)]));
    if (fromSize !== null) query.set('from_size', String(fromSize));
    const asked = query.size === 0 ? '' : `?${query.toString()}`;
    return this.load(`/api/v1/sessions/${encodeURIComponent(session)}/audit-proof${asked}`);
  }

  private async load(path: string): Promise<Bytes> {
    let response: Response;
    try {
      response = await this.fetcher(this.origin + path, {
        headers: { Accept: 'application/json' },
        cache: 'no-cache',
      });
    } catch {
      throw new ApiError(0, 'NETWORK', 'the server does not answer');
    }
    if (!response.ok) throw new ApiError(response.status, `HTTP_${response.status}`, '');
    return new Uint8Array(await response.arrayBuffer());
  }
}
