import type { Texts } from './texts';
import { speaker } from './texts';

type NotFoundKey = 'title' | 'why' | 'link' | 'start' | 'verify';

/** Texts of the page for addresses that do not exist. */
export const notFoundTexts: Texts<NotFoundKey> = {
  es: {
    title: 'Esta página no existe',
    why: 'La dirección está incompleta o mal escrita, o la página ya no está.',
    link: 'Si le enviaron un enlace, ábralo otra vez desde el mensaje, o cópielo entero.',
    start: 'Entrar en una asamblea',
    verify: 'Comprobar una grabación',
  },
  en: {
    title: 'This page does not exist',
    why: 'The address is incomplete or mistyped, or the page is no longer there.',
    link: 'If you were sent a link, open it again from the message, or copy the whole of it.',
    start: 'Join an assembly',
    verify: 'Check a recording',
  },
  pt: {
    title: 'Esta página não existe',
    why: 'O endereço está incompleto ou digitado errado, ou a página não está mais aqui.',
    link: 'Se você recebeu um link, abra-o outra vez pela mensagem, ou copie-o por inteiro.',
    start: 'Entrar em uma assembleia',
    verify: 'Verificar uma gravação',
  },
};

/** Says such a text. */
export const nf = speaker(notFoundTexts);
