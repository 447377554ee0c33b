/** What looks for a code in a picture; null when there is none. */
export type QrDetector = (picture: HTMLVideoElement | ImageBitmap) => Promise<string | null>;

interface NativeDetector {
  detect(picture: CanvasImageSource): Promise<readonly { readonly rawValue: string }[]>;
}

interface NativeDetectorClass {
  new (options: { formats: readonly string[] }): NativeDetector;
  getSupportedFormats(): Promise<readonly string[]>;
}

/** Pictures a second that are looked at: enough for a steady hand, cheap on a slow phone. */
const LOOKS_PER_S = 6;
/** Larger pictures are made smaller before our own decoder looks at them, pixels. */
const SIDE_MAX = 800;

/** The browser's detector where it knows QR codes, else our own decoder, loaded now. */
export async function openDetector(): Promise<QrDetector> {
  const native = (globalThis as { BarcodeDetector?: NativeDetectorClass }).BarcodeDetector;
  try {
    if (native !== undefined && (await native.getSupportedFormats()).includes('qr_code')) {
      const detector = new native({ formats: ['qr_code'] });
      return async (picture) => (await detector.detect(picture))[0]?.rawValue ?? null;
    }
  } catch {
    // Some browsers name a detector that their system does not have.
  }
  const { default: decode } = await import('qr/decode.js');
  const canvas = document.createElement('canvas');
  const pen = canvas.getContext('2d', { willReadFrequently: true });
  return (picture) => {
    const [width, height] =
      picture instanceof HTMLVideoElement
        ? [picture.videoWidth, picture.videoHeight]
        : [picture.width, picture.height];
    if (pen === null || width === 0 || height === 0) return Promise.resolve(null);
    const scale = Math.min(1, SIDE_MAX / Math.max(width, height));
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
    return Promise.resolve(
      found(() => decode(pen.getImageData(0, 0, canvas.width, canvas.height))),
    );
  };
}

/** A decoder throws where there is no code. */
function found(decode: () => string): string | null {
  try {
    const text = decode();
    return text === '' ? null : text;
  } catch {
    return null;
  }
}

/** Looks at a playing video until a code is seen or `signal` ends it. */
export async function scan(
  video: HTMLVideoElement,
  detect: QrDetector,
  signal: AbortSignal,
): Promise<string | null> {
  while (!signal.aborted) {
    const text = await detect(video).catch(() => null);
    if (text !== null) return text;
    await new Promise((resolve) => setTimeout(resolve, 1000 / LOOKS_PER_S));
  }
  return null;
}
