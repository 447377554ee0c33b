import { useEffect, useState } from 'preact/hooks';
import { t } from '../i18n/i18n';
import type { ApiClient, RoomClient, RoomState } from '../lib';
import { Button, Dialog, Notice, showFailure } from './components';
import type { Send } from './console_turn';
import { useAsShown } from './console_turn';
import type { Back } from './decisions';
import { Icon } from './icons';
import { announce, useAlarm } from './live_regions';

/** Whether the session is recorded at this moment; in words and drawing, never by colour alone. */
export function RecordingIndicator({ state }: { state: RoomState }) {
  const now = state.recording.state;
  if (now !== 'recording' && now !== 'paused') return null;
  const paused = now === 'paused';
  return (
    <span
      class={`recording ${now}`}
      data-testid="recording-indicator"
      data-state={now}
      title={t(paused ? 'recording.paused.long' : 'recording.running.long')}
    >
      <Icon name={paused ? 'recordPaused' : 'record'} />
      {t(paused ? 'recording.paused' : 'recording.running')}
    </span>
  );
}

/** Whether the session may be watched from outside. */
export function LiveIndicator({ state }: { state: RoomState }) {
  if (!state.session.live_viewing) return null;
  return (
    <span class="recording live" data-testid="live-indicator" title={t('live.on.long')}>
      <Icon name="people" />
      {t('live.on')}
    </span>
  );
}

/** Windows that have room for the whole text beside pictures and lists. */
const ROOMY = '(min-width: 56rem) and (min-height: 44rem)';

/**
 * Tells whoever has not yet said that they know of it; it takes no focus. In a small window the
 * text opens by a button, so that the pictures keep their room.
 */
export function ConsentBanner(props: {
  client: RoomClient;
  state: RoomState;
  onLeave?: () => void;
}) {
  const { client, state } = props;
  const { recording } = state;
  const due = recording.state !== 'stopped' && !recording.acknowledged;
  const paused = recording.state === 'paused';
  const [open, setOpen] = useState(() => window.matchMedia(ROOMY).matches);
  useEffect(() => {
    if (due) announce(t('recording.banner.title'));
  }, [due]);
  if (!due) return null;
  return (
    <section
      class={`consent ${open ? 'open' : ''}`}
      aria-labelledby="consent-title"
      data-testid="consent-banner"
      data-state={recording.state}
    >
      <h2 id="consent-title">
        <Icon name={paused ? 'recordPaused' : 'record'} />
        {t(paused ? 'recording.banner.paused' : 'recording.banner.title')}
      </h2>
      <button
        type="button"
        class="button small"
        aria-expanded={open}
        aria-controls="consent-text"
        data-testid="consent-text-button"
        onClick={() => setOpen(!open)}
      >
        {t(open ? 'recording.banner.less' : 'recording.banner.more')}
      </button>
      <p id="consent-text" hidden={!open} data-testid="consent-text">
        {t('recording.banner.what')}{' '}
        {t('recording.banner.kept', { days: recording.retention_days })} {t('recording.banner.who')}{' '}
        {t('recording.banner.proof')}{' '}
        <a href="/verify" target="_blank" rel="noopener">
          {t('recording.banner.verify')}
        </a>
      </p>
      <div class="row">
        <Button
          label={t('recording.banner.understand')}
          look="main"
          testId="acknowledge-recording"
          onPress={() => void client.command({ type: 'acknowledge_recording' }).catch(showFailure)}
        />
        {props.onLeave !== undefined && (
          <Button
            label={t('recording.banner.leave')}
            icon="leave"
            testId="consent-leave"
            onPress={props.onLeave}
          />
        )}
      </div>
    </section>
  );
}

/** Whether the session is recorded, and what a moderator can do about it, in words. */
export function RecordingControl({ state, send }: { state: RoomState; send: Send }) {
  const [asking, setAsking] = useState(false);
  const now = state.recording.state;
  const runs = now === 'recording';
  const stopped = now === 'stopped';
  return (
    <section
      class="recording-control"
      aria-label={t('recording.console')}
      data-testid="recording-control"
    >
      <RecordingIndicator state={state} />
      {stopped && (
        <span class="badge" data-testid="recording-stopped">
          {t('recording.stopped')}
        </span>
      )}
      {runs ? (
        <Button
          label={t('recording.pause')}
          icon="recordPaused"
          look="small"
          testId="pause-recording"
          once
          onPress={() => send({ type: 'pause_recording' }, backTo(now))}
        />
      ) : (
        <Button
          label={t(stopped ? 'recording.start' : 'recording.resume')}
          icon="record"
          look={stopped ? 'small' : 'small main'}
          testId="start-recording"
          once
          onPress={() => send({ type: 'start_recording' }, backTo(now))}
        />
      )}
      {!stopped && (
        <Button
          label={t('recording.stop')}
          icon="stop"
          look="small danger"
          testId="stop-recording"
          onPress={() => setAsking(true)}
        />
      )}
      {asking && <StopRecording send={send} onClose={() => setAsking(false)} />}
    </section>
  );
}

/** The way back from pausing or starting to how the recording stood before. */
function backTo(before: string): Back {
  switch (before) {
    case 'recording':
      return {
        said: t('recording.said.paused'),
        made: 'paused',
        command: { type: 'start_recording' },
        saidBack: t('recording.said.started'),
      };
    case 'paused':
      return {
        said: t('recording.said.started'),
        made: 'recording',
        command: { type: 'pause_recording' },
        saidBack: t('recording.said.paused'),
      };
    default:
      return {
        said: t('recording.said.started'),
        made: 'recording',
        command: { type: 'stop_recording' },
        saidBack: t('recording.said.stopped'),
      };
  }
}

/** Asks before the recording ends. */
function StopRecording(props: { send: Send; onClose: () => void }) {
  const send = useAsShown(props.send);
  return (
    <Dialog
      title={t('recording.stop.title')}
      testId="stop-recording-dialog"
      onClose={props.onClose}
    >
      <p>{t('recording.stop.text')}</p>
      <div class="row">
        <Button
          label={t('recording.stop')}
          look="danger"
          testId="stop-recording-confirm"
          onPress={() => {
            send({ type: 'stop_recording' });
            props.onClose();
          }}
        />
        <Button label={t('common.cancel')} onPress={props.onClose} />
      </div>
    </Dialog>
  );
}

/** How often the server is asked whether it can store recordings. */
const STORAGE_POLL_MS = 30_000;

/** Tells a moderator that recordings can't be stored, before a session starts and during it. */
export function StorageWarning({ api }: { api: ApiClient }) {
  const [failing, setFailing] = useState(false);
  useEffect(() => {
    let ended = false;
    const look = async () => {
      // A server that does not answer is told of elsewhere, and says nothing about its storage.
      const works = await api.storesRecordings().catch(() => null);
      if (!ended && works !== null) setFailing(!works);
    };
    void look();
    const timer = setInterval(() => void look(), STORAGE_POLL_MS);
    return () => {
      ended = true;
      clearInterval(timer);
    };
  }, []);
  useAlarm(failing ? t('recording.storage.title') : null, t('recording.storage.over'));
  if (!failing) return null;
  return (
    <Notice look="danger" testId="storage-warning">
      <p>
        <strong>{t('recording.storage.title')}.</strong> {t('recording.storage.text')}
      </p>
    </Notice>
  );
}
