import { signal } from '@preact/signals';
import { browserKeeping } from '../lib/keeping';
import { en } from './en';
import { es } from './es';
import type { Parameters } from './message';
import { format } from './message';
import { pt } from './pt';

/** The name of a text. */
export type Key = keyof typeof es;
/** Every text in one language. */
export type Catalogue = Readonly<Record<Key, string>>;
/** The languages of the interface, the default first. */
export const LANGUAGES = ['es', 'en', 'pt'] as const;
export type Language = (typeof LANGUAGES)[number];

/** How each language calls itself. */
export const LANGUAGE_NAMES: Readonly<Record<Language, string>> = {
  es: 'Español',
  en: 'English',
  pt: 'Português',
};

export const catalogues: Readonly<Record<Language, Catalogue>> = { es, en, pt };

const STORED = 'cabildo.language';

/** The language that is shown. */
export const language = signal<Language>('es');

/** A text in the language that is shown. */
export function t(key: Key, parameters?: Parameters): string {
  return format(catalogues[language.value][key], language.value, parameters);
}

/** Whether a text of this name exists. */
export function isKey(key: string): key is Key {
  return key in es;
}

/** What a code of the server means for a person, and what to do. */
export function errorText(code: string): string {
  const key = `error.${code}`;
  return isKey(key) ? t(key) : t('error.other');
}

/** Chooses and remembers a language. */
export function setLanguage(chosen: Language): void {
  show(chosen);
  browserKeeping().setItem(STORED, chosen);
}

/** Takes the language of the first of these that names one of ours. */
export function chooseLanguage(tokenLocale?: string): void {
  const asked = new URLSearchParams(location.search).get('lang');
  const wishes = [asked, browserKeeping().getItem(STORED), tokenLocale, ...navigator.languages];
  show(firstOurs(wishes) ?? 'es');
}

/** The first of some BCP 47 tags that is in one of our languages. */
export function firstOurs(wishes: readonly (string | null | undefined)[]): Language | null {
  for (const wish of wishes) {
    const primary = wish?.toLowerCase().split(/[-_.]/)[0];
    const ours = LANGUAGES.find((one) => one === primary);
    if (ours !== undefined) return ours;
  }
  return null;
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

function show(chosen: Language): void {
  language.value = chosen;
  document.documentElement.lang = chosen;
}
