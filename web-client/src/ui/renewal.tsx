import { useEffect, useState } from 'preact/hooks';
import { clock, t } from '../i18n/i18n';
import type { Renewal, RoomClient, TokenSource } from '../lib';
import { Button, Notice, announceAtOnce, showFailure } from './components';
import { useNow } from './hooks';

/** Says that the access ends and can't be renewed, while the meeting goes on. */
export function RenewalNotice(props: {
  client: RoomClient;
  renewal: Renewal;
  tokens: TokenSource;
}) {
  const { client, renewal, tokens } = props;
  const [asked, setAsked] = useState(false);
  const failing = renewal.state === 'failing';
  const now = useNow(1_000, failing);
  useEffect(() => {
    if (failing) announceAtOnce(t('renewal.said'));
    else setAsked(false);
  }, [failing]);
  if (renewal.state === 'fine') return null;
  const leftMs = Math.max(0, renewal.endsAtMs - client.clock.now(now));
  const left = clock(leftMs);
  const signIn = () => {
    setAsked(true);
    const signing = tokens.signIn?.('window') ?? Promise.resolve();
    signing
      .then(() => client.channel.renewNow())
      .catch(showFailure)
      .finally(() => setAsked(false));
  };
  return (
    <Notice look="warn" testId="renewal">
      <p>{t(renewal.needsPerson ? 'renewal.signIn' : 'renewal.away', { left })}</p>
      {tokens.signIn !== undefined && (
        <Button
          label={t('signIn.title')}
          look="main small"
          testId="renewal-sign-in"
          disabled={asked}
          onPress={signIn}
        />
      )}
    </Notice>
  );
}
