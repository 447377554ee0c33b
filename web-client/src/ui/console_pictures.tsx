import { useState } from 'preact/hooks';
import { c } from '../i18n/chair';
import { t } from '../i18n/i18n';
import type { ApiClient, RoomClient, RoomSnapshot, RoomState, Session, TrackView } from '../lib';
import { removePerson } from './console_people';
import type { Send } from './console_turn';
import { Button, Check, Dialog, showFailure, toast } from './components';
import { useKept } from './kept';
import { Tile, ranked } from './stage';

/** Every camera and screen as a small live picture, each with what stops it. */
export function ConsolePictures(props: {
  client: RoomClient;
  api: ApiClient;
  snapshot: RoomSnapshot;
  state: RoomState;
  send: Send;
}) {
  const { client, snapshot, state } = props;
  const [shown, setShown] = useKept('console.pictures', true);
  const [stopped, setStopped] = useState<TrackView | null>(null);
  const pictures = ranked(state);
  if (pictures.length === 0) return null;
  return (
    <section class="card pictures" aria-labelledby="pictures" data-testid="console-pictures">
      <div class="spread">
        <h2 id="pictures">
          {c('pictures')} <span class="badge">{pictures.length}</span>
        </h2>
        <PolicySwitch client={client} api={props.api} state={state} />
        <Button
          label={c(shown ? 'pictures.hide' : 'pictures.show')}
          look="small"
          testId="pictures-toggle"
          onPress={() => setShown(!shown)}
        />
      </div>
      {shown && (
        <ul class="picture-strip" tabIndex={0} aria-labelledby="pictures">
          {pictures.map((track) => {
            const name = nameOf(state, track);
            const seen = state.participants.get(track.user_id)?.may_be_seen === true;
            return (
              <li
                key={track.track}
                data-testid={`picture-${track.track}`}
                data-user={track.user_id}
                data-source={track.source}
                data-seen={seen}
              >
                <Tile
                  client={client}
                  track={track}
                  state={state}
                  stale={snapshot.status.phase !== 'open'}
                  media={snapshot.media.get(track.track) ?? null}
                  undecodable={snapshot.undecodable.has(track.track)}
                />
                <span class={seen ? 'quiet' : 'quiet unseen'}>
                  {c(seen ? 'pictures.seen' : 'pictures.unseen')}
                </span>
                <Button
                  label={c('pictures.stop')}
                  icon="stop"
                  compact
                  name={c('pictures.stopName', { name })}
                  look="small danger"
                  testId={`stop-picture-${track.track}`}
                  disabled={!seen}
                  onPress={() => setStopped(track)}
                />
              </li>
            );
          })}
        </ul>
      )}
      {stopped !== null && (
        <StopDialog {...props} track={stopped} onClose={() => setStopped(null)} />
      )}
    </section>
  );
}

/** Whose pictures are shown is the session's rule, changed here for everybody. */
function PolicySwitch(props: { client: RoomClient; api: ApiClient; state: RoomState }) {
  const all = props.state.floor.media_policy === 'all';
  // What was asked for, until it is known whether it was done.
  const [asked, setAsked] = useState<boolean | null>(null);
  return (
    <Check
      label={c('policy.setAll')}
      checked={asked ?? all}
      testId="toggle-policy"
      onChange={(wanted) => {
        setAsked(wanted);
        void setPolicy(props, wanted ? 'all' : 'floor').finally(() => setAsked(null));
      }}
    />
  );
}

async function setPolicy(
  { client, api, state }: { client: RoomClient; api: ApiClient; state: RoomState },
  media_policy: 'floor' | 'all',
): Promise<void> {
  try {
    const path = `/api/v1/sessions/${encodeURIComponent(state.session.id)}`;
    const { version } = await api.request<Session>('GET', path);
    await api.request('PATCH', path, { body: { media_policy }, ifMatch: `"${version}"` });
    client.handleMediaPolicy(media_policy);
    toast(c(media_policy === 'all' ? 'policy.saidAll' : 'policy.saidFloor'));
  } catch (error) {
    showFailure(error);
  }
}

/** What stops a picture follows from why it is shown; each way says what else it does. */
function StopDialog(props: {
  client: RoomClient;
  api: ApiClient;
  state: RoomState;
  send: Send;
  track: TrackView;
  onClose: () => void;
}) {
  const { state, track, send } = props;
  const name = nameOf(state, track);
  const one = state.participants.get(track.user_id);
  const always = one?.roles.some((role) => role === 'moderator' || role === 'hall') === true;
  const byRule = !always && state.floor.media_policy === 'all';
  const byTurn = !always && !byRule && state.floor.turn?.user_id === track.user_id;
  const done = (act: () => void) => () => {
    act();
    props.onClose();
  };
  return (
    <Dialog title={c('stop.title', { name })} testId="stop-picture-dialog" onClose={props.onClose}>
      <p>{c(always ? 'stop.always' : byRule ? 'stop.policy' : 'stop.turn', { name })}</p>
      <div class="spread">
        <Button label={t('common.cancel')} testId="stop-picture-cancel" onPress={props.onClose} />
        {byRule && (
          <Button
            label={c('stop.setFloor')}
            look="main"
            testId="stop-picture-policy"
            once
            onPress={done(() => void setPolicy(props, 'floor'))}
          />
        )}
        {byTurn && (
          <Button
            label={t('console.stop')}
            look="main"
            testId="stop-picture-turn"
            once
            onPress={done(() => send({ type: 'stop_turn' }))}
          />
        )}
        {one !== undefined && track.user_id !== state.you.user_id && (
          <Button
            label={c('stop.remove', { name })}
            look="danger"
            testId="stop-picture-remove"
            once
            onPress={done(() => removePerson(one, send))}
          />
        )}
      </div>
    </Dialog>
  );
}

function nameOf(state: RoomState, track: TrackView): string {
  return state.participants.get(track.user_id)?.name ?? track.user_id;
}
