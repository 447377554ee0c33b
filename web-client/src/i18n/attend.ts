import type { Texts } from './texts';
import { speaker } from './texts';

const es = {
  title: 'Confirmar mi asistencia',
  intro:
    'Confirme que es usted quien asiste, con el código QR o con el código que le enviaron. Sólo se guarda una huella del código, nunca el código.',
  'way.qr': 'Código QR',
  'way.code': 'Código por SMS o correo',
  place: 'Dónde está',
  'place.unsaid': 'No lo indico',
  'place.hall': 'En la sala',
  'place.remote': 'A distancia',
  geo: 'Indicar también mi zona (unos 10 km), porque quiero que conste',
  geoWhy:
    'Es voluntario. El navegador le pedirá permiso y la posición exacta no sale de su aparato.',
  geoMissing: 'El navegador no dio la zona; se confirma sin ella.',
  scan: 'Abrir la cámara',
  scanning: 'Apunte la cámara al código QR y espere un momento.',
  stopScan: 'Cerrar la cámara',
  picture: 'Usar una foto del código',
  noCode: 'En esa foto no se ve ningún código QR. Haga otra más cerca y con luz.',
  video: 'Imagen de la cámara',
  code: 'Código',
  codeHint: 'Al pegar el código o escribir su última cifra se envía solo.',
  channel: 'Cómo lo recibió',
  'channel.sms': 'Por SMS',
  'channel.email': 'Por correo electrónico',
  send: 'Confirmar',
  sending: 'Comprobando…',
  'done.present': 'Su asistencia consta ({how}).',
  'done.connect':
    'Su identidad queda confirmada ({how}). Contará como presente cuando entre en la sesión.',
  left: 'La mesa de registro anotó que usted salió a las {time}: desde entonces no cuenta como presente.',
  'left.do':
    'Si sigue aquí, confirme su asistencia otra vez: vale el mismo código. También puede decirlo en la mesa de registro.',
  weight: 'Le corresponde un coeficiente de {weight}: {units}.',
  represents: 'Además representa: {units}.',
  notListed: 'No figura en la lista de quienes pueden asistir; hable con la mesa de registro.',
  again: 'Otro código',
  enter: 'Entrar en la sesión',
  wait: 'Espere {seconds, plural, one {un segundo} other {# segundos}} antes de volver a intentarlo.',
};

/** The name of a text about proving presence. */
export type AttendKey = keyof typeof es;

const en: Readonly<Record<AttendKey, string>> = {
  title: 'Confirm my attendance',
  intro:
    'Confirm that it is you who attends, with the QR code or with the code that you were sent. Only a fingerprint of the code is kept, never the code.',
  'way.qr': 'QR code',
  'way.code': 'Code by SMS or e-mail',
  place: 'Where you are',
  'place.unsaid': 'I do not say',
  'place.hall': 'In the hall',
  'place.remote': 'Elsewhere',
  geo: 'Tell my area too (some 10 km), because I want it on record',
  geoWhy:
    'This is voluntary. The browser will ask, and the exact position does not leave your device.',
  geoMissing: 'The browser did not tell the area; it is confirmed without.',
  scan: 'Open the camera',
  scanning: 'Point the camera at the QR code and wait a moment.',
  stopScan: 'Close the camera',
  picture: 'Use a photo of the code',
  noCode: 'There is no QR code to be seen in that photo. Take another, closer and with light.',
  video: 'Picture of the camera',
  code: 'Code',
  codeHint: 'A code that is pasted, or whose last digit is typed, is sent by itself.',
  channel: 'How you got it',
  'channel.sms': 'By SMS',
  'channel.email': 'By e-mail',
  send: 'Confirm',
  sending: 'Checking…',
  'done.present': 'Your attendance is on record ({how}).',
  'done.connect':
    'It is confirmed that it is you ({how}). You count as present once you join the session.',
  left: 'The registration desk marked you as left at {time}: since then you do not count as present.',
  'left.do':
    'If you are still here, confirm your attendance again: the same code is valid. You can also tell the registration desk.',
  weight: 'You have a weight of {weight}: {units}.',
  represents: 'You also represent: {units}.',
  notListed: 'You are not on the list of those who may attend; talk to the registration desk.',
  again: 'Another code',
  enter: 'Join the session',
  wait: 'Wait {seconds, plural, one {one second} other {# seconds}} before you try again.',
};

const pt: Readonly<Record<AttendKey, string>> = {
  title: 'Confirmar minha presença',
  intro:
    'Confirme que é você quem participa, com o código QR ou com o código que você recebeu. Só é guardada uma impressão digital do código, nunca o código.',
  'way.qr': 'Código QR',
  'way.code': 'Código por SMS ou e-mail',
  place: 'Onde está',
  'place.unsaid': 'Não informo',
  'place.hall': 'Na sala',
  'place.remote': 'À distância',
  geo: 'Informar também minha região (uns 10 km), porque quero que conste',
  geoWhy:
    'É voluntário. O navegador vai pedir permissão e a posição exata não sai do seu aparelho.',
  geoMissing: 'O navegador não informou a região; a presença é confirmada sem ela.',
  scan: 'Abrir a câmera',
  scanning: 'Aponte a câmera para o código QR e espere um momento.',
  stopScan: 'Fechar a câmera',
  picture: 'Usar uma foto do código',
  noCode: 'Nessa foto não se vê nenhum código QR. Tire outra mais de perto e com luz.',
  video: 'Imagem da câmera',
  code: 'Código',
  codeHint: 'Ao colar o código ou digitar seu último número, ele é enviado sozinho.',
  channel: 'Como o recebeu',
  'channel.sms': 'Por SMS',
  'channel.email': 'Por e-mail',
  send: 'Confirmar',
  sending: 'Verificando…',
  'done.present': 'Sua presença está registrada ({how}).',
  'done.connect':
    'Está confirmado que é você ({how}). Contará como presente quando entrar na sessão.',
  left: 'A mesa de registro anotou que você saiu às {time}: desde então não conta como presente.',
  'left.do':
    'Se ainda está aqui, confirme sua presença outra vez: o mesmo código vale. Também pode avisar a mesa de registro.',
  weight: 'Você tem peso {weight}: {units}.',
  represents: 'Além disso representa: {units}.',
  notListed: 'Você não está na lista de quem pode participar; fale com a mesa de registro.',
  again: 'Outro código',
  enter: 'Entrar na sessão',
  wait: 'Espere {seconds, plural, one {um segundo} other {# segundos}} antes de tentar de novo.',
};

export const attendTexts: Texts<AttendKey> = { es, en, pt };
/** A text about proving presence. */
export const a = speaker<AttendKey>(attendTexts);
