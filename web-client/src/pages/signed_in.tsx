import { useEffect, useState } from 'preact/hooks';
import { t } from '../i18n/i18n';
import { VisitFailed, forgetVisits, returnedIn, tellReturn } from '../lib';
import { openDoor, signInOf } from '../ui/access';
import { boot } from '../ui/boot';
import { Notice, PageHeader, failureText } from '../ui/components';

/** Where a visit to the identity service returns to. */
function SignedIn() {
  const [failure, setFailure] = useState('');
  /** The page that the visit began on, when it failed. */
  const [from, setFrom] = useState<string | null>(null);
  const [done, setDone] = useState(false);
  useEffect(() => {
    const returned = returnedIn(location.href);
    // Codes and tokens must not stay in the address or the history.
    history.replaceState(null, '', location.pathname);
    const goBack = async () => {
      const door = await openDoor();
      const back = (await signInOf(door, null)?.comeBack(returned)) ?? null;
      if (back !== null) {
        forgetVisits();
        location.replace(back);
        return;
      }
      // The page that waits for this visit is another one.
      if (!(await tellReturn(returned))) {
        setFailure(t('signIn.nobody'));
        return;
      }
      setDone(true);
      window.close();
    };
    goBack().catch((error: unknown) => {
      const failed = error instanceof VisitFailed ? error : null;
      setFrom(failed?.back ?? null);
      setFailure(failureText(failed?.cause ?? error));
    });
  }, []);
  return (
    <main class="page stack" data-testid="signed-in">
      <PageHeader title={t('signIn.title')} />
      {failure !== '' ? (
        <>
          <Notice look="danger" testId="sign-in-failure">
            <p>{failure}</p>
          </Notice>
          <p>
            {from !== null && (
              <a class="button main" href={from} data-testid="sign-in-retry">
                {t('common.retry')}
              </a>
            )}{' '}
            <a class={from === null ? 'button main' : 'button'} href="/">
              {t('start.title')}
            </a>
          </p>
        </>
      ) : (
        <p role="status">{t(done ? 'signIn.close' : 'common.loading')}</p>
      )}
    </main>
  );
}

void boot(<SignedIn />);
