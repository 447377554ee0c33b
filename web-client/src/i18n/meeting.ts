import type { Texts } from './texts';
import { speaker } from './texts';

const es = {
  'devices.title': 'Ajustes de cámara y sonido',
  'devices.test': 'Probar el altavoz',
  'devices.testing': 'Suena un tono…',
  'devices.testHint': 'Si no oye el tono, elija otro altavoz o suba el volumen.',
  'devices.none': 'Ahora no usa ningún micrófono.',
  'devices.hideOwn': 'No mostrarme mi propia imagen (las demás personas la siguen viendo)',
  'devices.notify': 'Avisarme cuando me den la palabra y esté en otra ventana',
  'devices.notifyDenied':
    'El navegador no permite avisos de esta página. Puede permitirlos en el icono junto a la dirección.',
  'order.ask': 'Cuestión de orden',
  'order.sent': 'Cuestión de orden enviada',
  'ask.withdrawKind': 'Retirar: {kind}',
  'list.title': 'Lista de palabra',
  'list.empty': 'Nadie espera la palabra.',
  'list.you': 'Usted',
  'time.soon': 'Le queda menos de medio minuto',
  'time.last': 'Le quedan segundos: vaya terminando',
  'time.over': 'Su tiempo se ha agotado',
  'answer.approved': 'Su petición fue aceptada: está en la lista.',
  'answer.denied': 'Su petición de palabra no fue aceptada.',
  'answer.deniedReason': 'Su petición de palabra no fue aceptada: {reason}',
  'answer.withdrawn': 'Su petición de palabra fue retirada.',
  'answer.title': 'Respuestas a sus peticiones',
  'answer.read': 'Entendido',
  'leave.title': '¿Salir ahora?',
  'leave.speaking':
    'Tiene la palabra. Si sale, dejará de oírse su voz y su turno seguirá corriendo.',
  'leave.waiting':
    'Ha pedido la palabra. Si sale, conserva su lugar, pero no podrá hablar si no vuelve.',
  'leave.endTurn': 'Terminar mi turno y salir',
  'leave.stay': 'Quedarme',
  'leave.go': 'Salir',
  'floor.came': '● Tiene la palabra',
  'floor.cameText': 'Le han dado la palabra en «{title}».',
  'stage.pin': 'Fijar a {name}',
  'stage.unpin': 'Dejar de fijar a {name}',
  'stage.full': 'Pantalla completa',
  'stage.notFull': 'Dejar la pantalla completa',
  'stage.undecodable':
    'Este navegador no puede mostrar esta imagen ({codec}). Use otro navegador, o pida a {name} que envíe H.264 «Constrained Baseline» o VP8.',
  'stage.paused':
    'Su red no da ahora para la imagen de {name}. El sonido sigue, y la imagen vuelve sola.',
  'stage.more': 'y {count} más',
  'stage.hideOwn': 'No mostrarme mi imagen',
  'stage.unseen': 'Sólo la ve usted: se mostrará cuando tenga la palabra',
  'stage.onlyYou': 'Sólo la ve usted',
  'stage.stopped': 'La moderación ha cortado su imagen: sólo la ve usted',
  'stage.shown': 'La ven las demás personas',
  'share.notYet':
    'Comparte la pantalla, pero nadie la ve todavía: se mostrará cuando tenga la palabra.',
  'camera.notYet': 'La cámara está encendida. Las demás personas la verán cuando tenga la palabra.',
};

/** The name of a text of the meeting. */
export type MeetingKey = keyof typeof es;

const en: Readonly<Record<MeetingKey, string>> = {
  'devices.title': 'Camera and sound settings',
  'devices.test': 'Test the loudspeaker',
  'devices.testing': 'A tone sounds…',
  'devices.testHint': 'If you do not hear it, choose another loudspeaker or turn up the volume.',
  'devices.none': 'You are not using a microphone now.',
  'devices.hideOwn': 'Do not show me my own picture (others still see it)',
  'devices.notify': 'Notify me when I get the floor while I am in another window',
  'devices.notifyDenied':
    'The browser does not allow notifications from this page. You can allow them at the icon beside the address.',
  'order.ask': 'Point of order',
  'order.sent': 'Point of order sent',
  'ask.withdrawKind': 'Withdraw: {kind}',
  'list.title': 'Speaking list',
  'list.empty': 'Nobody waits for the floor.',
  'list.you': 'You',
  'time.soon': 'You have less than half a minute left',
  'time.last': 'Seconds left: please come to an end',
  'time.over': 'Your time is over',
  'answer.approved': 'Your request was accepted: you are in the list.',
  'answer.denied': 'Your request to speak was not accepted.',
  'answer.deniedReason': 'Your request to speak was not accepted: {reason}',
  'answer.withdrawn': 'Your request to speak was taken back.',
  'answer.title': 'Answers to your requests',
  'answer.read': 'Understood',
  'leave.title': 'Leave now?',
  'leave.speaking': 'You have the floor. If you leave, nobody hears you and your turn goes on.',
  'leave.waiting':
    'You have asked for the floor. If you leave you keep your place, but cannot speak unless you return.',
  'leave.endTurn': 'End my turn and leave',
  'leave.stay': 'Stay',
  'leave.go': 'Leave',
  'floor.came': '● You have the floor',
  'floor.cameText': 'You have been given the floor in “{title}”.',
  'stage.pin': 'Pin {name}',
  'stage.unpin': 'Unpin {name}',
  'stage.full': 'Full screen',
  'stage.notFull': 'Leave full screen',
  'stage.undecodable':
    'This browser can’t show this picture ({codec}). Use another browser, or ask {name} to send H.264 “Constrained Baseline” or VP8.',
  'stage.paused':
    'Your network can’t carry the picture of {name} now. The sound goes on, and the picture comes back by itself.',
  'stage.more': 'and {count} more',
  'stage.hideOwn': 'Do not show me my picture',
  'stage.unseen': 'Only you see it: it is shown when you have the floor',
  'stage.onlyYou': 'Only you see it',
  'stage.stopped': 'A moderator stopped your pictures: only you see it',
  'stage.shown': 'Others see it',
  'share.notYet':
    'You share your screen, but nobody sees it yet: it is shown when you have the floor.',
  'camera.notYet': 'Your camera is on. Others see it when you have the floor.',
};

const pt: Readonly<Record<MeetingKey, string>> = {
  'devices.title': 'Ajustes de câmera e som',
  'devices.test': 'Testar o alto-falante',
  'devices.testing': 'Um tom está soando…',
  'devices.testHint': 'Se não ouvir o tom, escolha outro alto-falante ou aumente o volume.',
  'devices.none': 'Agora você não usa nenhum microfone.',
  'devices.hideOwn':
    'Não me mostrar a minha própria imagem (as outras pessoas continuam vendo a imagem)',
  'devices.notify': 'Avisar-me quando eu receber a palavra e estiver em outra janela',
  'devices.notifyDenied':
    'O navegador não permite avisos desta página. Você pode permiti-los no ícone ao lado do endereço.',
  'order.ask': 'Questão de ordem',
  'order.sent': 'Questão de ordem enviada',
  'ask.withdrawKind': 'Retirar: {kind}',
  'list.title': 'Lista de palavra',
  'list.empty': 'Ninguém espera a palavra.',
  'list.you': 'Você',
  'time.soon': 'Resta menos de meio minuto',
  'time.last': 'Restam segundos: por favor, conclua',
  'time.over': 'O seu tempo se esgotou',
  'answer.approved': 'O seu pedido foi aceito: você está na lista.',
  'answer.denied': 'O seu pedido de palavra não foi aceito.',
  'answer.deniedReason': 'O seu pedido de palavra não foi aceito: {reason}',
  'answer.withdrawn': 'O seu pedido de palavra foi retirado.',
  'answer.title': 'Respostas aos seus pedidos',
  'answer.read': 'Entendido',
  'leave.title': 'Sair agora?',
  'leave.speaking':
    'Você tem a palavra. Se sair, a sua voz deixa de ser ouvida e a sua vez continua correndo.',
  'leave.waiting':
    'Você pediu a palavra. Se sair, mantém o seu lugar, mas não poderá falar se não voltar.',
  'leave.endTurn': 'Terminar a minha vez e sair',
  'leave.stay': 'Ficar',
  'leave.go': 'Sair',
  'floor.came': '● Você tem a palavra',
  'floor.cameText': 'Você recebeu a palavra em “{title}”.',
  'stage.pin': 'Fixar {name}',
  'stage.unpin': 'Deixar de fixar {name}',
  'stage.full': 'Tela cheia',
  'stage.notFull': 'Sair da tela cheia',
  'stage.undecodable':
    'Este navegador não consegue mostrar esta imagem ({codec}). Use outro navegador, ou peça a {name} que envie H.264 “Constrained Baseline” ou VP8.',
  'stage.paused':
    'A sua rede não suporta agora a imagem de {name}. O som continua, e a imagem volta sozinha.',
  'stage.more': 'e mais {count}',
  'stage.hideOwn': 'Não me mostrar a minha imagem',
  'stage.unseen': 'Só você a vê: será mostrada quando tiver a palavra',
  'stage.onlyYou': 'Só você a vê',
  'stage.stopped': 'A moderação cortou a sua imagem: só você a vê',
  'stage.shown': 'As outras pessoas a veem',
  'share.notYet':
    'Você compartilha a tela, mas ninguém a vê ainda: será mostrada quando tiver a palavra.',
  'camera.notYet': 'A câmera está ligada. As outras pessoas a verão quando você tiver a palavra.',
};

export const meetingTexts: Texts<MeetingKey> = { es, en, pt };
/** A text of the meeting. */
export const m = speaker<MeetingKey>(meetingTexts);
