/** A token for an encoder or a player, without its secret. */
export interface MediaToken {
  readonly id: string;
  readonly kind: 'whip' | 'whep';
  readonly source: string | null;
  readonly user_id: string;
  readonly name: string;
  readonly speak_without_turn: boolean;
  readonly created_at: string;
  readonly expires_at: string;
}

/** A token that was just made; its secret is told once. */
export interface NewMediaToken {
  readonly id: string;
  readonly token: string;
  readonly url: string;
  readonly expires_at: string;
}

/** What a token is wanted for. */
export interface MediaTokenRequest {
  readonly kind: 'whip' | 'whep';
  readonly source?: string;
  readonly ttl_s: number;
  readonly speak_without_turn?: boolean;
}

/** The path of a session's tokens, or of one of them. */
export function mediaTokensPath(session: string, token?: string): string {
  const path = `/api/v1/sessions/${encodeURIComponent(session)}/media-tokens`;
  return token === undefined ? path : `${path}/${encodeURIComponent(token)}`;
}

/** A program and what is entered in it or run with it. */
export interface EncoderSteps {
  readonly program: 'obs' | 'ffmpeg' | 'gstreamer';
  /** Fields to fill in, or one command. */
  readonly lines: readonly {
    readonly label: 'server' | 'token' | 'command';
    readonly text: string;
  }[];
}

/** How programs use a token that was just made. */
export function encoderSteps(
  kind: 'whip' | 'whep',
  source: string | null,
  made: Pick<NewMediaToken, 'url' | 'token'>,
): readonly EncoderSteps[] {
  const url = quoted(made.url);
  const token = quoted(made.token);
  if (kind === 'whep') {
    return [
      {
        program: 'gstreamer',
        lines: [
          {
            label: 'command',
            text: `gst-launch-1.0 whepsrc whep-endpoint=${url} auth-token=${token} name=s s. ! application/x-rtp,media=video ! decodebin ! videoconvert ! autovideosink s. ! application/x-rtp,media=audio ! decodebin ! audioconvert ! autoaudiosink`,
          },
        ],
      },
    ];
  }
  const sound = source === null || source === 'microphone' || source === 'screen_audio';
  const picture = source !== 'microphone' && source !== 'screen_audio';
  return [
    ...(picture
      ? [
          {
            program: 'obs',
            lines: [
              { label: 'server', text: made.url },
              { label: 'token', text: made.token },
            ],
          } as const,
        ]
      : []),
    { program: 'ffmpeg', lines: [{ label: 'command', text: ffmpeg(url, token, sound, picture) }] },
    {
      program: 'gstreamer',
      lines: [{ label: 'command', text: gstreamer(url, token, sound, picture) }],
    },
  ];
}

/** A text as one word of a POSIX shell. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function ffmpeg(url: string, token: string, sound: boolean, picture: boolean): string {
  const video = '-c:v libx264 -profile:v baseline -pix_fmt yuv420p -bf 0 -g 60';
  return [
    'ffmpeg -re -i input.mp4',
    ...(picture ? [video] : ['-vn']),
    ...(sound ? ['-c:a libopus -ar 48000 -ac 2'] : ['-an']),
    `-f whip -authorization ${token} ${url}`,
  ].join(' ');
}

function gstreamer(url: string, token: string, sound: boolean, picture: boolean): string {
  return [
    `gst-launch-1.0 whipclientsink name=w signaller::whip-endpoint=${url} signaller::auth-token=${token}`,
    ...(picture ? ['videotestsrc is-live=true ! videoconvert ! w.'] : []),
    ...(sound ? ['audiotestsrc is-live=true ! audioconvert ! w.'] : []),
  ].join(' ');
}
