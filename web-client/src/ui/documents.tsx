import { useState } from 'preact/hooks';
import { language } from '../i18n/i18n';
import { h } from '../i18n/report';
import type { Access } from './access';
import { Button } from './components';
import { Failure } from './sign_in';
import { download } from './download';

/** The documents of a session: what they are, their path, and what their file is called. */
const DOCUMENTS = [
  { key: 'list.pdf', path: 'attendance?format=pdf', file: 'attendance', type: 'pdf' },
  { key: 'list.csv', path: 'attendance?format=csv', file: 'attendance', type: 'csv' },
  { key: 'minutes.pdf', path: 'minutes?format=pdf', file: 'minutes', type: 'pdf' },
  { key: 'minutes.md', path: 'minutes?format=md', file: 'minutes', type: 'md' },
] as const;

/** The list of attendance and the minutes, as files to keep. */
export function Documents({ access, session }: { access: Access; session: string }) {
  const [busy, setBusy] = useState<string | null>(null);
  const [failure, setFailure] = useState<unknown>(null);
  const get = async (document: (typeof DOCUMENTS)[number]) => {
    setBusy(document.key);
    setFailure(null);
    try {
      const path = `/api/v1/sessions/${encodeURIComponent(session)}/${document.path}`;
      const file = await access.api.file(`${path}&lang=${language.value}`);
      download(`${document.file}-${session}.${document.type}`, file);
    } catch (error) {
      setFailure(error);
    }
    setBusy(null);
  };
  return (
    <section class="stack-tight no-print" aria-labelledby="documents" data-testid="documents">
      <h2 id="documents">{h('documents')}</h2>
      <div class="row">
        {DOCUMENTS.map((document) => (
          <Button
            key={document.key}
            label={busy === document.key ? h('making') : h(document.key)}
            disabled={busy !== null}
            testId={`document-${document.key}`}
            onPress={() => void get(document)}
          />
        ))}
      </div>
      {failure !== null && (
        <Failure
          error={failure}
          tokens={access.tokens}
          testId="document-failed"
          onSignedIn={() => setFailure(null)}
        />
      )}
    </section>
  );
}
