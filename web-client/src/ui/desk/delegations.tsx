import { useState } from 'preact/hooks';
import { d } from '../../i18n/desk';
import { errorText, t } from '../../i18n/i18n';
import type { AttendanceBook, BookEntry, Desk, DeskStep } from '../../lib';
import { Button, Dialog, Field, Notice, failureText } from '../components';
import { weightText } from '../attendance';

/** Members shown at once while a unit is looked for. */
const FOUND_MAX = 12;

/** Whom somebody represents: chosen here, and taken or refused by the server. */
export function Delegations(props: {
  entry: BookEntry;
  book: AttendanceBook;
  desk: Desk;
  /** Most units of others a person may represent, where the session says it. */
  most: number | null;
  /** A registration was answered, or could not be made. */
  onRegistered: (step: DeskStep) => void;
  onClose: () => void;
}) {
  const { entry, book, desk } = props;
  const [query, setQuery] = useState('');
  const [chosen, setChosen] = useState<readonly string[]>([]);
  const [busy, setBusy] = useState(false);
  const [refused, setRefused] = useState<string | null>(null);
  const found = book
    .search(query, FOUND_MAX)
    .filter((one) => one.user_id !== entry.user_id)
    .flatMap((one) => one.units.map((unit) => ({ one, unit })));
  const send = async () => {
    setBusy(true);
    const step = await desk.register(entry, chosen);
    props.onRegistered(step);
    setBusy(false);
    if (step.state === 'failed') setRefused(errorText(step.refused ?? ''));
    else props.onClose();
  };
  const end = (unit: string) => {
    desk.endDelegation(unit).then(
      () => setRefused(null),
      (error: unknown) => setRefused(failureText(error)),
    );
  };
  return (
    <Dialog
      title={d('delegate.title', { name: entry.name })}
      testId="delegations"
      onClose={props.onClose}
    >
      {props.most !== null && <p class="quiet">{d('delegate.limit', { count: props.most })}</p>}
      {entry.represents.length > 0 && (
        <div class="stack-tight">
          <h3>{d('delegate.held')}</h3>
          <ul>
            {entry.represents.map((unit) => (
              <li class="spread" key={unit}>
                <span class="name">{unit}</span>
                <Button
                  label={d('delegate.end', { unit })}
                  icon="close"
                  compact
                  look="small danger"
                  once
                  onPress={() => end(unit)}
                />
              </li>
            ))}
          </ul>
        </div>
      )}
      <Field label={d('delegate.search')}>
        <input
          type="search"
          autoComplete="off"
          data-testid="delegate-search"
          value={query}
          onInput={(event) => setQuery(event.currentTarget.value)}
        />
      </Field>
      <ul class="delegate-found" tabIndex={0} aria-label={d('results')}>
        {found.map(({ one, unit }) => {
          // An owner who is present represents themself, and may still delegate.
          const delegated = unit.represented_by !== null && unit.represented_by !== one.user_id;
          const taken = delegated || chosen.includes(unit.id);
          return (
            <li class="spread" key={unit.id}>
              <span class="name">
                {unit.id} · {one.name}{' '}
                <span class="quiet">
                  {t('attendance.weight', { weight: weightText(unit.weight) })}
                  {delegated && ` · ${d('delegate.taken')}`}
                </span>
              </span>
              <Button
                label={d('delegate.add', { unit: unit.id, name: one.name })}
                icon="check"
                compact
                look="small"
                testId={`delegate-${unit.id}`}
                disabled={taken}
                onPress={() => setChosen([...chosen, unit.id])}
              />
            </li>
          );
        })}
      </ul>
      <div class="stack-tight">
        <h3>{d('delegate.chosen')}</h3>
        {chosen.length === 0 && <p class="quiet">{d('delegate.none')}</p>}
        <ul>
          {chosen.map((unit) => (
            <li class="spread" key={unit}>
              <span class="name">{unit}</span>
              <Button
                label={d('delegate.remove', { unit })}
                icon="close"
                compact
                look="small"
                onPress={() => setChosen(chosen.filter((other) => other !== unit))}
              />
            </li>
          ))}
        </ul>
      </div>
      {refused !== null && (
        <Notice look="danger" testId="delegations-refused">
          <p>{refused}</p>
        </Notice>
      )}
      <div class="spread">
        <Button label={t('common.cancel')} onPress={props.onClose} />
        <Button
          label={d('delegate.send', { count: chosen.length })}
          look="main"
          testId="delegations-send"
          once
          disabled={busy}
          onPress={() => void send()}
        />
      </div>
    </Dialog>
  );
}
