import type { ServerMessage, Told } from '../generated/wire';

/** A piece of speech as it is shown. */
export interface Caption {
  readonly seq: number;
  readonly participant: string;
  readonly name: string;
  /** The text, as it was corrected last; null when there is none. */
  readonly text: string | null;
  readonly corrected: boolean;
  /** Why there is no text; null when there is. */
  readonly cause: string | null;
  /** The language of the text, a BCP 47 tag; null when it is not known. */
  readonly language: string | null;
  /** When it was said, RFC 3339. */
  readonly from: string;
  readonly to: string;
}

/** What somebody is still saying; its text will be replaced. */
export interface SoFar {
  readonly participant: string;
  readonly name: string;
  readonly text: string;
  readonly from: string;
  readonly to: string;
  /** As that of a caption. */
  readonly language: string | null;
}

/** Captions kept; older ones are dropped. The transcript of the session has them all. */
export const CAPTIONS_MAX = 100;
/** How long a caption stays on the picture after it was said. */
export const CAPTION_MS = 12_000;
/** How long what somebody was saying stays when nothing replaces it, since it was noise. */
export const SO_FAR_MS = 5_000;
/** People of whom the name is known although they are gone. */
export const NAMES_MAX = 64;

type Spoken = Extract<
  Told,
  { type: 'transcript_chunk' | 'transcript_gap' | 'transcript_corrected' }
>;

/** The message of what somebody is still saying. */
export type SpokenSoFar = Extract<ServerMessage, { type: 'transcript_chunk' }>;

/** Whether an event is about what was said. */
export function isSpoken(event: Told): event is Spoken {
  return (
    event.type === 'transcript_chunk' ||
    event.type === 'transcript_gap' ||
    event.type === 'transcript_corrected'
  );
}

/** The captions after an event; one that was shown before is not shown twice. */
export function captionsAfter(
  captions: readonly Caption[],
  event: Spoken,
  nameOf: (userId: string) => string,
): readonly Caption[] {
  if (event.type === 'transcript_corrected') {
    const place = captions.findIndex((one) => one.seq === event.of && one.text !== null);
    const corrected = captions[place];
    return corrected === undefined
      ? captions
      : captions.with(place, { ...corrected, text: event.text, corrected: true });
  }
  if (captions.some((one) => one.seq === event.seq)) return captions;
  const { seq, participant, from, to } = event;
  const isText = event.type === 'transcript_chunk';
  const said = {
    seq,
    participant,
    name: nameOf(participant),
    text: isText ? event.text : null,
    corrected: false,
    cause: isText ? null : event.cause,
    language: isText ? knownTag(event.language) : null,
    from,
    to,
  };
  return [...captions, said].slice(-CAPTIONS_MAX);
}

/** A language as a page names it; null when nobody knows it (RFC 5646 §4.1). */
export function knownTag(language: string): string | null {
  return language === 'und' ? null : language;
}

/** What is still being said after an event: nothing, once what was said replaces it. */
export function soFarAfter(soFar: SoFar | null, event: Spoken): SoFar | null {
  if (soFar === null || event.type === 'transcript_corrected') return soFar;
  const isLater =
    event.participant === soFar.participant && Date.parse(event.to) > Date.parse(soFar.from);
  return isLater || event.from === soFar.from ? null : soFar;
}

/** What is still being said and shown now. */
export function shownSoFar(soFar: SoFar | null, nowMs: number): SoFar | null {
  return soFar !== null && nowMs - Date.parse(soFar.to) < SO_FAR_MS ? soFar : null;
}

/** Names with one more, the newest last. */
export function namesWith(
  names: ReadonlyMap<string, string>,
  userId: string,
  name: string,
): ReadonlyMap<string, string> {
  if (names.get(userId) === name) return names;
  const others = [...names].filter(([other]) => other !== userId);
  return new Map([...others, [userId, name] as const].slice(-NAMES_MAX));
}

/** The captions that are on the picture now: the newest few that were said a moment ago. */
export function shownCaptions(
  captions: readonly Caption[],
  nowMs: number,
  count: number,
): readonly Caption[] {
  const fresh = captions.filter(
    (one) => one.text !== null && nowMs - Date.parse(one.to) < CAPTION_MS,
  );
  return fresh.slice(-count);
}

/** Whether nothing can be recognised at the moment: the newest piece has no text for that reason. */
export function isInterrupted(captions: readonly Caption[]): boolean {
  const cause = captions.at(-1)?.cause;
  return cause === 'engine_unavailable' || cause === 'engine_failed';
}
