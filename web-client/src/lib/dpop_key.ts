import { base64url, newId, sha256 } from './encoding';

const DATABASE = 'cabildo';
const STORE = 'keys';
const ENTRY = 'dpop';
/** How long a database is waited for that does not answer, as in some broken profiles. */
const DATABASE_WITHIN_MS = 3_000;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;

/** What a proof is about. */
export interface ProofSubject {
  /** HTTP method, upper case. */
  readonly method: string;
  /** Address of the request; query and fragment are left out of the proof. */
  readonly url: string;
  /** Token the request carries, for `ath`. */
  readonly accessToken?: string | undefined;
  /** Last nonce the server gave, for `nonce`. */
  readonly nonce?: string | undefined;
  /** Now by the server's clock, milliseconds since the epoch, for `iat`. */
  readonly nowMs?: number | undefined;
}

/**
 * The key this browser proves its tokens with (RFC 9449). The private half
 * cannot be read by any script: WebCrypto keeps it, IndexedDB stores the handle.
 */
export class DpopKey {
  private constructor(
    private readonly pair: CryptoKeyPair,
    private readonly jwk: { crv: string; kty: string; x: string; y: string },
    /** RFC 7638 thumbprint of the public key: the token's `cnf.jkt`. */
    readonly thumbprint: string,
  ) {}

  /**
   * The key of this browser, made on first use. Without a usable IndexedDB
   * (some private windows) the key lives as long as the page.
   */
  static async open(database: IDBFactory | null = databaseOfBrowser()): Promise<DpopKey> {
    const made = await crypto.subtle.generateKey(ALGORITHM, false, ['sign', 'verify']);
    let pair = made;
    if (database) {
      try {
        pair = await answered(stored(database, made));
      } catch {
        pair = made;
      }
    }
    const {
      crv = '',
      kty = '',
      x = '',
      y = '',
    } = await crypto.subtle.exportKey('jwk', pair.publicKey);
    // RFC 7638 §3.2: required members only, in lexicographic order.
    const thumbprint = await sha256(JSON.stringify({ crv, kty, x, y }));
    return new DpopKey(pair, { crv, kty, x, y }, thumbprint);
  }

  /** A proof for one request, RFC 9449 §4.2. */
  async proof(subject: ProofSubject): Promise<string> {
    const url = new URL(subject.url);
    const claims = {
      htm: subject.method,
      htu: url.origin + url.pathname,
      iat: Math.floor((subject.nowMs ?? Date.now()) / 1000),
      jti: newId(),
      ...(subject.accessToken === undefined ? {} : { ath: await sha256(subject.accessToken) }),
      ...(subject.nonce === undefined ? {} : { nonce: subject.nonce }),
    };
    const header = { typ: 'dpop+jwt', alg: 'ES256', jwk: this.jwk };
    const input = `${part(header)}.${part(claims)}`;
    const signature = await crypto.subtle.sign(
      { name: 'ECDSA', hash: 'SHA-256' },
      this.pair.privateKey,
      new TextEncoder().encode(input),
    );
    return `${input}.${base64url(signature)}`;
  }
}

/** The browser's database; null when it has none, or forbids it. */
function databaseOfBrowser(): IDBFactory | null {
  try {
    return globalThis.indexedDB;
  } catch {
    return null;
  }
}

/** Rejects when the database has not answered in time. */
async function answered(pair: Promise<CryptoKeyPair>): Promise<CryptoKeyPair> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('IndexedDB does not answer')), DATABASE_WITHIN_MS);
  });
  return Promise.race([pair, late]).finally(() => clearTimeout(timer));
}

function part(value: object): string {
  return base64url(new TextEncoder().encode(JSON.stringify(value)));
}

/**
 * Reads the stored pair, or stores `made`. Both happen in one transaction, so
 * that two tabs opened at once agree on one key.
 */
function stored(database: IDBFactory, made: CryptoKeyPair): Promise<CryptoKeyPair> {
  return new Promise((resolve, reject) => {
    const opening = database.open(DATABASE, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    opening.onerror = () => reject(opening.error ?? new Error('IndexedDB'));
    opening.onblocked = () => reject(new Error('IndexedDB is blocked'));
    opening.onsuccess = () => {
      const connection = opening.result;
      const transaction = connection.transaction(STORE, 'readwrite');
      const store = transaction.objectStore(STORE);
      let pair = made;
      const reading = store.get(ENTRY) as IDBRequest<CryptoKeyPair | undefined>;
      reading.onsuccess = () => {
        if (reading.result) pair = reading.result;
        else store.put(made, ENTRY);
      };
      transaction.oncomplete = () => {
        connection.close();
        resolve(pair);
      };
      transaction.onabort = () => {
        connection.close();
        reject(transaction.error ?? new Error('IndexedDB'));
      };
    };
  });
}
