import type { Texts } from './texts';
import { speaker } from './texts';

const es = {
  'off.title': '¿Dejar que se vea desde fuera?',
  'off.what':
    'Cualquiera que tenga un enlace verá y oirá, sin entrar en la sesión, a quien tenga la palabra y, si nadie la tiene, a quien hable.',
  'off.told':
    'Se avisa a todas las personas que están en la sesión, y queda en su registro. Las imágenes pueden cortarse un instante.',
  'off.do': 'Dejar que se vea',
  'on.title': 'La sesión se puede ver desde fuera',
  'on.what':
    'Cada enlace es para una persona: haga uno para cada una. No se puede hablar ni pedir la palabra con él.',
  'on.stop': 'Dejar de mostrarla',
  'on.stopWhat': 'Si deja de mostrarla, quien esté mirando deja de ver y de oír.',
  link: 'Copiar un enlace nuevo',
  linked: 'Enlace copiado',
  'link.shown': 'Enlace',
  'link.until': 'Hay que abrirlo antes de las {when}.',
};

/** The name of a text about watching a session from outside. */
export type LiveKey = keyof typeof es;

const en: Readonly<Record<LiveKey, string>> = {
  'off.title': 'Let it be watched from outside?',
  'off.what':
    'Anyone with a link will see and hear, without being in the session, whoever has the floor, and whoever speaks while nobody has it.',
  'off.told':
    'Everybody in the session is told, and its record keeps it. Pictures may be interrupted for a moment.',
  'off.do': 'Let it be watched',
  'on.title': 'The session can be watched from outside',
  'on.what':
    'Each link is for one person: make one for each. Nobody can speak or ask for the floor with it.',
  'on.stop': 'Stop showing it',
  'on.stopWhat': 'If you stop showing it, whoever is watching sees and hears nothing more.',
  link: 'Copy a new link',
  linked: 'Link copied',
  'link.shown': 'Link',
  'link.until': 'It has to be opened before {when}.',
};

const pt: Readonly<Record<LiveKey, string>> = {
  'off.title': 'Deixar que seja vista de fora?',
  'off.what':
    'Qualquer pessoa que tenha um link verá e ouvirá, sem entrar na sessão, quem tiver a palavra e, se ninguém a tiver, quem falar.',
  'off.told':
    'Todas as pessoas que estão na sessão são avisadas, e o registro dela guarda isso. As imagens podem ser interrompidas por um instante.',
  'off.do': 'Deixar que seja vista',
  'on.title': 'A sessão pode ser vista de fora',
  'on.what':
    'Cada link é para uma pessoa: crie um para cada uma. Com ele não se pode falar nem pedir a palavra.',
  'on.stop': 'Deixar de mostrá-la',
  'on.stopWhat': 'Se deixar de mostrá-la, quem estiver assistindo deixa de ver e de ouvir.',
  link: 'Copiar um link novo',
  linked: 'Link copiado',
  'link.shown': 'Link',
  'link.until': 'Precisa ser aberto antes das {when}.',
};

export const liveTexts: Texts<LiveKey> = { es, en, pt };
/** A text about watching a session from outside. */
export const live = speaker<LiveKey>(liveTexts);
