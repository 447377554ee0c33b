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
  const told = state.attendance.get(user_id);
  useEffect(() => {
    if (!attends) return;
    // What can't be read is not said: the person is counted, or not, all the same.
    api.session(session).then(
      (found) => setProves(found.attendance?.admission === 'proof'),
      () => undefined,
    );
    api
      .request<EligiblePage>(
        'GET',
        attendancePath(session, `/eligible?${new URLSearchParams({ q: user_id }).toString()}`),
      )
      .then(
        ({ items }) => setKnown(items.find((one) => one.user_id === user_id)?.present ?? false),
        () => undefined,
      );
  }, [attends, state.describedSeq]);
  useEffect(() => {
    if (open && Attend === null) {
      import('./attend').then(({ Attend: of }) => setAttend({ of }), showFailure);
    }
  }, [open]);
  const present = told?.present ?? known;
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
