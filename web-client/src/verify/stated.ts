import type { Bytes } from './bytes';
import { fromBase64Url } from './bytes';
import { peekSize } from './cose';
import { field, parseJson, text } from './json';

/** A head as something states it, unchecked. */
export interface StatedHead {
  /** Base64url of COSE. */
  readonly cose: string;
  readonly treeSize: number;
}

/** The head in a proof or in base64url, not yet checked; null where there is none. */
export function statedHead(from: Bytes | string): StatedHead | null {
  try {
    const cose =
      typeof from === 'string' ? from : text(field(field(parseJson(from), 'head'), 'cose'));
    return { cose, treeSize: peekSize(fromBase64Url(cose)) };
  } catch {
    return null;
  }
}
