import { describe, expect, it } from 'vitest';
import { attendTexts } from './attend';
import { cameraTexts } from './cameras';
import { captionTexts } from './captions';
import { LANGUAGES, firstOurs } from './catalogues';
import { chairTexts } from './chair';
import { connectionTexts } from './connections';
import { deskTexts } from './desk';
import { eligibleTexts } from './eligible_list';
import { en } from './en';
import { encodersTexts } from './encoders';
import { es } from './es';
import { clock } from './i18n';
import { liveTexts } from './live';
import { meetingTexts } from './meeting';
import { format, placeholders } from './message';
import { notFoundTexts } from './not_found';
import { pt } from './pt';
import { recordingTexts } from './recording/texts';
import { reportTexts } from './report';
import { spokenLanguageTexts } from './spoken_language';
import { verifyTexts } from './verify/texts';

const ALL = {
  pages: { es, en, pt },
  attend: attendTexts,
  cameras: cameraTexts,
  captions: captionTexts,
  chair: chairTexts,
  connections: connectionTexts,
  desk: deskTexts,
  eligible: eligibleTexts,
  encoders: encodersTexts,
  live: liveTexts,
  meeting: meetingTexts,
  notFound: notFoundTexts,
  verify: verifyTexts,
  recording: recordingTexts,
  report: reportTexts,
  spokenLanguage: spokenLanguageTexts,
};

describe.each(Object.entries(ALL))('the catalogues of %s', (_, all) => {
  it.each(LANGUAGES)('%s has every text, with the same placeholders', (language) => {
    const catalogue: Readonly<Record<string, string>> = all[language];
    const spanish: Readonly<Record<string, string>> = all.es;
    expect(Object.keys(catalogue)).toEqual(Object.keys(spanish));
    for (const [key, text] of Object.entries(catalogue)) {
      expect(text.trim(), key).not.toBe('');
      expect(placeholders(text), key).toEqual(placeholders(spanish[key] ?? ''));
    }
  });

  it.each(LANGUAGES)('%s reads well with one and with many', (language) => {
    for (const [key, text] of Object.entries(all[language])) {
      const values = Object.fromEntries(placeholders(text).map((name) => [name, 1]));
      const many = Object.fromEntries(placeholders(text).map((name) => [name, 1234]));
      for (const filled of [format(text, language, values), format(text, language, many)]) {
        expect(filled, key).not.toMatch(/[{}#]|plural/);
      }
    }
  });
});

describe('format', () => {
  it('chooses by exact value, then by the rules of the language', () => {
    const text = '{n, plural, =0 {nobody} one {one {who}} other {# {who}s}} here';
    const say = (n: number) => format(text, 'en', { n, who: 'owner' });
    expect([0, 1, 2, 12_000].map(say)).toEqual([
      'nobody here',
      'one owner here',
      '2 owners here',
      '12,000 owners here',
    ]);
  });

  it('never takes a value for a message', () => {
    expect(format('{name} speaks', 'es', { name: '{0} <b>#</b>' })).toBe('{0} <b>#</b> speaks');
  });
});

describe('clock', () => {
  it.each([
    [120_000, '2:00'],
    [59_001, '1:00'],
    [900, '0:01'],
    [0, '0:00'],
    [-400, '0:00'],
    [-61_000, '-1:01'],
    [3_600_000, '1:00:00'],
  ])('%i ms is %s', (ms, text) => expect(clock(ms)).toBe(text));
});

describe('the language', () => {
  it('is the first wish that is ours', () => {
    expect(firstOurs([null, 'fr-FR', 'pt-BR', 'es'])).toBe('pt');
    expect(firstOurs(['xx', undefined])).toBeNull();
  });
});

describe('the Portuguese texts', () => {
  // Words that one of the two written forms of Portuguese has in place of the other's.
  const OF_THE_OTHER_FORM =
    /câmara|ecrã|ficheiro|registo|registad|ligaç(ão|ões)|(?<!com)partilh|telemóvel|utilizador|est(á|ão) a ser /i;

  it.each(Object.entries(ALL))('of %s are in one form of the language', (_, all) => {
    const texts = Object.values(all.pt as Readonly<Record<string, string>>);
    expect(texts.filter((text) => OF_THE_OTHER_FORM.test(text))).toEqual([]);
  });
});
