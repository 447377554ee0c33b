import type { Key } from '../i18n/catalogues';
import { t } from '../i18n/i18n';
import type { Heard, ParticipantView, RoomState } from '../lib';
import { heardOf, isPerson, isRecorder, people } from '../lib';
import { Button } from './components';
import type { IconName } from './icons';
import { Icon } from './icons';

const HEARD: Readonly<Record<Heard, readonly [IconName, Key]>> = {
  away: ['lost', 'people.away'],
  muted: ['locked', 'people.muted'],
  speaking: ['microphone', 'people.speaking'],
  heard: ['microphone', 'people.heard'],
  waiting: ['waiting', 'people.audio'],
  silent: ['microphoneOff', 'people.noAudio'],
};

/** What is heard of a participant, by what the server says. */
export function MicrophoneBadge({ heard }: { heard: Heard }) {
  const [icon, key] = HEARD[heard];
  return (
    <span title={t(key)} data-heard={heard}>
      <Icon name={icon} />
      <span class="visually-hidden">{t(key)}</span>
    </span>
  );
}

/** The recorder's line in a list of people. */
export function RecorderName({ state }: { state: RoomState }) {
  const paused = state.recording.state === 'paused';
  return (
    <>
      <Icon name={paused ? 'recordPaused' : 'record'} />
      <span class="name">
        {t('role.recorder')}{' '}
        <span class="badge">{t(paused ? 'recording.paused' : 'recording.running')}</span>
      </span>
    </>
  );
}

/** Beside a name that could be mistaken for that of somebody else. */
export function NameNotice({ notice }: { notice: string | undefined }) {
  if (notice !== 'moderator' && notice !== 'reserved') return null;
  return (
    <span class="badge" data-testid="name-notice" data-notice={notice}>
      {t(`people.notice.${notice}`)}
    </span>
  );
}

/** Why a camera is not shown, or not heard. */
export function MediaFault({ fault }: { fault: string | undefined }) {
  if (fault === undefined) return null;
  const key =
    fault === 'codec_unsupported' ||
    fault === 'unsupported_bframes' ||
    fault === 'pictures_missing' ||
    fault === 'sound_unsupported' ||
    fault === 'credentials_refused'
      ? (`people.fault.${fault}` as const)
      : 'people.fault.other';
  return (
    <span class="badge" data-testid="media-fault" data-fault={fault}>
      {t(key)}
    </span>
  );
}

/** Somebody's name, roles and presence. */
export function PersonName(props: { one: ParticipantView; own: boolean; speaking: boolean }) {
  const { one, own, speaking } = props;
  const shown = own ? t('common.youSuffix', { name: one.name }) : one.name;
  const role = (['moderator', 'hall', 'observer', 'camera'] as const).find((role) =>
    one.roles.includes(role),
  );
  return (
    <span class="name">
      {shown} <NameNotice notice={one.name_notice} />{' '}
      {role !== undefined && <span class="badge">{t(`role.${role}`)}</span>}{' '}
      <MediaFault fault={one.media_fault} />{' '}
      {speaking && <span class="badge">{t('people.speaking')}</span>}{' '}
      {one.connections === 0 && <span class="badge">{t('people.away')}</span>}
    </span>
  );
}

/** Everybody in the room. */
export function PeopleList({ state, onClose }: { state: RoomState; onClose: () => void }) {
  const everybody = people(state);
  const speaks = new Set(state.speakers.map(({ user_id }) => user_id));
  return (
    <section class="sheet" aria-label={t('people.title')} data-testid="people">
      <header>
        <h2>
          {t('people.title')}{' '}
          <span class="quiet">
            {t('people.count', { count: everybody.filter(isPerson).length })}
          </span>
        </h2>
        <Button label={t('common.close')} icon="close" compact onPress={onClose} />
      </header>
      <div class="scroll" tabIndex={0} role="group" aria-label={t('people.title')}>
        <ul>
          {everybody.map((one) =>
            isRecorder(one) ? (
              <li class="person" key={one.user_id} data-testid={`person-${one.user_id}`}>
                <RecorderName state={state} />
              </li>
            ) : (
              <li class="person" key={one.user_id} data-testid={`person-${one.user_id}`}>
                <PersonName
                  one={one}
                  own={one.user_id === state.you.user_id}
                  speaking={speaks.has(one.user_id)}
                />
                {one.screen && (
                  <span title={t('people.screen')}>
                    <Icon name="screen" />
                    <span class="visually-hidden">{t('people.screen')}</span>
                  </span>
                )}
                {one.video && (
                  <span title={t('people.video')}>
                    <Icon name="camera" />
                    <span class="visually-hidden">{t('people.video')}</span>
                  </span>
                )}
                <MicrophoneBadge heard={heardOf(state, one)} />
              </li>
            ),
          )}
        </ul>
      </div>
    </section>
  );
}
