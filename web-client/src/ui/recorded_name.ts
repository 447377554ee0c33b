import { t } from '../i18n/i18n';
import { RECORDER_USER_ID } from '../lib';

/** What somebody is called whom the record names: the recorder by words, everybody by their name. */
export function recordedName(one: {
  readonly user_id: string | null;
  readonly name: string | null;
}): string {
  return one.user_id === RECORDER_USER_ID ? t('role.recorder') : (one.name ?? '');
}
