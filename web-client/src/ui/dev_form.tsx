import type { Key } from '../i18n/catalogues';
import { t } from '../i18n/i18n';
import type { DevPerson } from './access';
import { isUuid } from './access';
import { Field, Notice, Options } from './components';

const ROLES = ['participant', 'moderator', 'observer', 'hall'] as const;

/** Who one is on a development server. */
export function DevForm(props: {
  person: DevPerson;
  onChange: (change: Partial<DevPerson>) => void;
}) {
  const { person, onChange } = props;
  return (
    <section class="card stack" data-testid="dev-form">
      <p class="quiet">{t('join.dev')}</p>
      {!isUuid(person.tenant) && (
        <Notice look="warn">
          <p>{t('governance.tenantInvalid')}</p>
        </Notice>
      )}
      <Field label={t('join.name')}>
        <input
          data-testid="name-input"
          autoComplete="name"
          maxLength={100}
          value={person.name}
          onInput={(event) => onChange({ name: event.currentTarget.value })}
        />
      </Field>
      <Field label={t('join.role')}>
        <select
          data-testid="role-select"
          value={person.role}
          onChange={(event) => onChange({ role: event.currentTarget.value })}
        >
          <Options values={ROLES} text={(role): Key => `role.${role}`} />
        </select>
      </Field>
      <Field label={t('join.tenant')}>
        <input
          data-testid="tenant-input"
          value={person.tenant}
          spellcheck={false}
          onInput={(event) => onChange({ tenant: event.currentTarget.value.trim() })}
        />
      </Field>
    </section>
  );
}
