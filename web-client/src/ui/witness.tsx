import { useEffect, useState } from 'preact/hooks';
import { language, t, timeOfDay } from '../i18n/i18n';
import type { WitnessView } from '../lib';
import { HeldHeadStore, ProofSource, Witness } from '../lib';
import { Button, Dialog, Notice } from './components';
import { download } from './download';
import { Icon } from './icons';
import { announceAtOnce } from './live_regions';

const store = new HeldHeadStore();

/** The witness of a room; what verifies is loaded with the first head. */
export function makeWitness(session: string): Witness {
  return new Witness({
    session,
    store,
    source: new ProofSource(),
    load: () => import('../verify/witness'),
  });
}

/** What this browser has witnessed; calm while all is well, loud when it is not. */
export function WitnessIndicator({ witness, session }: { witness: Witness; session: string }) {
  const [view, setView] = useState(witness.view);
  const [open, setOpen] = useState(false);
  useEffect(() => {
    setView(witness.view);
    return witness.subscribe(setView);
  }, [witness]);
  useEffect(() => {
    if (view.failure !== null) announceAtOnce(t('witness.said.failed'));
  }, [view.failure]);
  if (view.treeSize === 0 && view.failure === null) return null;
  const failed = view.failure !== null;
  const count = new Intl.NumberFormat(language.value).format(view.treeSize);
  const name = t(failed ? 'witness.failed' : 'witness.count', { count: view.treeSize });
  return (
    <>
      <button
        type="button"
        class={`witness ${failed ? 'failed' : ''}`}
        aria-label={name}
        title={name}
        data-testid="witness"
        data-size={view.treeSize}
        data-failure={view.failure ?? undefined}
        onClick={() => setOpen(true)}
      >
        <Icon name={failed ? 'shieldBroken' : 'shieldCheck'} />
        {!failed && <span>{count}</span>}
      </button>
      {open && <Details view={view} session={session} onClose={() => setOpen(false)} />}
    </>
  );
}

/** For the page itself: a record that does not add up is nobody's detail. */
export function WitnessAlarm({ witness, session }: { witness: Witness; session: string }) {
  const [view, setView] = useState(witness.view);
  useEffect(() => {
    setView(witness.view);
    return witness.subscribe(setView);
  }, [witness]);
  if (view.failure === null) return null;
  return (
    <div class="alarm">
      <Notice look="danger" testId="witness-alarm">
        <p>
          <strong>{t('witness.failed')}.</strong> {t('witness.failedText', { code: view.failure })}
        </p>
        <SaveProof session={session} />
      </Notice>
    </div>
  );
}

/** Whether this browser has kept anything of a session's record. */
export function hasProof(session: string): boolean {
  return store.file(session) !== null;
}

function Details(props: { view: WitnessView; session: string; onClose: () => void }) {
  const { view, session } = props;
  const at = view.checkedAtMs;
  return (
    <Dialog title={t('witness.title')} testId="witness-dialog" onClose={props.onClose}>
      <p>{t('witness.explain')}</p>
      {view.failure === null ? (
        <p class="quiet">
          {t('witness.count', { count: view.treeSize })}.{' '}
          {at === null
            ? t('witness.never')
            : t('witness.at', { when: timeOfDay(new Date(at).toISOString()) })}
        </p>
      ) : (
        <Notice look="danger">
          <p>{t('witness.failedText', { code: view.failure })}</p>
        </Notice>
      )}
      <div class="row">
        <SaveProof session={session} />
        <a
          class="button"
          href={`/verify?session=${session}`}
          target="_blank"
          rel="noopener"
          data-testid="witness-verify"
        >
          {t('witness.verify')}
        </a>
        <Button label={t('common.close')} onPress={props.onClose} />
      </div>
    </Dialog>
  );
}

/** Saves the heads that this browser has kept. */
export function SaveProof({ session }: { session: string }) {
  return (
    <Button
      label={t('witness.save')}
      icon="save"
      look="main"
      testId="save-proof"
      onPress={() => {
        const file = store.file(session);
        if (file !== null) download(`cabildo-heads-${session}.json`, file);
      }}
    />
  );
}
