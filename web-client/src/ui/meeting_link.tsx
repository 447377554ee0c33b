import { meetingLink as say } from '../i18n/meeting_link';
import type { RoomState } from '../lib';
import { Notice } from './components';

/** What providers are called. */
const SERVICES: Readonly<Record<string, string>> = { google_meet: 'Google Meet', zoom: 'Zoom' };

/** Where sound and picture are, when another service carries them. */
export function MeetingLink({ state }: { readonly state: RoomState }) {
  const { provider, meeting_url: url } = state.session;
  if (url === null) return null;
  const service = SERVICES[provider] ?? provider;
  return (
    <Notice testId="meeting-link">
      <p>{say('where', { service })}</p>
      <p>{say('why')}</p>
      <p>
        <a class="button main" href={url} target="_blank" rel="noreferrer">
          {say('open', { service })}
        </a>
      </p>
    </Notice>
  );
}
