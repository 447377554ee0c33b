import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import type { Key } from '../i18n/catalogues';
import { LANGUAGES } from '../i18n/catalogues';
import type { Language } from '../i18n/catalogues';
import { LANGUAGE_NAMES, errorText, language, setLanguage, t } from '../i18n/i18n';
import { ApiError, ChannelError, SignInRequired } from '../lib';
import type { IconName } from './icons';
import { Icon } from './icons';
import { announce, atOnce, politely } from './live_regions';
import { isPressOnSettling, settleRows, useSettling } from './settling';
import { toast, toasts } from './toasts';

export { toast } from './toasts';

interface ButtonProps {
  readonly label: string;
  readonly icon?: IconName;
  /** Shows the drawing only; the label stays its name and its tooltip. */
  readonly compact?: boolean;
  readonly look?: string;
  readonly testId?: string;
  readonly disabled?: boolean;
  readonly pressed?: boolean;
  /** Whom or what it is about, for those who don't see where it stands. */
  readonly about?: string;
  /** For compact ones whose name must say more. */
  readonly name?: string;
  readonly shortcut?: string;
  readonly type?: 'button' | 'submit';
  /**
   * For what decides: the second click of a double click does nothing, and none that comes just
   * after what the button does has changed.
   */
  readonly once?: boolean;
  /** What a press is about, where neither words nor `testId` say it: another one is another button. */
  readonly meaning?: string | undefined;
  readonly onPress?: () => void;
  readonly children?: ComponentChildren;
}

/** Every button. A disabled one stays reachable, so that its name can be read. */
export function Button(props: ButtonProps) {
  const { label, icon, compact = false, look = '', disabled = false } = props;
  const name = props.name ?? (compact ? label : undefined);
  const decides = props.once === true || props.meaning !== undefined;
  const meaning = [props.testId, name ?? label, props.about, props.meaning].join('\n');
  const element = useSettling<HTMLButtonElement>(decides ? meaning : null);
  return (
    <button
      ref={element}
      type={props.type ?? 'button'}
      class={`button ${look}`}
      data-testid={props.testId}
      aria-label={name}
      title={name}
      aria-disabled={disabled ? 'true' : undefined}
      aria-pressed={props.pressed}
      aria-keyshortcuts={props.shortcut}
      onKeyDown={(event) => {
        // A held key presses once.
        if (event.repeat && (event.key === 'Enter' || event.key === ' ')) event.preventDefault();
      }}
      onClick={(event) => {
        const slipped = props.once === true && event.detail > 1;
        if (disabled || slipped) event.preventDefault();
        else props.onPress?.();
      }}
    >
      {icon !== undefined && <Icon name={icon} />}
      {!compact && <span>{label}</span>}
      {props.about !== undefined && <span class="visually-hidden">: {props.about}</span>}
      {props.children}
    </button>
  );
}

/** A labelled field; the control is its child. */
export function Field(props: { label: string; children: ComponentChildren }) {
  return (
    <label class="field">
      <span>{props.label}</span>
      {props.children}
    </label>
  );
}

/** A box to tick. */
export function Check(props: {
  label: string;
  checked: boolean;
  testId?: string;
  onChange: (checked: boolean) => void;
}) {
  return (
    <label class="check">
      <input
        type="checkbox"
        data-testid={props.testId}
        checked={props.checked}
        onChange={(event) => props.onChange(event.currentTarget.checked)}
      />
      <span>{props.label}</span>
    </label>
  );
}

/** Something to be read; `danger` ones are announced at once. */
export function Notice(props: {
  look?: 'warn' | 'danger';
  testId?: string;
  children: ComponentChildren;
}) {
  return (
    <div
      class={`notice ${props.look ?? ''}`}
      data-testid={props.testId}
      role={props.look === 'danger' ? 'alert' : undefined}
    >
      {props.children}
    </div>
  );
}

/** The switch between languages. */
export function LanguageSwitch() {
  return (
    <label class="language">
      <span class="visually-hidden">{t('language.label')}</span>
      <select
        data-testid="language"
        value={language.value}
        onChange={({ currentTarget: select }) => {
          setLanguage(select.value as Language).catch((error: unknown) => {
            select.value = language.value;
            showFailure(error);
          });
        }}
      >
        {LANGUAGES.map((one) => (
          <option key={one} value={one} lang={one}>
            {LANGUAGE_NAMES[one]}
          </option>
        ))}
      </select>
    </label>
  );
}

/** The top of a plain page. */
export function PageHeader({ title }: { title: string }) {
  useEffect(() => {
    document.title = `${title} · ${t('app.name')}`;
  }, [title]);
  return (
    <header class="page-header">
      <h1>{title}</h1>
      <LanguageSwitch />
    </header>
  );
}

/** A modal dialog; Escape and its buttons close it, focus returns by itself. */
export function Dialog(props: {
  title: string;
  testId?: string;
  onClose: () => void;
  children: ComponentChildren;
}) {
  const element = useRef<HTMLDialogElement>(null);
  // Before the page is painted: until a dialog is open, keys go to what is behind it.
  useLayoutEffect(() => {
    const dialog = element.current;
    if (dialog !== null && !dialog.open) dialog.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={element}
      aria-label={props.title}
      data-testid={props.testId}
      onClose={props.onClose}
    >
      <div class="stack">
        <h2>{props.title}</h2>
        {props.children}
      </div>
    </dialog>
  );
}

/** What went wrong, in plain words. */
export function failureText(error: unknown): string {
  const code =
    error instanceof SignInRequired
      ? 'SIGN_IN_REQUIRED'
      : error instanceof ApiError || error instanceof ChannelError
        ? error.code
        : 'PAGE_FAILED';
  return errorText(code);
}

/** Shows what went wrong. */
export function showFailure(error: unknown): void {
  toast(failureText(error));
}

/** Says so when a press hit nothing because what was there had just changed. */
function watchPresses(): () => void {
  let dismiss: () => void = () => undefined;
  const handleClick = (event: MouseEvent) => {
    if (!isPressOnSettling(event)) return;
    dismiss();
    dismiss = toast(t('press.changed'));
    announce(t('press.changed'));
  };
  document.addEventListener('click', handleClick, true);
  return () => document.removeEventListener('click', handleClick, true);
}

/** Toasts and what screen readers are told; once a page. */
export function Announcements() {
  const list = useRef<HTMLDivElement>(null);
  useEffect(watchPresses, []);
  useEffect(() => (list.current === null ? undefined : settleRows(list.current, true)), []);
  return (
    <>
      <div class="visually-hidden" aria-live="polite" data-testid="live-polite">
        <span key={politely.value.count}>{politely.value.text}</span>
      </div>
      <div class="visually-hidden" aria-live="assertive" data-testid="live-assertive">
        <span key={atOnce.value.count}>{atOnce.value.text}</span>
      </div>
      <div class="toasts" role="status" ref={list} data-hands-over="back">
        {toasts.value.map((one) => (
          <div class="toast" key={one.id} data-testid="toast">
            <span>{one.text}</span>
            {one.action && (
              <Button
                label={one.action.label}
                testId="toast-action"
                look="small"
                onPress={() => {
                  one.action?.run();
                  one.dismiss();
                }}
              />
            )}
          </div>
        ))}
      </div>
    </>
  );
}

/** A choice of words that the catalogue knows by prefix. */
export function Options<Value extends string>(props: {
  values: readonly Value[];
  text: (value: Value) => Key;
}): JSX.Element {
  return (
    <>
      {props.values.map((value) => (
        <option key={value} value={value}>
          {t(props.text(value))}
        </option>
      ))}
    </>
  );
}
