import type { ApiClient } from './api_client';
import { plain, plainWithPlaces } from './plain';

/** A piece of speech, as the REST API tells; `text` is null where there is none. */
export interface TranscriptPiece {
  readonly seq: number;
  readonly participant: string;
  readonly name: string;
  readonly turn: string | null;
  /** RFC 3339. */
  readonly from: string;
  readonly to: string;
  /** As it was corrected last. */
  readonly text: string | null;
  readonly original: string | null;
  readonly language: string | null;
  readonly corrections: readonly unknown[];
  readonly gap: string | null;
}

interface TranscriptPage {
  readonly items: readonly TranscriptPiece[];
  readonly next_cursor: string | null;
}

const PAGE = 500;
/** Pieces that a page holds: more than twelve hours of speech. */
export const PIECES_MAX = 20_000;

/** Reads a transcript, page by page, in the order in which things were said. */
export async function readTranscript(
  api: ApiClient,
  session: string,
): Promise<readonly TranscriptPiece[]> {
  const pieces: TranscriptPiece[] = [];
  let cursor: string | null = null;
  do {
    const query = new URLSearchParams({ limit: String(PAGE) });
    if (cursor !== null) query.set('cursor', cursor);
    const path = `/api/v1/sessions/${encodeURIComponent(session)}/transcript?${query}`;
    const page: TranscriptPage = await api.request<TranscriptPage>('GET', path);
    pieces.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor !== null && pieces.length < PIECES_MAX);
  return pieces.sort((a, b) => Date.parse(a.from) - Date.parse(b.from));
}

/** A part of a text, and whether it was searched for. */
export interface TextPart {
  readonly text: string;
  readonly found: boolean;
}

/**
 * A text in parts, those found that begin with or contain one of the words that are searched for,
 * whatever their accents and capitals.
 */
export function partsFound(text: string, search: string): readonly TextPart[] {
  const words = wordsOf(search);
  if (words.length === 0) return text === '' ? [] : [{ text, found: false }];
  const { plain: bare, places } = plainWithPlaces(text);
  const marks: [number, number][] = [];
  for (const word of words) {
    for (let at = bare.indexOf(word); at >= 0; at = bare.indexOf(word, at + word.length)) {
      marks.push([places[at] ?? 0, places[at + word.length] ?? text.length]);
    }
  }
  marks.sort(([a], [b]) => a - b);
  const parts: TextPart[] = [];
  let done = 0;
  for (const [from, to] of marks) {
    if (to <= done) continue;
    const begin = Math.max(from, done);
    if (begin > done) parts.push({ text: text.slice(done, begin), found: false });
    parts.push({ text: text.slice(begin, to), found: true });
    done = to;
  }
  if (done < text.length) parts.push({ text: text.slice(done), found: false });
  return parts;
}

/** The pieces in which every word is said, or in whose speaker's name it is; all for no word. */
export function piecesFound(
  pieces: readonly TranscriptPiece[],
  search: string,
): readonly TranscriptPiece[] {
  const words = wordsOf(search);
  if (words.length === 0) return pieces;
  return pieces.filter((piece) => {
    const said = plain(`${speakerOf(piece)} ${piece.text ?? ''}`);
    return words.every((word) => said.includes(word));
  });
}

/** Who said a piece, as a page names them. */
export function speakerOf({ name, participant }: TranscriptPiece): string {
  return name === '' ? participant : name;
}

function wordsOf(search: string): readonly string[] {
  return plain(search).split(/\s+/).filter(Boolean);
}
