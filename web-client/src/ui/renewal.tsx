import { clock, t } from '../i18n/i18n';
import type { Renewal, RoomClient, TokenSource } from '../lib';
import { Notice } from './components';
import { useNow } from './hooks';
import { useAlarm } from './live_regions';
import { SignInButton } from './sign_in';

/** Says that the access ends and can't be renewed, while the meeting goes on. */
export function RenewalNotice(props: {
  client: RoomClient;
  renewal: Renewal;
  tokens: TokenSource;
}) {
  const { client, renewal, tokens } = props;
  const failing = renewal.state === 'failing';
  const now = useNow(1_000, failing);
  useAlarm(failing ? t('renewal.said') : null, t('renewal.over'));
  if (renewal.state === 'fine') return null;
  const leftMs = Math.max(0, renewal.endsAtMs - client.clock.now(now));
  const left = clock(leftMs);
  return (
    <Notice look="warn" testId="renewal">
      <p>{t(renewal.needsPerson ? 'renewal.signIn' : 'renewal.away', { left })}</p>
      {tokens.signIn !== undefined && (
        <SignInButton
          tokens={tokens}
          way="window"
          testId="renewal-sign-in"
          onSignedIn={() => client.channel.renewNow()}
        />
      )}
    </Notice>
  );
}
