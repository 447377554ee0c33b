import { useEffect, useState } from 'preact/hooks';
import type { EncodersKey } from '../i18n/encoders';
import { e } from '../i18n/encoders';
import { dateTime, t } from '../i18n/i18n';
import type { ApiClient, MediaToken, NewMediaToken } from '../lib';
import { encoderSteps, mediaTokensPath } from '../lib';
import { Button, Check, Dialog, Field, Notice, failureText, toast } from './components';
import { announce } from './live_regions';

const PROGRAMS = { obs: 'OBS Studio', ffmpeg: 'FFmpeg', gstreamer: 'GStreamer' } as const;
const SOURCES = ['camera', 'microphone', 'screen', 'screen_audio'] as const;
/** Hours that an access may be good for; the server takes a day at most. */
const HOURS = [1, 4, 8, 24] as const;

interface Made extends NewMediaToken {
  readonly kind: 'whip' | 'whep';
  readonly source: string | null;
}

/** Accesses for encoders and players: made, shown once, listed and withdrawn. */
export function Encoders(props: { api: ApiClient; session: string; onClose: () => void }) {
  const { api, session } = props;
  const [tokens, setTokens] = useState<readonly MediaToken[] | null>(null);
  const [made, setMade] = useState<Made | null>(null);
  const [failure, setFailure] = useState<unknown>(null);
  const read = () =>
    api
      .request<{ items: readonly MediaToken[] }>('GET', mediaTokensPath(session))
      .then(({ items }) => setTokens(items), setFailure);
  useEffect(() => void read(), []);
  const revoke = (token: MediaToken) => {
    api.request('DELETE', mediaTokensPath(session, token.id)).then(
      () => {
        setFailure(null);
        if (made?.id === token.id) setMade(null);
        announce(e('revoked'));
        void read();
      },
      (error: unknown) => {
        setFailure(error);
        // It may have ended by itself meanwhile.
        void read();
      },
    );
  };
  return (
    <Dialog title={e('title')} testId="encoders" onClose={props.onClose}>
      <p>{e('intro')}</p>
      {failure !== null && (
        <Notice look="danger" testId="encoders-failure">
          <p>{failureText(failure)}</p>
        </Notice>
      )}
      <MakeForm
        api={api}
        session={session}
        onMade={(next) => {
          setFailure(null);
          setMade(next);
          void read();
        }}
        onFailed={setFailure}
      />
      {made !== null && <Shown key={made.id} made={made} />}
      <h3>{e('living')}</h3>
      {tokens?.length === 0 && <p class="quiet">{e('none')}</p>}
      <ul data-testid="encoder-tokens">
        {tokens?.map((token) => (
          <li class="spread" key={token.id} data-testid="encoder-token" data-kind={token.kind}>
            <span class="name">
              {token.name} · {e(`kind.${token.kind}`)}
              {token.source !== null && ` · ${sourceText(token.source)}`}{' '}
              <span class="quiet">
                {e('ends', { when: dateTime(token.expires_at) })}
                {token.speak_without_turn && ` · ${e('speak')}`}
              </span>
            </span>
            <Button
              label={e('revoke')}
              name={e('revokeName', { name: token.name })}
              look="small danger"
              testId="encoder-revoke"
              once
              onPress={() => revoke(token)}
            />
          </li>
        ))}
      </ul>
      <RoomCamera api={api} session={session} onFailed={setFailure} />
      <Button label={t('common.close')} onPress={props.onClose} />
    </Dialog>
  );
}

/** Brings a camera in that the server calls; it goes out like anybody, by its line in the list. */
function RoomCamera(props: {
  api: ApiClient;
  session: string;
  onFailed: (failure: unknown) => void;
}) {
  const [camera, setCamera] = useState('');
  const [busy, setBusy] = useState(false);
  const id = camera.trim();
  const add = () => {
    setBusy(true);
    const path = `/api/v1/sessions/${encodeURIComponent(props.session)}/cameras`;
    props.api
      .request('POST', path, { body: { camera_id: id } })
      .then(() => {
        props.onFailed(null);
        setCamera('');
        announce(e('camera.added', { camera: id }));
      }, props.onFailed)
      .finally(() => setBusy(false));
  };
  return (
    <form
      class="stack"
      data-testid="room-camera"
      onSubmit={(event) => {
        event.preventDefault();
        if (!busy && id !== '') add();
      }}
    >
      <h3>{e('camera.title')}</h3>
      <p class="quiet">{e('camera.intro')}</p>
      <Field label={e('camera.id')}>
        <input
          autoComplete="off"
          maxLength={128}
          data-testid="room-camera-id"
          value={camera}
          onInput={(event) => setCamera(event.currentTarget.value)}
        />
      </Field>
      <Button
        label={e('camera.add')}
        type="submit"
        testId="room-camera-add"
        once
        disabled={busy || id === ''}
      />
    </form>
  );
}

function sourceText(source: string): string {
  const known = SOURCES.find((one) => one === source);
  return known === undefined ? source : e(`source.${known}`);
}

function MakeForm(props: {
  api: ApiClient;
  session: string;
  onMade: (made: Made) => void;
  onFailed: (failure: unknown) => void;
}) {
  const [kind, setKind] = useState<'whip' | 'whep'>('whip');
  const [source, setSource] = useState('');
  const [hours, setHours] = useState(4);
  const [speaks, setSpeaks] = useState(false);
  const [busy, setBusy] = useState(false);
  const sends = kind === 'whip';
  const make = () => {
    setBusy(true);
    const given = sends && source !== '' ? source : null;
    const body = {
      kind,
      ttl_s: hours * 3600,
      ...(given === null ? {} : { source: given }),
      ...(sends && speaks ? { speak_without_turn: true } : {}),
    };
    props.api
      .request<NewMediaToken>('POST', mediaTokensPath(props.session), { body })
      .then((token) => props.onMade({ ...token, kind, source: given }), props.onFailed)
      .finally(() => setBusy(false));
  };
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        if (!busy) make();
      }}
    >
      <Field label={e('kind')}>
        <select
          data-testid="encoder-kind"
          value={kind}
          onChange={(event) => setKind(event.currentTarget.value as 'whip' | 'whep')}
        >
          <option value="whip">{e('kind.whip')}</option>
          <option value="whep">{e('kind.whep')}</option>
        </select>
      </Field>
      {sends && (
        <Field label={e('source')}>
          <select
            data-testid="encoder-source"
            value={source}
            onChange={(event) => setSource(event.currentTarget.value)}
          >
            <option value="">{e('source.any')}</option>
            {SOURCES.map((one) => (
              <option key={one} value={one}>
                {e(`source.${one}`)}
              </option>
            ))}
          </select>
        </Field>
      )}
      <Field label={e('life')}>
        <select
          data-testid="encoder-life"
          value={hours}
          onChange={(event) => setHours(Number(event.currentTarget.value))}
        >
          {HOURS.map((one) => (
            <option key={one} value={one}>
              {e('life.hours', { count: one })}
            </option>
          ))}
        </select>
      </Field>
      {sends && (
        <Check label={e('speak')} checked={speaks} testId="encoder-speaks" onChange={setSpeaks} />
      )}
      <Button
        label={e('make')}
        look="main"
        type="submit"
        testId="encoder-make"
        once
        disabled={busy}
      />
    </form>
  );
}

/** A token as it is shown once, with what to do with it. */
function Shown({ made }: { made: Made }) {
  return (
    <Notice look="warn" testId="encoder-made">
      <div class="stack encoder-made">
        <p role="status">
          <strong>{e('once')}</strong> {e('ends', { when: dateTime(made.expires_at) })}
        </p>
        <Line program="WHIP/WHEP" label="address" text={made.url} />
        <Line program="WHIP/WHEP" label="token" text={made.token} />
        {encoderSteps(made.kind, made.source, made).map(({ program, lines }) => (
          <details key={program} data-testid={`encoder-${program}`}>
            <summary>{PROGRAMS[program]}</summary>
            <p class="quiet">{e(`how.${program}`)}</p>
            {lines.map(({ label, text }) => (
              <Line key={label} program={PROGRAMS[program]} label={`line.${label}`} text={text} />
            ))}
          </details>
        ))}
      </div>
    </Notice>
  );
}

function Line(props: { program: string; label: EncodersKey; text: string }) {
  const what = e(props.label);
  return (
    <div class="encoder-line">
      <span class="quiet">{what}</span>
      <code tabIndex={0}>{props.text}</code>
      <Button
        label={t('common.copy')}
        name={e('copyLine', { what, program: props.program })}
        icon="copy"
        look="small"
        onPress={() =>
          void navigator.clipboard.writeText(props.text).then(
            () => toast(t('common.copied')),
            () => toast(failureText(null)),
          )
        }
      />
    </div>
  );
}
