import { useState } from 'preact/hooks';
import { c } from '../i18n/chair';
import type { ApiClient, RoomState } from '../lib';
import { Button, showFailure } from './components';
import type { LiveDialog } from './live_dialog';

/** Lets the session be watched from outside, or no longer, and makes links for that. */
export function LiveViewingControl({ api, state }: { api: ApiClient; state: RoomState }) {
  /** Loaded when it is wanted: in most sessions it never is. */
  const [dialog, setDialog] = useState<{ readonly Of: typeof LiveDialog } | null>(null);
  // What another provider carries can't be watched here.
  if (state.session.provider !== 'webrtc') return null;
  const open = () => {
    import('./live_dialog').then(({ LiveDialog: Of }) => setDialog({ Of }), showFailure);
  };
  return (
    <>
      <Button
        label={c('live.open')}
        icon="people"
        compact
        look="small"
        shortcut="l"
        testId="live-open"
        onPress={open}
      />
      {dialog !== null && <dialog.Of api={api} state={state} onClose={() => setDialog(null)} />}
    </>
  );
}
