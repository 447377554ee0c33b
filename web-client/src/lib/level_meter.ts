/** Level of speech at which the bar is full; a normal voice fills about half. */
const FULL_LEVEL = 0.25;
const MEASURE_EVERY_MS = 100;

/** What was measured of a microphone. */
export interface Measured {
  /** 0 to 1. */
  readonly level: number;
  /** Since when nothing at all came from it, ms since 1970; null while something does. */
  readonly emptySinceMs: number | null;
}

/**
 * Measures the sound of a track until the returned function is called. A device
 * that works always gives some noise: nothing but zeros comes from one that is
 * unplugged, switched off or taken by the system.
 */
export function measureLevel(
  track: MediaStreamTrack,
  measured: (value: Measured) => void,
): () => void {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 4096;
  const source = context.createMediaStreamSource(new MediaStream([track]));
  source.connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  let emptySinceMs: number | null = null;
  const timer = setInterval(() => {
    // A context made before the first touch sleeps; it may wake now.
    if (context.state !== 'running') {
      void context.resume().catch(() => undefined);
      emptySinceMs = null;
      measured({ level: 0, emptySinceMs });
      return;
    }
    analyser.getFloatTimeDomainData(samples);
    let power = 0;
    for (const sample of samples) power += sample * sample;
    emptySinceMs = power > 0 ? null : (emptySinceMs ?? performance.now());
    const level = Math.min(1, Math.sqrt(power / samples.length) / FULL_LEVEL);
    measured({ level, emptySinceMs });
  }, MEASURE_EVERY_MS);
  return () => {
    clearInterval(timer);
    source.disconnect();
    void context.close();
  };
}
