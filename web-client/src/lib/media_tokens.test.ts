import { describe, expect, it } from 'vitest';
import { encoderSteps, quoted } from './media_tokens';

const made = { url: 'https://h.example/api/v1/sessions/s/whip', token: "a'b$c" };
const commandOf = (kind: 'whip' | 'whep', source: string | null, program: string) =>
  encoderSteps(kind, source, made).find((one) => one.program === program)?.lines[0]?.text ?? null;

describe('what encoders are told', () => {
  it('quotes what a shell would read', () => {
    expect(quoted("a'b$c")).toBe("'a'\\''b$c'");
    expect(commandOf('whip', null, 'ffmpeg')).toContain(
      "-f whip -authorization 'a'\\''b$c' 'https://h.example/api/v1/sessions/s/whip'",
    );
  });

  it('sends only what the token is for', () => {
    expect(commandOf('whip', 'microphone', 'ffmpeg')).toContain('-vn');
    expect(commandOf('whip', 'microphone', 'ffmpeg')).toContain('libopus');
    expect(commandOf('whip', 'camera', 'ffmpeg')).toContain('-an');
    expect(commandOf('whip', 'camera', 'gstreamer')).not.toContain('audiotestsrc');
    // OBS always has a picture.
    expect(commandOf('whip', 'microphone', 'obs')).toBeNull();
    expect(commandOf('whip', null, 'obs')).toBe(made.url);
  });

  it('names only programs that can play', () => {
    expect(encoderSteps('whep', null, made).map(({ program }) => program)).toEqual(['gstreamer']);
    expect(commandOf('whep', null, 'gstreamer')).toContain('whep-endpoint=');
  });
});
