import type { Texts } from './texts';
import { speaker } from './texts';

const es = {
  title: 'Cámaras y programas externos',
  intro:
    'Aquí se da acceso a un programa (OBS, FFmpeg, GStreamer) o a una cámara para enviar o recibir imagen y sonido en esta sesión. Cuenta como usted y obedece a la palabra como usted.',
  kind: 'Para qué',
  'kind.whip': 'Enviar a la sesión',
  'kind.whep': 'Recibir de la sesión',
  source: 'Qué envía',
  'source.any': 'Imagen y sonido',
  'source.camera': 'Cámara',
  'source.microphone': 'Micrófono',
  'source.screen': 'Pantalla',
  'source.screen_audio': 'Sonido de la pantalla',
  life: 'Vale durante',
  'life.hours': '{count, plural, one {una hora} other {# horas}}',
  speak: 'Se oye también sin turno de palabra',
  make: 'Crear acceso',
  once: 'Cópielo ahora: este acceso no se vuelve a mostrar.',
  ends: 'Vale hasta {when}',
  'line.server': 'Servidor',
  'line.token': 'Token (Bearer Token)',
  'line.command': 'Orden',
  'camera.title': 'Cámara de la sala',
  'camera.intro':
    'Una cámara dada de alta por la operación entra en la sesión por sí sola: se ve, y se oye donde se oye la sala. Se silencia y se expulsa en la lista de personas.',
  'camera.id': 'Identificador de la cámara',
  'camera.add': 'Traer la cámara',
  'camera.added': 'La cámara {camera} entra en la sesión.',
  copyLine: 'Copiar {what} de {program}',
  'how.obs': 'Ajustes → Emisión → Servicio: WHIP. Pegue el servidor y el token.',
  'how.ffmpeg': 'Versión 8 o posterior. Cambie input.mp4 por su fuente.',
  'how.gstreamer':
    'Con gst-plugins-rs, que Debian 12 no incluye. Cambie las fuentes de prueba por las suyas.',
  address: 'Dirección',
  token: 'Token',
  living: 'Accesos en vigor',
  none: 'No hay ningún acceso en vigor.',
  revoke: 'Retirar',
  revokeName: 'Retirar el acceso de {name}',
  revoked: 'Acceso retirado: lo que enviaba o recibía ha terminado.',
};

/** The name of a text about encoders. */
export type EncodersKey = keyof typeof es;

const en: Readonly<Record<EncodersKey, string>> = {
  title: 'Cameras and other programs',
  intro:
    'Here a program (OBS, FFmpeg, GStreamer) or a camera is given access to send or receive picture and sound in this session. It counts as you, and obeys the floor as you do.',
  kind: 'What for',
  'kind.whip': 'Send to the session',
  'kind.whep': 'Receive from the session',
  source: 'What it sends',
  'source.any': 'Picture and sound',
  'source.camera': 'Camera',
  'source.microphone': 'Microphone',
  'source.screen': 'Screen',
  'source.screen_audio': 'Sound of the screen',
  life: 'Good for',
  'life.hours': '{count, plural, one {one hour} other {# hours}}',
  speak: 'Is heard without a turn too',
  make: 'Make access',
  once: 'Copy it now: this access is not shown again.',
  ends: 'Good until {when}',
  'line.server': 'Server',
  'line.token': 'Bearer token',
  'line.command': 'Command',
  'camera.title': 'Camera of the hall',
  'camera.intro':
    'A camera that the operator has set up comes into the session by itself: it is shown, and heard where the hall is. It is muted and removed in the list of people.',
  'camera.id': 'Id of the camera',
  'camera.add': 'Bring the camera in',
  'camera.added': 'The camera {camera} comes into the session.',
  copyLine: 'Copy {what} of {program}',
  'how.obs': 'Settings → Stream → Service: WHIP. Paste the server and the token.',
  'how.ffmpeg': 'Version 8 or newer. Put your source for input.mp4.',
  'how.gstreamer':
    'With gst-plugins-rs, which Debian 12 does not have. Put your sources for the test sources.',
  address: 'Address',
  token: 'Token',
  living: 'Accesses in force',
  none: 'No access is in force.',
  revoke: 'Withdraw',
  revokeName: 'Withdraw the access of {name}',
  revoked: 'Access withdrawn: what it sent or received has ended.',
};

const pt: Readonly<Record<EncodersKey, string>> = {
  title: 'Câmeras e outros programas',
  intro:
    'Aqui se dá acesso a um programa (OBS, FFmpeg, GStreamer) ou a uma câmera para enviar ou receber imagem e som nesta sessão. Conta como você e obedece à palavra como você.',
  kind: 'Para quê',
  'kind.whip': 'Enviar à sessão',
  'kind.whep': 'Receber da sessão',
  source: 'O que envia',
  'source.any': 'Imagem e som',
  'source.camera': 'Câmera',
  'source.microphone': 'Microfone',
  'source.screen': 'Tela',
  'source.screen_audio': 'Som da tela',
  life: 'Vale por',
  'life.hours': '{count, plural, one {uma hora} other {# horas}}',
  speak: 'É ouvido também sem turno de palavra',
  make: 'Criar acesso',
  once: 'Copie agora: este acesso não será mostrado de novo.',
  ends: 'Vale até {when}',
  'line.server': 'Servidor',
  'line.token': 'Token (Bearer Token)',
  'line.command': 'Comando',
  'camera.title': 'Câmera do plenário',
  'camera.intro':
    'Uma câmera cadastrada pela operação entra na sessão por si só: é vista, e é ouvida onde o plenário é ouvido. É silenciada e removida na lista de pessoas.',
  'camera.id': 'Identificador da câmera',
  'camera.add': 'Trazer a câmera',
  'camera.added': 'A câmera {camera} entra na sessão.',
  copyLine: 'Copiar {what} de {program}',
  'how.obs': 'Configurações → Transmissão → Serviço: WHIP. Cole o servidor e o token.',
  'how.ffmpeg': 'Versão 8 ou mais nova. Troque input.mp4 pela sua fonte.',
  'how.gstreamer':
    'Com gst-plugins-rs, que o Debian 12 não traz. Troque as fontes de teste pelas suas.',
  address: 'Endereço',
  token: 'Token',
  living: 'Acessos em vigor',
  none: 'Nenhum acesso está em vigor.',
  revoke: 'Retirar',
  revokeName: 'Retirar o acesso de {name}',
  revoked: 'Acesso retirado: o que enviava ou recebia terminou.',
};

export const encodersTexts: Texts<EncodersKey> = { es, en, pt };
/** A text about encoders. */
export const e = speaker<EncodersKey>(encodersTexts);
