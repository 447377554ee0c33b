import type { Texts } from './texts';
import { speaker } from './texts';

const es = {
  where: 'El sonido y la imagen de esta sesión están en {service}.',
  why: 'Deje abierta también esta página: aquí pide la palabra y consta su asistencia.',
  open: 'Abrir la reunión en {service}',
  changed: 'La reunión es otra: ábrala con el enlace de esta página.',
};

const en: Record<keyof typeof es, string> = {
  where: 'The sound and picture of this session are on {service}.',
  why: 'Keep this page open as well: here you ask for the floor and your attendance is kept.',
  open: 'Open the meeting on {service}',
  changed: 'The meeting is another one now: open it by the link on this page.',
};

const pt: Record<keyof typeof es, string> = {
  where: 'O som e a imagem desta sessão estão no {service}.',
  why: 'Deixe também esta página aberta: aqui pede a palavra e consta a sua presença.',
  open: 'Abrir a reunião no {service}',
  changed: 'A reunião é outra: abra-a pelo link desta página.',
};

const texts: Texts<keyof typeof es> = { es, en, pt };

/** Texts about a meeting at another provider. */
export const meetingLink = speaker(texts);
