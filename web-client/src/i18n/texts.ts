import type { Language } from './catalogues';
import { language } from './i18n';
import type { Parameters } from './message';
import { format } from './message';

/** Texts of one page in every language, apart from those that all pages load. */
export type Texts<Key extends string> = Readonly<Record<Language, Readonly<Record<Key, string>>>>;

/** Says such texts in the language that is shown. */
export function speaker<Key extends string>(
  texts: Texts<Key>,
): (key: Key, parameters?: Parameters) => string {
  return (key, parameters) => format(texts[language.value][key], language.value, parameters);
}

/** A number as the language writes it. */
export function number(value: number, digits = 0): string {
  const style = { maximumFractionDigits: digits, minimumFractionDigits: digits };
  return new Intl.NumberFormat(language.value, style).format(value);
}

/** A size in megabytes. */
export function megabytes(bytes: number): string {
  const digits = bytes < 10_000_000 ? 1 : 0;
  return `${number(bytes / 1_000_000, digits)} MB`;
}

/** A date and time with seconds. */
export function exactTime(ms: number): string {
  const style = { dateStyle: 'medium', timeStyle: 'medium' } as const;
  return new Intl.DateTimeFormat(language.value, style).format(new Date(ms));
}

/** A time of day with seconds. */
export function exactTimeOfDay(ms: number): string {
  return new Intl.DateTimeFormat(language.value, { timeStyle: 'medium' }).format(new Date(ms));
}
