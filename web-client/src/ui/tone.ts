const TONE_MS = 1_200;
/** Two notes, so that it is taken for a signal and not for a fault. */
const NOTES_HERTZ = [523, 659];
/** Of full scale: audible, never startling. */
const LOUDNESS = 0.15;

/** Plays two notes through the loudspeaker with this device id; empty: the usual one. */
export async function playTone(sinkId: string): Promise<void> {
  const context = new AudioContext();
  const element = new Audio();
  try {
    const target = context.createMediaStreamDestination();
    const volume = context.createGain();
    volume.gain.value = LOUDNESS;
    volume.connect(target);
    for (const [place, hertz] of NOTES_HERTZ.entries()) {
      const note = context.createOscillator();
      note.frequency.value = hertz;
      note.connect(volume);
      const begins = context.currentTime + (place * TONE_MS) / 2000;
      note.start(begins);
      note.stop(begins + TONE_MS / 2000);
    }
    element.srcObject = target.stream;
    if (sinkId !== '' && 'setSinkId' in element) await element.setSinkId(sinkId);
    await context.resume();
    await element.play();
    await new Promise((resolve) => setTimeout(resolve, TONE_MS));
  } finally {
    element.srcObject = null;
    await context.close();
  }
}
