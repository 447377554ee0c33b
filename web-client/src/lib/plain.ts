/** Without accents and capitals: what people type is found as they type it. */
export function plain(text: string): string {
  return text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();
}

/**
 * The same, and for each of its characters (and its end) the place in the text that it comes from,
 * since a text becomes shorter without its accents.
 */
export function plainWithPlaces(text: string): {
  readonly plain: string;
  readonly places: readonly number[];
} {
  let plainText = '';
  const places: number[] = [];
  let at = 0;
  for (const character of text) {
    const bare = character.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();
    places.push(...Array.from({ length: bare.length }, () => at));
    plainText += bare;
    at += character.length;
  }
  places.push(text.length);
  return { plain: plainText, places };
}
