/** Digits of the codes that are sent by SMS and e-mail. */
export const CODE_DIGITS = 6;

/** A code as people paste it, without what surrounds it in a message. */
export function codeIn(text: string): string {
  const digits = /(?<![\d\p{L}])\d{3}[\s.-]?\d{3}(?![\d\p{L}])/u.exec(text);
  if (digits !== null) return digits[0].replace(/\D/g, '');
  return text.trim();
}

/** Whether a code is whole: as many digits as codes have. */
export function isWholeCode(text: string): boolean {
  return new RegExp(`^\\d{${CODE_DIGITS}}$`).test(text);
}

/** A place to the tenth of a degree, some ten kilometres: no more leaves the browser. */
export function coarse(coordinates: { latitude: number; longitude: number }): {
  latitude: number;
  longitude: number;
} {
  const tenth = (value: number) => Math.round(value * 10) / 10;
  return { latitude: tenth(coordinates.latitude), longitude: tenth(coordinates.longitude) };
}

/** How long is waited for a place; presence does not depend on it. */
const PLACE_WITHIN_MS = 8_000;

/** The coarse place of this browser; null when it does not say. */
export function coarsePlace(): Promise<{ latitude: number; longitude: number } | null> {
  if (!('geolocation' in navigator)) return Promise.resolve(null);
  return new Promise((resolve) => {
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => resolve(coarse(coords)),
      () => resolve(null),
      { enableHighAccuracy: false, timeout: PLACE_WITHIN_MS, maximumAge: 600_000 },
    );
  });
}
