import { useEffect, useState } from 'preact/hooks';
import type { ApiClient, ChannelStatus, RoomState, Session } from '../lib';
import { AfterEnd } from './after_end';
import { Closed } from './connection';
import { endingOf, neverHeld } from './ending';

/**
 * Why the room is closed to a page that was in it or came late. The channel tells whoever comes
 * late only that the session is over, so that the server is asked whether it was cancelled.
 */
export function RoomClosed(props: {
  status: Extract<ChannelStatus, { phase: 'closed' }>;
  state: RoomState | null;
  api: ApiClient;
  session: string;
  again: string;
  /** Whether their roles let them watch the recording; null where nobody is offered anything. */
  watches: boolean | null;
}) {
  const { status, api, session, watches } = props;
  const [found, setFound] = useState<Session | null>(null);
  const ended = props.state?.ended ?? null;
  const asks = status.reason === 'over' && ended === null;
  useEffect(() => {
    // What can't be asked is over, as the channel said.
    if (asks) api.session(session).then(setFound, () => undefined);
  }, [asks]);
  const reason = endingOf(status.reason, ended, found);
  const held = found === null || !neverHeld(found);
  return (
    <Closed reason={reason} code={status.code} again={props.again}>
      {watches !== null && held && <AfterEnd session={session} reason={reason} watches={watches} />}
    </Closed>
  );
}
