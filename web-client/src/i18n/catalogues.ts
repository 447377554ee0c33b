import { browserKeeping } from '../lib/keeping';
import type { es } from './es';

/** The name of a text. */
export type Key = keyof typeof es;
/** Every text in one language. */
export type Catalogue = Readonly<Record<Key, string>>;
/** The languages of the interface, the default first. */
export const LANGUAGES = ['es', 'en', 'pt'] as const;
export type Language = (typeof LANGUAGES)[number];

/** Where the chosen language is kept. */
export const STORED = 'cabildo.language';

/** A page loads the language that it shows, and no other before it is chosen. */
const SOURCES: Readonly<Record<Language, () => Promise<Catalogue>>> = {
  es: async () => (await import('./es')).es,
  en: async () => (await import('./en')).en,
  pt: async () => (await import('./pt')).pt,
};

const loaded = new Map<Language, Catalogue>();

/** Loads the texts of a language, after which `catalogueOf` has them. */
export async function loadCatalogue(language: Language): Promise<void> {
  if (!loaded.has(language)) loaded.set(language, await SOURCES[language]());
}

/** The texts of a language; empty unless it was loaded. */
export function catalogueOf(language: Language): Partial<Catalogue> {
  return loaded.get(language) ?? {};
}

/** The language of the first of these that names one of ours: what is asked for, what was chosen
 * before, `tokenLocale`, and what the browser prefers. */
export function wantedLanguage(tokenLocale?: string): Language {
  const asked = new URLSearchParams(location.search).get('lang');
  const wishes = [asked, browserKeeping().getItem(STORED), tokenLocale, ...navigator.languages];
  return firstOurs(wishes) ?? 'es';
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
