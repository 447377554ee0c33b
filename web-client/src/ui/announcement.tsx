import { useEffect } from 'preact/hooks';
import { t, timeOfDay } from '../i18n/i18n';
import type { RoomState } from '../lib';
import { announced, announcementAfter } from '../lib';
import { Button } from './components';
import { Icon } from './icons';
import { useKept } from './kept';
import { announceAtOnce } from './live_regions';

/** What a moderator announced to everybody; it stays until it was read. */
export function AnnouncementBanner({ state }: { state: RoomState }) {
  const [read, setRead] = useKept(`announcement.${state.session.id}`, 0);
  const line = announcementAfter(state.chat, read);
  useEffect(() => {
    if (line !== null) announceAtOnce(announced(line));
  }, [line?.seq]);
  if (line === null) return null;
  return (
    <section
      class="announcement"
      aria-label={t('announcement.title')}
      data-testid="announcement"
      data-seq={line.seq}
    >
      <Icon name="sound" />
      <p>
        <span class="quiet">
          {t('announcement.from', { name: line.name, time: timeOfDay(line.at) })}
        </span>
        <br />
        <strong class="line-text">{announced(line)}</strong>
      </p>
      <Button
        label={t('announcement.read')}
        look="small"
        testId="announcement-read"
        meaning={`${line.seq}`}
        onPress={() => setRead(line.seq)}
      />
    </section>
  );
}
