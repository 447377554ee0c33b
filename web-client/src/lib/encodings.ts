/** What a published track carries. */
export type Source = 'microphone' | 'camera' | 'screen' | 'screen_audio';

/** Video codecs that a camera can be published with. */
export type VideoCodec = 'vp8' | 'h264' | 'vp9' | 'av1';

/** Encodings of a camera, lowest first, and most that each may send, bits per second. */
const CAMERA_ENCODINGS = [
  { rid: 'q', maxBitrate: 150_000 },
  { rid: 'h', maxBitrate: 500_000 },
  { rid: 'f', maxBitrate: 1_500_000 },
] as const;
/** Text on a shared screen must stay readable. */
const SCREEN_BPS_MAX = 2_500_000;
/**
 * Pixels that a picture must have for two and for three encodings. Chromium
 * sends no more than these, and what it leaves out is the best one.
 */
const TWO_ENCODINGS_FROM = 480 * 270;
const THREE_ENCODINGS_FROM = 960 * 540;

/**
 * The encodings of a source whose picture has `pixels` (unknown: many), lowest
 * quality first; `undefined` for sound.
 */
export function encodingsOf(
  source: Source,
  codec: VideoCodec,
  pixels = Infinity,
): RTCRtpEncodingParameters[] | undefined {
  if (source === 'screen') return [{ maxBitrate: SCREEN_BPS_MAX }];
  if (source !== 'camera') return undefined;
  // Left alone, browsers send VP9 and AV1 as one layered stream instead of several.
  const mode = codec === 'vp9' || codec === 'av1' ? { scalabilityMode: 'L1T1' } : {};
  const count = pixels >= THREE_ENCODINGS_FROM ? 3 : pixels >= TWO_ENCODINGS_FROM ? 2 : 1;
  return CAMERA_ENCODINGS.slice(0, count).map((encoding, index) => ({
    ...encoding,
    scaleResolutionDownBy: 2 ** (count - 1 - index),
    ...mode,
  }));
}

/** The formats of `codec` first; retransmission and the rest stay behind it. */
export function preferred<Format extends { mimeType: string }>(
  formats: readonly Format[],
  codec: VideoCodec,
): Format[] {
  const chosen = (format: Format) => format.mimeType.toLowerCase() === `video/${codec}`;
  return [...formats.filter(chosen), ...formats.filter((format) => !chosen(format))];
}

/** Heights of encodings 0 and 1 of a 720-line camera; above them is 2. */
const LAYER_HEIGHTS = [180, 360] as const;

/**
 * The highest encoding worth having for a picture of `height` device pixels:
 * half as much again as an encoding has is still good enough for an eye.
 */
export function layerFor(height: number, layers: number): number {
  const fits = LAYER_HEIGHTS.findIndex((lines) => height <= lines * 1.5);
  return Math.max(0, Math.min(layers - 1, fits < 0 ? 2 : fits));
}
