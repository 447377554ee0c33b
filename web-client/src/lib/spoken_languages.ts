import type { RoomState } from './room_state';

/** A language that somebody may say that they speak. */
export interface SpokenLanguage {
  /** A BCP 47 tag. */
  readonly tag: string;
  /** Its name in the language of the page. */
  readonly name: string;
}

/** Whether it can be said what people speak: there is text, and its engine knows several languages. */
export function choosesLanguage({ transcription }: Pick<RoomState, 'transcription'>): boolean {
  return transcription.state === 'on' && transcription.languages.length > 1;
}

/** The language that somebody speaks, a BCP 47 tag; null for that of the session. */
export function languageOf(
  { participants }: Pick<RoomState, 'participants'>,
  userId: string,
): string | null {
  return participants.get(userId)?.language ?? null;
}

/** What a language is called in the language `shown`; its tag when it has no name there. */
export function languageName(tag: string, shown: string): string {
  try {
    const name = new Intl.DisplayNames([shown], { type: 'language' }).of(tag) ?? tag;
    return name === tag ? tag : name.charAt(0).toLocaleUpperCase(shown) + name.slice(1);
  } catch {
    // A tag with extensions has no name.
    return tag;
  }
}

/**
 * The languages that can be chosen, by their names; with the one that is chosen, which may be a more
 * exact name of one of them.
 */
export function spokenLanguages(
  languages: readonly string[],
  chosen: string | null,
  shown: string,
): readonly SpokenLanguage[] {
  const tags = new Set(chosen === null ? languages : [...languages, chosen]);
  const named = [...tags].map((tag) => ({ tag, name: languageName(tag, shown) }));
  const { compare } = new Intl.Collator(shown);
  return named.toSorted((a, b) => compare(a.name, b.name));
}
