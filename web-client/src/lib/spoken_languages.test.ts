import { describe, expect, it } from 'vitest';
import { after, stateOf } from './room_state';
import { choosesLanguage, languageName, languageOf, spokenLanguages } from './spoken_languages';
import { at, participant, welcome } from './testing/fakes';

const transcription = { state: 'on', language: 'es', languages: ['es', 'en', 'pt-BR'] };
const changed = (seq: number, user_id: string, language: string | null) => ({
  type: 'language_changed' as const,
  seq,
  at: at(seq),
  user_id,
  language,
  by: 'chair',
});

describe('the language that somebody speaks', () => {
  it('can be chosen while there is text and its engine knows several', () => {
    const chooses = (change: Partial<typeof transcription>) =>
      choosesLanguage(stateOf(welcome({ transcription: { ...transcription, ...change } })));
    expect(chooses({})).toBe(true);
    expect(chooses({ languages: ['en'] })).toBe(false);
    expect(chooses({ languages: [] })).toBe(false);
    for (const state of ['off', 'unavailable']) expect(chooses({ state })).toBe(false);
  });

  it('is that of the session until it is told, and again when that is told', () => {
    const ana = participant('ana', { language: 'pt-BR' });
    const room = stateOf(welcome({ participants: [participant('chair'), ana] }));
    expect(languageOf(room, 'ana')).toBe('pt-BR');
    expect(languageOf(room, 'chair')).toBeNull();
    expect(languageOf(room, 'nobody')).toBeNull();
    const english = after(room, changed(11, 'ana', 'en'));
    expect(languageOf(english, 'ana')).toBe('en');
    // Whatever else changes of the person.
    const event = { type: 'participant_updated' as const, seq: 12, at: at(12) };
    const updated = after(english, { ...event, ...participant('ana', { language: 'en' }) });
    expect(languageOf(updated, 'ana')).toBe('en');
    const back = after(updated, changed(13, 'ana', null));
    expect(languageOf(back, 'ana')).toBeNull();
    expect('language' in (back.participants.get('ana') ?? {})).toBe(false);
    expect(after(back, changed(14, 'nobody', 'en'))).toEqual(back);
  });

  it('is offered by its name in the language of the page, in the order of names', () => {
    const offered = spokenLanguages(['es', 'en', 'pt-BR', 'zh'], 'es-PY', 'es');
    expect(offered.map(({ tag }) => tag)).toEqual(['zh', 'es', 'es-PY', 'en', 'pt-BR']);
    expect(offered.map(({ name }) => name).slice(0, 2)).toEqual(['Chino', 'Español']);
    expect(spokenLanguages(['es'], 'es', 'en')).toEqual([{ tag: 'es', name: 'Spanish' }]);
  });

  it('is called by its tag when it has no name', () => {
    for (const tag of ['xx', 'es-x']) expect(languageName(tag, 'en')).toBe(tag);
  });
});
