import { c } from '../i18n/chair';
import { t } from '../i18n/i18n';
import { meetingLink } from '../i18n/meeting_link';
import type { MediaSession, QuorumState, RoomState, Told } from '../lib';
import { toast } from './components';
import { announce, announceAtOnce } from './live_regions';
import { languageSaid } from './spoken_language';
import { quorumSaid } from './quorum';

/** For what changes who is heard. */
const LOUD_MS = 20_000;

/** Says what an event means to the person; others' turns politely, one's own at once. */
export function narrate(event: Told, state: RoomState, media: MediaSession | null = null): void {
  // What was missed while away is no news any more.
  if (event.seq <= state.describedSeq) return;
  const mine = 'user_id' in event && event.user_id === state.you.user_id;
  switch (event.type) {
    case 'turn_started':
    case 'turn_resumed':
      if (mine && !event.in_hall) tell(t('floor.said.mine'));
      else announce(t('floor.said.started', { name: event.name }));
      return;
    case 'turn_paused':
      announce(t('floor.said.paused', { name: event.name }));
      return;
    case 'turn_warning':
      if (mine) announceAtOnce(t('floor.said.warning', { seconds: event.remaining_s }));
      return;
    case 'turn_ended':
      if (mine) tell(t('floor.said.mineEnded'));
      else announce(t('floor.said.ended', { name: event.name }));
      return;
    case 'speech_approved':
      // What is said here stays to be read on the page.
      if (mine) announceAtOnce(t('floor.said.approved'));
      return;
    case 'speech_denied':
      if (mine) {
        announceAtOnce(
          event.reason === null
            ? t('floor.said.denied')
            : t('floor.said.deniedReason', { reason: event.reason }),
        );
      }
      return;
    case 'user_muted':
      if (mine) tell(t('floor.said.muted'));
      return;
    case 'user_unmuted':
      if (mine) tell(t('floor.said.unmuted'));
      return;
    case 'pictures_stopped':
      if (mine) tell(t('floor.said.picturesStopped'));
      return;
    case 'pictures_allowed':
      if (mine) tell(t('floor.said.picturesAllowed'));
      return;
    case 'language_changed':
      if (mine && event.by !== state.you.user_id) tell(languageSaid(event.language));
      return;
    case 'vote_announced':
      // What is said here stays to be read on the page.
      announceAtOnce(t('vote.said', { title: event.title }));
      return;
    case 'recording_state':
      tellRecording(event.state, event.by === state.you.user_id);
      return;
    case 'live_viewing_changed':
      tellLiveViewing(event.live_viewing);
      return;
    case 'meeting_changed':
      // The notice with the link stays on the page.
      announceAtOnce(meetingLink('changed'));
      return;
    case 'quorum_changed':
      if (event.turned) tellQuorum(event, state);
      return;
    case 'chair_changed':
      // Nobody decided that whoever came first chairs.
      if (event.by !== null) tellPolitely(c('chair.taken', { name: event.name }));
      return;
    case 'moderation_changed':
      tellModeration(event.moderation, state, media);
      return;
    default:
  }
}

/** Loudly: from now on others hear, or no longer hear, whoever speaks. */
function tellModeration(moderation: string, state: RoomState, media: MediaSession | null): void {
  if (moderation !== 'open') {
    tell(t('moderation.said.moderated'), LOUD_MS);
    return;
  }
  const speaks = state.floor.turn?.user_id === state.you.user_id;
  const moderates = state.you.roles.includes('moderator');
  // What was closed by the floor until now opens only when its owner says so.
  if (!speaks && !moderates) media?.setMicrophoneOn(false);
  tell(t(moderates || speaks ? 'moderation.said.openChair' : 'moderation.said.open'), LOUD_MS);
}

/** A quorum that is lost is the chair's business at once, and everybody else's in time. */
export function tellQuorum(quorum: QuorumState, state: RoomState): void {
  const text = quorumSaid(quorum);
  if (!quorum.reached && state.you.roles.includes('moderator')) announceAtOnce(text);
  else announce(text);
  toast(text, undefined, LOUD_MS);
}

/**
 * Politely: the banner and the indicator stay for everybody to read. Whoever decided it is shown
 * it with the way back, where there is one.
 */
function tellRecording(state: string, own: boolean): void {
  const text =
    state === 'recording'
      ? t('recording.said.started')
      : t(state === 'paused' ? 'recording.said.paused' : 'recording.said.stopped');
  announce(text);
  if (!own || state === 'stopped') toast(text);
}

function tellPolitely(text: string): void {
  announce(text);
  toast(text);
}

/** At once when others begin to see: whoever speaks has to know it before they go on. */
function tellLiveViewing(isOn: boolean): void {
  const text = t(isOn ? 'live.said.on' : 'live.said.off');
  if (isOn) announceAtOnce(text);
  else announce(text);
  toast(text, undefined, LOUD_MS);
}

function tell(text: string, ms?: number): void {
  announceAtOnce(text);
  toast(text, undefined, ms);
}
