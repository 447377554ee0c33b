import { useEffect, useState } from 'preact/hooks';
import type { Key } from '../i18n/catalogues';
import { dateTime, t } from '../i18n/i18n';
import type { Session } from '../lib';
import { ApiClient, browserKeeping, listed, newId } from '../lib';
import { isUuid, readLink } from '../ui/access';
import { boot } from '../ui/boot';
import {
  Button,
  Check,
  Field,
  Notice,
  Options,
  PageHeader,
  failureText,
  showFailure,
  toast,
} from '../ui/components';

const api = new ApiClient(null, null);
const MODALITIES = ['mixed', 'virtual', 'in_person'] as const;
const MODERATIONS = ['moderated', 'open'] as const;
const REMEMBERED = 'cabildo.dev.tenant';

/** Sessions of one tenant, on a development server. */
function Governance() {
  const [dev, setDev] = useState<boolean | null>(null);
  const [failure, setFailure] = useState('');
  const [tenant, setTenant] = useState(firstTenant);
  const [sessions, setSessions] = useState<readonly Session[]>([]);
  const refresh = async () => {
    if (!isUuid(tenant)) return;
    try {
      const query = `/dev/sessions?tenant_id=${tenant}`;
      setSessions(listed(await api.publicRequest<readonly Session[]>('GET', query)));
      setFailure('');
    } catch (error) {
      setFailure(failureText(error));
    }
  };
  useEffect(() => {
    api.clientConfig().then(
      (config) => setDev(config.dev),
      (error: unknown) => setFailure(failureText(error)),
    );
  }, []);
  useEffect(() => {
    if (dev === true) void refresh();
    if (isUuid(tenant)) browserKeeping().setItem(REMEMBERED, tenant);
  }, [dev, tenant]);
  const change = (session: Session, what: 'start' | 'end' | 'cancel') => {
    api
      .publicRequest('POST', `/dev/sessions/${session.id}/${what}`)
      .then(refresh)
      .catch(showFailure);
  };
  return (
    <main class="page stack" data-testid="governance">
      <PageHeader title={t('governance.title')} />
      {failure !== '' && (
        <Notice look="danger">
          <p>{failure}</p>
        </Notice>
      )}
      {dev === false && (
        <Notice look="danger">
          <p>{t('governance.notDev')}</p>
        </Notice>
      )}
      {dev === true && (
        <>
          <Notice look="warn">
            <p>{t('governance.devOnly')}</p>
          </Notice>
          <Field label={t('governance.tenant')}>
            <input
              data-testid="tenant-input"
              value={tenant}
              spellcheck={false}
              aria-invalid={!isUuid(tenant)}
              onInput={(event) => setTenant(event.currentTarget.value.trim())}
            />
          </Field>
          {!isUuid(tenant) && (
            <Notice look="danger">
              <p>{t('governance.tenantInvalid')}</p>
            </Notice>
          )}
          <CreateForm tenant={tenant} onCreated={refresh} />
          <section class="stack" aria-labelledby="sessions">
            <div class="spread">
              <h2 id="sessions">{t('governance.sessions')}</h2>
              <Button
                label={t('governance.refresh')}
                testId="refresh"
                onPress={() => void refresh()}
              />
            </div>
            {sessions.length === 0 && <p class="quiet">{t('governance.none')}</p>}
            <ul class="stack">
              {sessions.map((session) => (
                <SessionCard key={session.id} session={session} onChange={change} />
              ))}
            </ul>
          </section>
        </>
      )}
    </main>
  );
}

function CreateForm({ tenant, onCreated }: { tenant: string; onCreated: () => Promise<void> }) {
  const [title, setTitle] = useState('');
  const [modality, setModality] = useState<string>('mixed');
  const [moderation, setModeration] = useState<string>('moderated');
  const [turnSeconds, setTurnSeconds] = useState(120);
  const [autoStart, setAutoStart] = useState(false);
  const [maximum, setMaximum] = useState(100);
  const create = async () => {
    await api.publicRequest('POST', '/dev/sessions', {
      body: {
        tenant_id: tenant,
        assembly_id: newId(),
        title: title.trim(),
        modality,
        moderation,
        max_participants: maximum,
        speaking: {
          default_turn_s: turnSeconds,
          max_turn_s: Math.max(600, turnSeconds),
          auto_start: autoStart,
        },
      },
    });
    setTitle('');
    await onCreated();
  };
  return (
    <form
      class="card stack"
      onSubmit={(event) => {
        event.preventDefault();
        create().catch(showFailure);
      }}
    >
      <h2>{t('governance.create')}</h2>
      <Field label={t('governance.field.title')}>
        <input
          data-testid="title-input"
          required
          maxLength={200}
          value={title}
          onInput={(event) => setTitle(event.currentTarget.value)}
        />
      </Field>
      <Field label={t('governance.field.modality')}>
        <select value={modality} onChange={(event) => setModality(event.currentTarget.value)}>
          <Options values={MODALITIES} text={(one): Key => `session.modality.${one}`} />
        </select>
      </Field>
      <Field label={t('governance.field.moderation')}>
        <select
          data-testid="moderation-select"
          value={moderation}
          onChange={(event) => setModeration(event.currentTarget.value)}
        >
          <Options values={MODERATIONS} text={(one): Key => `session.moderation.${one}`} />
        </select>
      </Field>
      <Field label={t('governance.field.turn')}>
        <input
          type="number"
          data-testid="turn-input"
          min={5}
          max={3600}
          value={turnSeconds}
          onInput={(event) => setTurnSeconds(event.currentTarget.valueAsNumber || 0)}
        />
      </Field>
      <Field label={t('governance.field.max')}>
        <input
          type="number"
          min={1}
          max={1000}
          value={maximum}
          onInput={(event) => setMaximum(event.currentTarget.valueAsNumber || 0)}
        />
      </Field>
      <Check
        label={t('governance.field.autoStart')}
        checked={autoStart}
        testId="auto-start"
        onChange={setAutoStart}
      />
      <Button
        label={t('governance.create')}
        look="main"
        type="submit"
        testId="create-session"
        disabled={!isUuid(tenant)}
      />
    </form>
  );
}

function SessionCard(props: {
  session: Session;
  onChange: (session: Session, what: 'start' | 'end' | 'cancel') => void;
}) {
  const { session } = props;
  const { status } = session;
  return (
    <li
      class="card stack"
      data-testid="session-card"
      data-session={session.id}
      data-status={status}
    >
      <div class="spread">
        <h3 class="name">{session.title}</h3>
        <span class="badge">{t(`session.status.${status}`)}</span>
      </div>
      <p class="quiet">
        {dateTime(session.created_at)} · {t(`session.modality.${session.modality}`)} ·{' '}
        {t(`session.moderation.${session.moderation}`)}
      </p>
      <div class="row">
        {status === 'scheduled' && (
          <Button
            label={t('governance.start')}
            look="main small"
            testId="start-session"
            onPress={() => props.onChange(session, 'start')}
          />
        )}
        {status === 'active' && (
          <Button
            label={t('governance.end')}
            look="danger small"
            testId="end-session"
            onPress={() => props.onChange(session, 'end')}
          />
        )}
        {(status === 'scheduled' || status === 'active') && (
          <Button
            label={t('governance.cancel')}
            look="danger small"
            testId="cancel-session"
            onPress={() => props.onChange(session, 'cancel')}
          />
        )}
      </div>
      {(['join', 'console', 'hall'] as const).map((page) => (
        <PageLink key={page} page={page} session={session} />
      ))}
    </li>
  );
}

function PageLink({ page, session }: { page: 'join' | 'console' | 'hall'; session: Session }) {
  const address = `${location.origin}/${page}?session=${session.id}&tenant=${session.tenant_id}`;
  const name = t(`governance.link.${page}`);
  return (
    <div class="row">
      <a
        class="button small"
        href={address}
        target="_blank"
        rel="noreferrer"
        data-testid={`link-${page}`}
        aria-label={`${name}: ${session.title}`}
      >
        {name}
      </a>
      <Button
        label={t('common.copy')}
        about={`${name}, ${session.title}`}
        icon="copy"
        look="small"
        onPress={() =>
          void navigator.clipboard.writeText(address).then(
            () => toast(t('common.copied')),
            () => toast(address),
          )
        }
      />
    </div>
  );
}

/** The tenant of the link, the last one, or a new one. */
function firstTenant(): string {
  return readLink().tenant ?? browserKeeping().getItem(REMEMBERED) ?? newId();
}

void boot(<Governance />);
