import type { Texts } from './texts';
import { speaker } from './texts';

const es = {
  own: 'Hablo en',
  set: 'Usar este idioma',
  saved: 'Guardado. Vale a partir de la frase siguiente.',
  why: 'Lo que diga se transcribe en este idioma a partir de la frase siguiente.',
  of: 'Idioma que habla {name}',
  ofNow: 'Idioma que habla {name}: {language}',
  ofWhy: 'Lo que diga se transcribe en este idioma a partir de la frase siguiente, y se le avisa.',
  sessionNamed: 'El idioma de la sesión ({language})',
  sessionRecognised: 'El que se reconozca',
  saidToYou: 'La moderación ha indicado en qué idioma habla usted: {language}',
  saidToYouSession: 'La moderación ha indicado que usted habla el idioma de la sesión',
};

/** The name of a text about the language that somebody speaks. */
export type SpokenLanguageKey = keyof typeof es;

const en: Readonly<Record<SpokenLanguageKey, string>> = {
  own: 'I speak',
  set: 'Use this language',
  saved: 'Saved. It holds from the next sentence on.',
  why: 'What you say is written down in this language from the next sentence on.',
  of: 'Language that {name} speaks',
  ofNow: 'Language that {name} speaks: {language}',
  ofWhy:
    'What they say is written down in this language from the next sentence on, and they are told.',
  sessionNamed: 'The language of the session ({language})',
  sessionRecognised: 'Whatever is recognised',
  saidToYou: 'A moderator has set which language you speak: {language}',
  saidToYouSession: 'A moderator has set that you speak the language of the session',
};

const pt: Readonly<Record<SpokenLanguageKey, string>> = {
  own: 'Falo em',
  set: 'Usar este idioma',
  saved: 'Salvo. Vale a partir da próxima frase.',
  why: 'O que você disser será transcrito neste idioma a partir da próxima frase.',
  of: 'Idioma que {name} fala',
  ofNow: 'Idioma que {name} fala: {language}',
  ofWhy:
    'O que a pessoa disser será transcrito neste idioma a partir da próxima frase, e ela será avisada.',
  sessionNamed: 'O idioma da sessão ({language})',
  sessionRecognised: 'O que for reconhecido',
  saidToYou: 'A moderação indicou o idioma que você fala: {language}',
  saidToYouSession: 'A moderação indicou que você fala o idioma da sessão',
};

/** Every text about the language that somebody speaks. */
export const spokenLanguageTexts: Texts<SpokenLanguageKey> = { es, en, pt };

/** A text about it in the language that is shown. */
export const l = speaker(spokenLanguageTexts);
