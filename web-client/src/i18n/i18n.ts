import { signal } from '@preact/signals';
import { browserKeeping } from '../lib/keeping';
import type { Key, Language } from './catalogues';
import { STORED, catalogueOf, loadCatalogue, wantedLanguage } from './catalogues';
import type { Parameters } from './message';
import { format } from './message';

/** How each language calls itself. */
export const LANGUAGE_NAMES: Readonly<Record<Language, string>> = {
  es: 'Español',
  en: 'English',
  pt: 'Português',
};

/** The language that is shown. */
export const language = signal<Language>('es');

/** A text in the language that is shown. */
export function t(key: Key, parameters?: Parameters): string {
  return format(catalogueOf(language.value)[key] ?? key, language.value, parameters);
}

/** Whether a text of this name exists. */
export function isKey(key: string): key is Key {
  return key in catalogueOf(language.value);
}

/** What a code of the server means for a person, and what to do. */
export function errorText(code: string): string {
  const key = `error.${code}`;
  return isKey(key) ? t(key) : t('error.other');
}

/** Chooses and remembers a language. It fails when its texts can't be loaded. */
export async function setLanguage(chosen: Language): Promise<void> {
  await show(chosen);
  browserKeeping().setItem(STORED, chosen);
}

/** Takes the language that is wanted: see `wantedLanguage`. It fails as `setLanguage` does. */
export async function chooseLanguage(tokenLocale?: string): Promise<void> {
  await show(wantedLanguage(tokenLocale));
}

/** A time of day and date as the language writes them. */
export function dateTime(iso: string): string {
  const style = { dateStyle: 'medium', timeStyle: 'short' } as const;
  return new Intl.DateTimeFormat(language.value, style).format(new Date(iso));
}

/** The time of day only. */
export function timeOfDay(iso: string): string {
  return new Intl.DateTimeFormat(language.value, { timeStyle: 'short' }).format(new Date(iso));
}

/** A time span as a clock shows it: `1:05`, `-0:12`, `1:00:00`. */
export function clock(ms: number): string {
  // Counting down, 0:01 stays until the last second is really over.
  const seconds = Math.abs(Math.ceil(ms / 1000));
  const two = (value: number) => String(value).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  const text =
    hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
  return ms < 0 && seconds > 0 ? `-${text}` : text;
}

/** The newest language that was to be shown. */
let newest: Language | null = null;

async function show(chosen: Language): Promise<void> {
  newest = chosen;
  await loadCatalogue(chosen);
  // Another was chosen while this one was on its way.
  if (newest !== chosen) return;
  language.value = chosen;
  document.documentElement.lang = chosen;
}
