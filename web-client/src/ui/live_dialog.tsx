import { useState } from 'preact/hooks';
import { t } from '../i18n/i18n';
import { live } from '../i18n/live';
import { exactTimeOfDay } from '../i18n/texts';
import type { ApiClient, RoomState, Session } from '../lib';
import { Button, Dialog, Field, showFailure, toast } from './components';
import { announce } from './live_regions';

/** What is read of the right to watch that was made. */
interface Issued {
  readonly token: string;
  readonly tokenExpiresAt: string;
}

interface Link {
  readonly address: string;
  readonly until: string;
}

/** Asks before a session is watched from outside, or no longer, and makes links. */
export function LiveDialog(props: { api: ApiClient; state: RoomState; onClose: () => void }) {
  const { api, state, onClose } = props;
  const { live_viewing, id } = state.session;
  const [busy, setBusy] = useState(false);
  const decide = (wanted: boolean) => {
    setBusy(true);
    // Whoever decided it is told by the room, as everybody is.
    setLiveViewing(api, id, wanted).then(onClose, (error: unknown) => {
      setBusy(false);
      showFailure(error);
    });
  };
  return (
    <Dialog
      title={live(live_viewing ? 'on.title' : 'off.title')}
      testId="live-dialog"
      onClose={onClose}
    >
      {live_viewing ? (
        <>
          <p>{live('on.what')}</p>
          <MakeLink api={api} session={id} />
          <p class="quiet">{live('on.stopWhat')}</p>
        </>
      ) : (
        <>
          <p>{live('off.what')}</p>
          <p class="quiet">{live('off.told')}</p>
        </>
      )}
      <div class="spread">
        <Button
          label={t(live_viewing ? 'common.close' : 'common.cancel')}
          testId="live-cancel"
          onPress={onClose}
        />
        <Button
          label={live(live_viewing ? 'on.stop' : 'off.do')}
          look="danger"
          testId={live_viewing ? 'live-stop' : 'live-confirm'}
          once
          disabled={busy}
          onPress={() => decide(!live_viewing)}
        />
      </div>
    </Dialog>
  );
}

/** Makes a link for one viewer, copies it, and shows it for browsers that let nothing be copied. */
function MakeLink({ api, session }: { api: ApiClient; session: string }) {
  const [link, setLink] = useState<Link | null>(null);
  const [busy, setBusy] = useState(false);
  const make = async () => {
    setBusy(true);
    try {
      const made = await linkOf(api, session);
      setLink(made);
      await navigator.clipboard.writeText(made.address).then(
        () => toast(live('linked')),
        () => announce(live('link.shown')),
      );
    } catch (error) {
      showFailure(error);
    }
    setBusy(false);
  };
  return (
    <div class="stack">
      <Button
        label={live('link')}
        icon="copy"
        look="main"
        testId="live-link"
        disabled={busy}
        onPress={() => void make()}
      />
      {link !== null && (
        <Field label={live('link.shown')}>
          <input
            readOnly
            data-testid="live-link-shown"
            value={link.address}
            onFocus={(event) => event.currentTarget.select()}
          />
        </Field>
      )}
      {link !== null && (
        <p class="quiet">{live('link.until', { when: exactTimeOfDay(Date.parse(link.until)) })}</p>
      )}
    </div>
  );
}

const pathOf = (session: string) => `/api/v1/sessions/${encodeURIComponent(session)}`;

async function setLiveViewing(api: ApiClient, session: string, live_viewing: boolean) {
  const path = pathOf(session);
  const { version } = await api.request<Session>('GET', path);
  await api.request('PATCH', path, { body: { live_viewing }, ifMatch: `"${version}"` });
}

async function linkOf(api: ApiClient, session: string): Promise<Link> {
  const { id: sessionId, tenant_id: tenantId } = await api.request<Session>('GET', pathOf(session));
  const body = { tenantId, sessionId };
  const issued = await api.request<Issued>('POST', '/gateway/sessions', { body });
  const query = new URLSearchParams({
    tenant: tenantId,
    camera: `session:${sessionId}`,
    token: issued.token,
  });
  return { address: `${location.origin}/player?${query.toString()}`, until: issued.tokenExpiresAt };
}
