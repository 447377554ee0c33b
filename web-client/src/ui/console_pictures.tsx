import { useState } from 'preact/hooks';
import { c } from '../i18n/chair';
import { t } from '../i18n/i18n';
import type { ApiClient, RoomClient, RoomSnapshot, RoomState, Session, TrackView } from '../lib';
import { removePerson } from './console_people';
import type { Send } from './console_turn';
import { useAsShown } from './console_turn';
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
  const sending = new Set(pictures.map(({ user_id }) => user_id));
  const others = [...state.participants.values()].filter(
    (one) => one.pictures_stopped && !sending.has(one.user_id),
  );
  if (pictures.length === 0 && others.length === 0) return null;
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
            const one = state.participants.get(track.user_id);
            const seen = one?.may_be_seen === true;
            const isStopped = one?.pictures_stopped === true;
            return (
              <li
                key={track.track}
                data-testid={`picture-${track.track}`}
                data-user={track.user_id}
                data-source={track.source}
                data-seen={seen}
                data-stopped={isStopped}
              >
                <Tile
                  client={client}
                  track={track}
                  state={state}
                  stale={snapshot.status.phase !== 'open'}
                  media={snapshot.media.get(track.track) ?? null}
                  undecodable={snapshot.undecodable.has(track.track)}
                  paused={snapshot.paused.has(track.track)}
                />
                <span class={seen ? 'quiet' : 'quiet unseen'}>
                  {c(isStopped ? 'pictures.stopped' : seen ? 'pictures.seen' : 'pictures.unseen')}
                </span>
                {isStopped ? (
                  <AllowButton name={name} user={track.user_id} send={props.send} compact />
                ) : (
                  <Button
                    label={c('pictures.stop')}
                    icon="stop"
                    compact
                    name={c('pictures.stopName', { name })}
                    look="small danger"
                    testId={`stop-picture-${track.track}`}
                    onPress={() => setStopped(track)}
                  />
                )}
              </li>
            );
          })}
        </ul>
      )}
      {shown && others.length > 0 && (
        <div class="stack-tight" data-testid="pictures-others">
          <p class="quiet">{c('pictures.others')}</p>
          <ul class="row">
            {others.map(({ user_id, name }) => (
              <li key={user_id} class="row">
                <span>{name}</span>
                <AllowButton name={name} user={user_id} send={props.send} />
              </li>
            ))}
          </ul>
        </div>
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

function AllowButton(props: { name: string; user: string; send: Send; compact?: boolean }) {
  return (
    <Button
      label={c('pictures.allow')}
      icon="camera"
      compact={props.compact === true}
      name={c('pictures.allowName', { name: props.name })}
      look="small"
      testId={`allow-pictures-${props.user}`}
      onPress={() => props.send({ type: 'allow_pictures', user_id: props.user })}
    />
  );
}

/** Stops one person's pictures; other ways follow from why they are shown, each with what else it does. */
function StopDialog(props: {
  client: RoomClient;
  api: ApiClient;
  state: RoomState;
  send: Send;
  track: TrackView;
  onClose: () => void;
}) {
  const { state, track, send } = props;
  const decide = useAsShown(send);
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
      <p>{c('stop.one', { name })}</p>
      {(byRule || byTurn) && <p class="quiet">{c(byRule ? 'stop.policy' : 'stop.turn')}</p>}
      <div class="spread">
        <Button label={t('common.cancel')} testId="stop-picture-cancel" onPress={props.onClose} />
        <Button
          label={c('stop.oneDo')}
          look="main"
          testId="stop-picture-one"
          once
          onPress={done(() => decide({ type: 'stop_pictures', user_id: track.user_id }))}
        />
        {byRule && (
          <Button
            label={c('stop.setFloor')}
            testId="stop-picture-policy"
            once
            onPress={done(() => void setPolicy(props, 'floor'))}
          />
        )}
        {byTurn && (
          <Button
            label={t('console.stop')}
            testId="stop-picture-turn"
            once
            onPress={done(() => decide({ type: 'stop_turn' }))}
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
