import { useState } from 'preact/hooks';
import { dateTime, t } from '../i18n/i18n';
import { sessionIn, visits } from './access';
import { Button, Field, Notice } from './components';

/** For a page that was opened without a session: which one, by typing or from before. */
export function ChooseSession() {
  const [text, setText] = useState('');
  const [wrong, setWrong] = useState(false);
  const visited = visits();
  const open = (session: string, tenant = '') => {
    const query = new URLSearchParams(location.search);
    query.set('session_id', session);
    query.set('session', session);
    if (tenant !== '') query.set('tenant', tenant);
    location.search = query.toString();
  };
  return (
    <>
      <form
        class="card stack"
        onSubmit={(event) => {
          event.preventDefault();
          const id = sessionIn(text);
          if (id === null) setWrong(true);
          else open(id);
        }}
      >
        <p>{t('start.intro')}</p>
        <Field label={t('start.session')}>
          <input
            data-testid="session-input"
            value={text}
            spellcheck={false}
            autoComplete="off"
            aria-invalid={wrong}
            onInput={(event) => {
              setText(event.currentTarget.value);
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
      {visited.length > 0 && (
        <section class="stack" aria-labelledby="recent">
          <h2 id="recent">{t('start.recent')}</h2>
          <ul class="stack">
            {visited.map((visit) => (
              <li key={visit.id} class="card spread">
                <span class="name">
                  {visit.title} <span class="quiet">{dateTime(visit.at)}</span>
                </span>
                <Button
                  label={t('start.go')}
                  about={visit.title}
                  testId={`session-${visit.id}`}
                  onPress={() => open(visit.id, visit.tenant)}
                />
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}
