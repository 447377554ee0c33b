import { t, timeOfDay } from '../i18n/i18n';
import type { AnnouncedVote, RoomClient, RoomState } from '../lib';
import { votePhase, votesAfter } from '../lib';
import { Button } from './components';
import { Fit } from './fit';
import { useNow } from './hooks';
import { Icon } from './icons';
import { useKept } from './kept';

/** Between two looks at whether a vote is over. */
const LOOK_MS = 1_000;
/** How long the hall shows a vote of which nobody said when it ends. */
const HALL_MS = 120_000;
/** How long the hall still shows that a vote is over. */
const HALL_OVER_MS = 30_000;

/** Votes that have begun; each stays until it was read, over reloads too. */
export function Votes({ client, state }: { client: RoomClient; state: RoomState }) {
  const [read, setRead] = useKept(`vote.${state.session.id}`, 0);
  const votes = votesAfter(state.votes, read);
  const nowMs = client.clock.now(useNow(LOOK_MS, votes.length > 0));
  const newest = votes[0];
  if (newest === undefined) return null;
  return (
    <section class="votes" aria-label={t('vote.title')} data-testid="votes">
      <ul tabIndex={0} aria-label={t('vote.title')}>
        {votes.map((vote) => (
          <li
            key={vote.vote_id}
            data-testid={`vote-${vote.vote_id}`}
            data-phase={votePhase(vote, nowMs)}
          >
            <Icon name="check" />
            <p>
              <span class="quiet">{whenOf(vote, nowMs)}</span>
              <br />
              <strong class="line-text">{vote.title}</strong>
            </p>
          </li>
        ))}
      </ul>
      <p class="quiet">{t('vote.where')}</p>
      <Button
        label={t('announcement.read')}
        look="small"
        testId="votes-read"
        meaning={`${newest.seq}`}
        onPress={() => setRead(newest.seq)}
      />
    </section>
  );
}

/** The newest vote on the display of the hall, while it is open or just over. */
export function HallVote({ client, state }: { client: RoomClient; state: RoomState }) {
  const vote = state.votes.at(-1);
  const nowMs = client.clock.now(useNow(LOOK_MS, vote !== undefined));
  if (vote === undefined) return null;
  const until =
    vote.ends_at === null
      ? Date.parse(vote.started_at) + HALL_MS
      : Date.parse(vote.ends_at) + HALL_OVER_MS;
  if (nowMs > until) return null;
  const text = `${whenOf(vote, nowMs)}: ${vote.title}`;
  return (
    <section
      class="announced vote"
      aria-label={t('vote.title')}
      data-testid="hall-vote"
      data-phase={votePhase(vote, nowMs)}
    >
      <Fit text={text} min={20} max={64} />
    </section>
  );
}

function whenOf(vote: AnnouncedVote, nowMs: number): string {
  if (vote.ends_at === null) return t('vote.open');
  const time = timeOfDay(vote.ends_at);
  return t(votePhase(vote, nowMs) === 'open' ? 'vote.openUntil' : 'vote.over', { time });
}
