/** Why a device could not be used, in words that a page can explain. */
export type DeviceProblem = 'denied' | 'missing' | 'busy' | 'insecure' | 'failed';

/** The devices to choose from. */
export interface DeviceList {
  readonly microphones: readonly MediaDeviceInfo[];
  readonly cameras: readonly MediaDeviceInfo[];
  readonly loudspeakers: readonly MediaDeviceInfo[];
}

/** What was opened, or why not. */
export type Opened =
  | { readonly track: MediaStreamTrack; readonly problem: null }
  | { readonly track: null; readonly problem: DeviceProblem };

/** The microphone, with the processing that speech needs. */
export function openMicrophone(deviceId?: string): Promise<Opened> {
  return open({
    audio: {
      echoCancellation: true,
      noiseSuppression: true,
      autoGainControl: true,
      ...chosen(deviceId),
    },
  });
}

/** The camera, in a size whose third encoding is still worth seeing. */
export function openCamera(deviceId?: string): Promise<Opened> {
  return open({
    video: {
      width: { ideal: 1280 },
      height: { ideal: 720 },
      frameRate: { ideal: 24, max: 30 },
      ...chosen(deviceId),
    },
  });
}

/** A screen, and its sound when the browser and the person give it. */
export async function openScreen(): Promise<
  | { track: MediaStreamTrack; sound: MediaStreamTrack | null; problem: null }
  | { track: null; sound: null; problem: DeviceProblem }
> {
  try {
    const stream = await navigator.mediaDevices.getDisplayMedia({
      video: { frameRate: { max: 15 } },
      audio: true,
    });
    const track = stream.getVideoTracks()[0];
    if (track === undefined) return { track: null, sound: null, problem: 'failed' };
    track.contentHint = 'detail';
    return { track, sound: stream.getAudioTracks()[0] ?? null, problem: null };
  } catch (error) {
    return { track: null, sound: null, problem: problemOf(error) };
  }
}

/** Whether this browser can share a screen at all; phones mostly cannot. */
export function canShareScreen(): boolean {
  return isSecure() && 'getDisplayMedia' in navigator.mediaDevices;
}

/** The devices to choose from; their labels are empty before permission. */
export async function listDevices(): Promise<DeviceList> {
  const devices = isSecure() ? await navigator.mediaDevices.enumerateDevices() : [];
  const of = (kind: MediaDeviceKind) => devices.filter((device) => device.kind === kind);
  return {
    microphones: of('audioinput'),
    cameras: of('videoinput'),
    loudspeakers: of('audiooutput'),
  };
}

/** Calls `changed` when devices come or go, until the returned function is called. */
export function watchDevices(changed: () => void): () => void {
  if (!isSecure()) return () => undefined;
  navigator.mediaDevices.addEventListener('devicechange', changed);
  return () => navigator.mediaDevices.removeEventListener('devicechange', changed);
}

/** The problem behind what `getUserMedia` threw. */
export function problemOf(error: unknown): DeviceProblem {
  switch (error instanceof Error ? error.name : '') {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'denied';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'missing';
    case 'NotReadableError':
    case 'AbortError':
      return 'busy';
    default:
      return 'failed';
  }
}

async function open(constraints: MediaStreamConstraints): Promise<Opened> {
  if (!isSecure()) return { track: null, problem: 'insecure' };
  try {
    const stream = await navigator.mediaDevices.getUserMedia(constraints);
    const track = stream.getTracks()[0];
    return track === undefined ? { track: null, problem: 'missing' } : { track, problem: null };
  } catch (error) {
    return { track: null, problem: problemOf(error) };
  }
}

/** Browsers hide the devices from pages that did not come over HTTPS. */
function isSecure(): boolean {
  return window.isSecureContext && 'mediaDevices' in navigator;
}

function chosen(deviceId: string | undefined): { deviceId?: ConstrainDOMString } {
  return deviceId === undefined || deviceId === '' ? {} : { deviceId: { exact: deviceId } };
}
