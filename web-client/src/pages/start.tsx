import { useEffect, useState } from 'preact/hooks';
import { dateTime, t } from '../i18n/i18n';
import { ApiClient } from '../lib';
import { sessionIn, visits } from '../ui/access';
import { boot } from '../ui/boot';
import { Button, Field, Notice, PageHeader } from '../ui/components';

/** Where somebody lands without a link. */
function Start() {
  const [session, setSession] = useState('');
  const [wrong, setWrong] = useState(false);
  const [dev, setDev] = useState(false);
  useEffect(() => {
    new ApiClient(null, null).clientConfig().then(
      (config) => setDev(config.dev),
      () => undefined,
    );
  }, []);
  const visited = visits();
  return (
    <main class="page stack">
      <PageHeader title={t('start.title')} />
      <p>{t('start.intro')}</p>
      <form
        class="card stack"
        onSubmit={(event) => {
          event.preventDefault();
          const id = sessionIn(session);
          if (id === null) setWrong(true);
          else location.assign(`/join?session=${id}`);
        }}
      >
        <Field label={t('start.session')}>
          <input
            data-testid="session-input"
            value={session}
            spellcheck={false}
            autoComplete="off"
            aria-invalid={wrong}
            onInput={(event) => {
              setSession(event.currentTarget.value);
              setWrong(false);
            }}
          />
        </Field>
        {wrong && (
          <Notice look="danger">
            <p>{t('start.invalid')}</p>
          </Notice>
        )}
        <Button label={t('start.go')} look="main" type="submit" testId="session-go" />
      </form>
      <section class="stack" aria-labelledby="recent">
        <h2 id="recent">{t('start.recent')}</h2>
        {visited.length === 0 && <p class="quiet">{t('start.none')}</p>}
        <ul class="stack">
          {visited.map((visit) => (
            <li key={visit.id} class="card spread">
              <span class="name">
                {visit.title} <span class="quiet">{dateTime(visit.at)}</span>
              </span>
              <a
                class="button"
                href={`/join?session=${visit.id}${visit.tenant === '' ? '' : `&tenant=${visit.tenant}`}`}
              >
                {t('join.join')}
                <span class="visually-hidden">: {visit.title}</span>
              </a>
            </li>
          ))}
        </ul>
      </section>
      {dev && (
        <p>
          <a class="button" href="/governance" data-testid="governance-link">
            {t('start.governance')}
          </a>
        </p>
      )}
    </main>
  );
}

void boot(<Start />);
