import { afterEach, expect, it } from 'vitest';
import { language } from '../i18n/i18n';
import { recordedName } from './recorded_name';

afterEach(() => {
  language.value = 'es';
});

it('names the recorder by words of the language, and people by their names', () => {
  const recorder = { user_id: 'cabildo:recorder', name: 'Recorder' };
  language.value = 'es';
  expect(recordedName(recorder)).toBe('Grabación');
  language.value = 'pt';
  expect(recordedName(recorder)).toBe('Gravação');
  expect(recordedName({ user_id: 'ana', name: 'Recorder' })).toBe('Recorder');
  expect(recordedName({ user_id: 'ana', name: null })).toBe('');
});
