/** What a published track carries. */
export type Source = 'microphone' | 'camera' | 'screen' | 'screen_audio';

/** Video codecs that a camera can be published with. */
export type VideoCodec = 'vp8' | 'h264' | 'vp9' | 'av1';

/** Most that the best encoding of a camera may send, bits per second. */
const CAMERA_BPS_MAX = 1_500_000;
/** Text on a shared screen must stay readable. */
const SCREEN_BPS_MAX = 2_500_000;

/** The encodings of a source, lowest quality first; `undefined` for sound. */
export function encodingsOf(
  source: Source,
  codec: VideoCodec,
): RTCRtpEncodingParameters[] | undefined {
  if (source === 'screen') return [{ maxBitrate: SCREEN_BPS_MAX }];
  if (source !== 'camera') return undefined;
  // Left alone, browsers send VP9 and AV1 as one layered stream instead of three.
  const mode = codec === 'vp9' || codec === 'av1' ? { scalabilityMode: 'L1T1' } : {};
  return [
    { rid: 'q', scaleResolutionDownBy: 4, maxBitrate: CAMERA_BPS_MAX / 10, ...mode },
    { rid: 'h', scaleResolutionDownBy: 2, maxBitrate: CAMERA_BPS_MAX / 3, ...mode },
    { rid: 'f', scaleResolutionDownBy: 1, maxBitrate: CAMERA_BPS_MAX, ...mode },
  ];
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
