import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { t } from '../i18n/i18n';
import type { ApiClient, EligiblePage, RoomState } from '../lib';
import { attendancePath } from '../lib';
import { Button, Dialog, Notice, showFailure } from './components';

interface AttendProps {
  readonly api: ApiClient;
  readonly session: string;
  readonly hall: boolean;
}

/**
 * Tells somebody that they do not count as present until they prove it, and lets
 * them do so without leaving the meeting. What does it is loaded when it is opened.
 */
export function OwnAttendance(props: { api: ApiClient; state: RoomState }) {
  const { api, state } = props;
  const { user_id } = state.you;
  const session = state.session.id;
  const attends = state.you.roles.some((role) => role === 'participant' || role === 'moderator');
  const [proves, setProves] = useState(false);
  const [known, setKnown] = useState<boolean | null>(null);
  const [open, setOpen] = useState(false);
  const [Attend, setAttend] = useState<{ of: ComponentType<AttendProps> } | null>(null);
  useEffect(() => {
    if (!attends) return;
    const read = async () => {
      const { attendance } = await api.session(session);
      const proof = attendance?.admission === 'proof';
      setProves(proof);
      if (!proof) return;
      const query = new URLSearchParams({ q: user_id, limit: '200' });
      const { items, total } = await api.request<EligiblePage>(
        'GET',
        attendancePath(session, `/eligible?${query.toString()}`),
      );
      const own = items.find((one) => one.user_id === user_id);
      // Of whoever is not on a known list this page can't tell.
      setKnown(own?.present ?? (total === 0 ? false : null));
    };
    // What can't be read is not said: the person is counted, or not, all the same.
    read().catch(() => undefined);
  }, [attends, state.describedSeq]);
  useEffect(() => {
    if (open && Attend === null) {
      import('./attend').then(({ Attend: of }) => setAttend({ of }), showFailure);
    }
  }, [open]);
  const present = state.present ?? known;
  if (!attends || (!open && (!proves || present !== false))) return null;
  return (
    <>
      {present === false && (
        <Notice look="warn" testId="attendance-missing">
          <p>{t('attend.missing')}</p>
          <Button
            label={t('attend.title')}
            look="main small"
            testId="attend-open"
            onPress={() => setOpen(true)}
          />
        </Notice>
      )}
      {open && (
        <Dialog title={t('attend.title')} testId="attend-dialog" onClose={() => setOpen(false)}>
          {Attend === null ? (
            <p>{t('common.loading')}</p>
          ) : (
            <Attend.of api={api} session={session} hall={state.session.modality !== 'virtual'} />
          )}
          <Button label={t('common.close')} onPress={() => setOpen(false)} />
        </Dialog>
      )}
    </>
  );
}
