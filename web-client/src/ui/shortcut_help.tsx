import { t } from '../i18n/i18n';
import { Check, Dialog } from './components';
import type { Shortcut } from './shortcuts';

/** The list of all shortcuts. */
export function ShortcutHelp(props: {
  shortcuts: readonly Shortcut[];
  on: boolean;
  onSwitch: (on: boolean) => void;
  onClose: () => void;
}) {
  return (
    <Dialog title={t('console.shortcuts')} testId="shortcuts" onClose={props.onClose}>
      <Check
        label={t('console.shortcutsOn')}
        checked={props.on}
        testId="shortcuts-on"
        onChange={props.onSwitch}
      />
      <dl class="shortcuts">
        {props.shortcuts.map(({ keys, text, name }) => (
          <>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{text === undefined ? name : t(text)}</dd>
          </>
        ))}
      </dl>
      <form method="dialog">
        <button class="button wide">{t('common.close')}</button>
      </form>
    </Dialog>
  );
}
