import type { ApiClient } from './api_client';

/** The languages in which minutes are drafted. */
export const MINUTES_LANGUAGES = ['es', 'en', 'pt'] as const;
export type MinutesLanguage = (typeof MINUTES_LANGUAGES)[number];

/** A version that was confirmed. */
export interface MinutesVersion {
  /** Counts from 1. */
  readonly version: number;
  readonly language: string;
  /** SHA-256 of the text, hexadecimal; the log of the session has it. */
  readonly sha256: string;
  readonly confirmed_at: string;
  readonly confirmed_by: string;
}

/** Minutes to read. */
export interface Minutes {
  readonly text: string;
  readonly language: MinutesLanguage;
  /** The version that was confirmed; null for a draft. */
  readonly version: number | null;
  /** The newest confirmed version when these were read; 0 when there was none. */
  readonly newest: number;
}

/** Most bytes of minutes that the server takes. */
export const MINUTES_BYTES_MAX = 1024 * 1024;

const pathOf = (session: string) => `/api/v1/sessions/${encodeURIComponent(session)}/minutes`;

/** Reads a draft in a language, or what was confirmed last. */
export async function readMinutes(
  api: ApiClient,
  session: string,
  which: 'confirmed' | MinutesLanguage,
): Promise<Minutes> {
  const query = new URLSearchParams(
    which === 'confirmed' ? { version: 'confirmed' } : { version: 'draft', lang: which },
  );
  const { text, headers } = await api.requestText(`${pathOf(session)}?${query}`);
  const version = /version=(\d+)/.exec(headers.get('Cabildo-Minutes') ?? '')?.[1];
  // A proxy that compresses may have made the tag a weak one, so only its number is taken.
  const newest = /"(\d+)"/.exec(headers.get('ETag') ?? '')?.[1];
  return {
    text,
    language: minutesLanguage(headers.get('Content-Language') ?? ''),
    version: version === undefined ? null : Number(version),
    newest: Number(newest ?? version ?? 0),
  };
}

/** The versions that were confirmed, the newest first. */
export async function listMinutes(
  api: ApiClient,
  session: string,
): Promise<readonly MinutesVersion[]> {
  const path = `${pathOf(session)}/versions`;
  return (await api.request<{ readonly items: readonly MinutesVersion[] }>('GET', path)).items;
}

/**
 * Confirms a text; its hash enters the log of the session. Refused with `VERSION_CONFLICT` when the
 * newest version is not `newest` any more. Repeated with its key it is one version.
 */
export function confirmMinutes(
  api: ApiClient,
  session: string,
  minutes: Pick<Minutes, 'language' | 'text' | 'newest'>,
  idempotencyKey: string,
): Promise<MinutesVersion> {
  const { language, text, newest } = minutes;
  const options = { body: { language, text }, ifMatch: `"${newest}"`, idempotencyKey };
  return api.request('PUT', pathOf(session), options);
}

/** The language of minutes that a tag stands for; Spanish for others, as the server has it. */
export function minutesLanguage(tag: string): MinutesLanguage {
  const primary = tag.split('-')[0]?.toLowerCase();
  return MINUTES_LANGUAGES.find((one) => one === primary) ?? 'es';
}

/** Why the server would not take a text; null when it would. */
export function minutesProblem(text: string): 'empty' | 'control' | 'long' | null {
  if (text.trim() === '') return 'empty';
  if (/[^\P{Cc}\n\r\t]/u.test(text)) return 'control';
  return new TextEncoder().encode(text).length > MINUTES_BYTES_MAX ? 'long' : null;
}
