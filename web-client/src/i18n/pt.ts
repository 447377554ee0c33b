import type { Catalogue } from './i18n';

/** Portuguese. */
export const pt: Catalogue = {
  'app.name': 'Cabildo',
  'language.label': 'Idioma',
  'common.close': 'Fechar',
  'common.cancel': 'Cancelar',
  'common.retry': 'Tentar de novo',
  'common.undo': 'Desfazer',
  'common.send': 'Enviar',
  'common.loading': 'Carregando…',
  'common.you': 'Você',
  'common.youSuffix': '{name} (você)',
  'common.copy': 'Copiar',
  'common.copied': 'Copiado',

  'start.title': 'Entrar em uma assembleia',
  'start.intro': 'Use o link da sua convocação ou digite o identificador da sessão.',
  'start.session': 'Identificador da sessão',
  'start.go': 'Continuar',
  'start.invalid':
    'Isso não é um identificador de sessão. Copie-o inteiro da convocação: são 36 caracteres, com hifens.',
  'start.recent': 'Suas sessões',
  'start.none': 'Este navegador ainda não entrou em nenhuma sessão.',
  'start.governance': 'Página de governança (desenvolvimento)',

  'session.status.scheduled': 'Agendada',
  'session.status.active': 'Em andamento',
  'session.status.completed': 'Encerrada',
  'session.status.cancelled': 'Cancelada',
  'session.modality.virtual': 'Virtual',
  'session.modality.in_person': 'Presencial',
  'session.modality.mixed': 'Mista',
  'session.moderation.open': 'Palavra livre',
  'session.moderation.moderated': 'Palavra moderada',
  'session.startsAt': 'Começa: {when}',
  'session.recorded':
    'A política desta sessão prevê gravá-la. A gravação é guardada por {days, plural, one {um dia} other {# dias}}.',
  'session.transcribed': 'A política desta sessão prevê transcrevê-la.',

  'join.title': 'Antes de entrar',
  'join.join': 'Entrar',
  'join.notStarted': 'A sessão ainda não começou. Você poderá entrar assim que começar.',
  'join.over': 'A sessão terminou. Já não é possível entrar.',
  'join.camera': 'Câmera',
  'join.microphone': 'Microfone',
  'join.loudspeaker': 'Alto-falante',
  'join.cameraOff': 'A câmera está desligada',
  'join.noCamera': 'Sem câmera',
  'join.default': 'O habitual',
  'join.deviceN': 'Dispositivo {n}',
  'join.level': 'Nível do microfone',
  'join.levelHint': 'Diga algo: a barra deve se mover.',
  'join.muted': 'Entrar com o microfone desligado',
  'join.video': 'Entrar com a câmera ligada',
  'join.listenOnly': 'Entrar só para ouvir',
  'join.observer': 'Você entra como observador: vê e ouve, sem microfone nem câmera.',
  'join.dev': 'Servidor de desenvolvimento: escolha quem você é',
  'join.name': 'Seu nome',
  'join.role': 'Entra como',
  'join.tenant': 'Identificador da organização',
  'join.noSession': 'Falta a sessão no link. Peça o link completo ou digite o identificador.',
  'role.participant': 'Participante',
  'role.moderator': 'Moderação',
  'role.observer': 'Observador',
  'role.hall': 'Sala',
  'role.operator': 'Operação',
  'role.auditor': 'Auditoria',
  'role.recorder': 'Gravação',

  'recording.running': 'A gravar',
  'recording.paused': 'Gravação em pausa',
  'recording.running.long': 'Esta sessão está a ser gravada',
  'recording.paused.long': 'A gravação está em pausa',
  'recording.said.started': 'Esta sessão está a ser gravada',
  'recording.said.paused': 'A gravação está em pausa: agora não se grava',
  'recording.said.stopped': 'A gravação terminou: já não se grava',
  'recording.banner.title': 'Esta sessão é gravada',
  'recording.banner.what': 'Gravam-se o som, a imagem e as decisões da sessão.',
  'recording.banner.kept':
    'A gravação guarda-se cifrada e apaga-se {days, plural, =0 {ao terminar} one {um dia depois de terminar} other {# dias depois de terminar}}.',
  'recording.banner.who':
    'Só a podem ver a moderação e a auditoria da sua organização, e cada consulta fica anotada.',
  'recording.banner.proof': 'Qualquer pessoa pode verificar que não foi alterada.',
  'recording.banner.verify': 'Como se verifica',
  'recording.banner.understand': 'Entendi',
  'recording.banner.leave': 'Sair',
  'recording.console': 'Gravação',
  'recording.start': 'Gravar',
  'recording.resume': 'Continuar a gravar',
  'recording.pause': 'Pausar a gravação',
  'recording.stop': 'Terminar a gravação',
  'recording.stopped': 'Não se grava',
  'recording.stop.title': 'Terminar a gravação?',
  'recording.stop.text':
    'O que se disser a partir de agora não ficará gravado. O que se gravou até aqui conserva-se. Todos o verão.',

  'witness.count': 'Registo testemunhado: {count, plural, one {uma entrada} other {# entradas}}',
  'witness.failed': 'O registo da sessão não bate certo',
  'witness.title': 'Este navegador é testemunha',
  'witness.explain':
    'O seu navegador verifica a assinatura do registo da sessão e guarda uma prova. Se alguém reescrevesse o registo mais tarde, mesmo quem gere o servidor, esta prova revelá-lo-ia.',
  'witness.at': 'Última verificação: {when}',
  'witness.never': 'Ainda não se pôde verificar que o registo continua o anterior.',
  'witness.save': 'Guardar a prova',
  'witness.verify': 'Verificar a gravação',
  'witness.failedText':
    'O servidor enviou um registo que contradiz o que este navegador guardou ({code}). Guarde a prova e avise quem preside à sessão: pode ser uma falha grave ou uma manipulação.',
  'witness.said.failed': 'Aviso: o registo da sessão contradiz o que este navegador guardou',

  'device.microphone.denied':
    'O navegador não permite usar o microfone. Toque no cadeado ou no ícone ao lado do endereço, permita o microfone e toque em Tentar de novo.',
  'device.microphone.missing':
    'Nenhum microfone foi encontrado. Conecte um e toque em Tentar de novo.',
  'device.microphone.busy':
    'Outro programa está usando o microfone. Feche-o e toque em Tentar de novo.',
  'device.microphone.insecure':
    'O navegador esconde o microfone porque a página não veio por uma conexão segura. Abra o link que começa com https.',
  'device.microphone.failed':
    'O microfone não iniciou. Desconecte-o, conecte-o outra vez e toque em Tentar de novo.',
  'device.camera.denied':
    'O navegador não permite usar a câmera. Toque no cadeado ou no ícone ao lado do endereço, permita a câmera e toque em Tentar de novo.',
  'device.camera.missing': 'Nenhuma câmera foi encontrada. Você pode entrar sem ela.',
  'device.camera.busy':
    'Outro programa está usando a câmera. Feche-o e toque em Tentar de novo, ou entre sem ela.',
  'device.camera.insecure':
    'O navegador esconde a câmera porque a página não veio por uma conexão segura. Abra o link que começa com https.',
  'device.camera.failed': 'A câmera não iniciou. Você pode entrar sem ela.',
  'device.screen.denied': 'A tela não foi compartilhada: o navegador ou você não permitiu.',
  'device.screen.failed': 'O navegador não conseguiu compartilhar a tela.',

  'connection.connecting': 'Conectando…',
  'connection.open': 'Conectado',
  'connection.good': 'Conexão boa',
  'connection.fair': 'Conexão regular',
  'connection.poor': 'Conexão ruim',
  'connection.reconnecting':
    'Sem conexão há {seconds, plural, one {um segundo} other {# segundos}}. Reconectando…',
  'connection.restored': 'Conexão recuperada. Nada se perdeu.',
  'connection.hear': 'Toque para ouvir',
  'connection.hearWhy': 'O navegador espera um toque antes de reproduzir som.',

  'closed.left.title': 'Você saiu da sessão',
  'closed.left.text': 'Pode voltar a entrar enquanto a sessão continuar.',
  'closed.forbidden.title': 'Você não pode estar nesta sessão',
  'closed.forbidden.text':
    'A moderação retirou você, ou o seu acesso não inclui esta sessão. Fale com quem o convocou.',
  'closed.not_found.title': 'Não existe essa sessão',
  'closed.not_found.text':
    'O link não pertence a nenhuma sessão aberta. Verifique se está completo.',
  'closed.replaced.title': 'A sessão continua em outra janela',
  'closed.replaced.text':
    'Esta conexão foi continuada em outra janela. Fique lá, ou entre de novo aqui.',
  'closed.over.title': 'A sessão terminou',
  'closed.over.text': 'Obrigado por participar. Pode fechar esta página.',
  'closed.sign_in_required.title': 'É preciso identificar-se de novo',
  'closed.sign_in_required.text': 'O seu acesso expirou e não pôde ser renovado. Entre de novo.',
  'closed.rejoin': 'Entrar de novo',

  'floor.nobody': 'Ninguém tem a palavra',
  'floor.speaking': 'Tem a palavra',
  'floor.paused': 'Vez em pausa',
  'floor.youSpeak': 'Você tem a palavra',
  'floor.youPaused': 'A sua vez está em pausa',
  'floor.youInterrupted': 'A sua vez espera o fim de uma pergunta',
  'floor.inHall': 'na sala',
  'floor.timeLeft': 'Tempo restante',
  'floor.timeOver': 'Tempo excedido',
  'floor.interrupted': 'Espera: {name}',
  'floor.said.started': '{name} tem a palavra',
  'floor.said.ended': '{name} terminou',
  'floor.said.paused': 'A vez de {name} está em pausa',
  'floor.said.mine': 'Você tem a palavra: pode falar',
  'floor.said.mineEnded': 'A sua vez terminou',
  'floor.said.warning': 'Faltam {seconds} segundos',
  'floor.said.approved': 'O seu pedido foi aceito: está na lista',
  'floor.said.denied': 'O seu pedido de palavra não foi aceito',
  'floor.said.deniedReason': 'O seu pedido de palavra não foi aceito: {reason}',
  'floor.said.muted': 'A moderação fechou o seu microfone',
  'floor.said.unmuted': 'A moderação liberou o seu microfone',

  'ask.button': 'Pedir a palavra',
  'ask.more': 'Escolher tipo e nota',
  'ask.title': 'Pedir a palavra',
  'ask.kind': 'Para quê',
  'ask.note': 'Nota para a moderação (opcional)',
  'ask.stance': 'Posição (opcional)',
  'ask.closed': 'A lista está fechada',
  'ask.withdraw': 'Retirar meu pedido',
  'ask.end': 'Terminar minha vez',
  'ask.sent': 'Pedido enviado: a moderação precisa aceitá-lo',
  'kind.normal': 'Falar sobre o assunto',
  'kind.point_of_order': 'Questão de ordem',
  'kind.intervention': 'Réplica',
  'kind.interposed_question': 'Pergunta ao orador',
  'kind.short.normal': 'Palavra',
  'kind.short.point_of_order': 'Ordem',
  'kind.short.intervention': 'Réplica',
  'kind.short.interposed_question': 'Pergunta',
  'stance.none': 'Não indicada',
  'stance.pro': 'A favor',
  'stance.contra': 'Contra',
  'stance.neutral': 'Neutra',

  'place.none': 'Você não está na lista',
  'place.requested': 'Esperando a moderação',
  'place.next': 'Você é o próximo',
  'place.waiting': '{ahead, plural, one {Uma pessoa} other {# pessoas}} antes de você',

  'mic.listening_only': 'Só ouvindo',
  'mic.off': 'Microfone desligado',
  'mic.open': 'Você é ouvido',
  'mic.muted_by_moderator': 'Fechado pela moderação',
  'mic.closed_by_floor': 'Ligado, mas sem a palavra: não é ouvido',
  'mic.turnOn': 'Ligar microfone',
  'mic.turnOff': 'Desligar microfone',
  'mic.add': 'Usar microfone',
  'camera.turnOn': 'Ligar câmera',
  'camera.turnOff': 'Desligar câmera',
  'screen.share': 'Compartilhar tela',
  'screen.stop': 'Parar de compartilhar',
  'layout.grid': 'Ver em grade',
  'layout.speaker': 'Ver quem fala',
  'meeting.leave': 'Sair',
  'meeting.controls': 'Controles',
  'meeting.stage': 'Imagem',
  'meeting.others': 'Outras imagens',
  'meeting.noPicture': 'Sem imagem',
  'meeting.screenOf': 'Tela de {name}',
  'meeting.pictureOf': 'Imagem de {name}',
  'meeting.stale': 'Última imagem recebida',
  'meeting.floor': 'A palavra',

  'chat.title': 'Mensagens',
  'chat.input': 'Escreva uma mensagem',
  'chat.empty': 'Ainda não há mensagens.',
  'chat.unread': '{count, plural, one {1 mensagem nova} other {# mensagens novas}}',
  'people.title': 'Participantes',
  'people.count': '{count, plural, one {uma pessoa} other {# pessoas}}',
  'people.notice.moderator': 'Parece o nome de quem modera, mas é outra pessoa',
  'people.notice.reserved': 'Parece um nome oficial',
  'people.away': 'reconectando',
  'people.audio': 'microfone ligado',
  'people.noAudio': 'microfone desligado',
  'people.video': 'câmera ligada',
  'people.screen': 'compartilha a tela',
  'people.muted': 'fechado pela moderação',
  'people.heard': 'é ouvido',
  'people.speaking': 'falando',

  'console.title': 'Moderação',
  'console.turn': 'Vez',
  'console.start': 'Dar a palavra ao próximo',
  'console.startThis': 'Dar a palavra a {name}',
  'console.pause': 'Pausar',
  'console.resume': 'Retomar',
  'console.stop': 'Retirar a palavra',
  'console.extend': '+{seconds} s',
  'console.extendName': 'Acrescentar {seconds} segundos',
  'console.requested': 'Pedem a palavra',
  'console.queue': 'Lista de palavra',
  'console.noRequests': 'Ninguém espera decisão.',
  'console.emptyQueue': 'A lista está vazia.',
  'console.approve': 'Aceitar',
  'console.deny': 'Recusar',
  'console.denyTitle': 'Recusar o pedido de {name}',
  'console.reason': 'Motivo (opcional, a pessoa o verá)',
  'console.denying': 'Recusando {name}',
  'console.removing': 'Retirando {name}',
  'console.withdrawName': 'Tirar {name} da lista',
  'console.up': 'Subir {name}',
  'console.down': 'Descer {name}',
  'console.drag': 'Arraste para ordenar',
  'console.waits': 'espera {time}',
  'console.turns':
    '{count, plural, =0 {ainda não falou} one {uma vez antes} other {# vezes antes}}',
  'console.openQueue': 'Abrir a lista',
  'console.closeQueue': 'Fechar a lista',
  'console.queueOpen': 'A lista está aberta',
  'console.queueClosed': 'A lista está fechada',
  'console.setModerated': 'Passar à palavra moderada',
  'console.setOpen': 'Passar à palavra livre',
  'console.mute': 'Fechar microfone',
  'console.unmute': 'Liberar microfone',
  'console.removeName': 'Retirar {name} da sessão',
  'console.admit': 'Readmitir',
  'console.removed': 'Retirados',
  'console.hallSpeaker': 'Pessoa na sala',
  'console.hallName': 'Nome da pessoa na sala',
  'console.addHall': 'Acrescentar à lista',
  'console.shortcuts': 'Atalhos de teclado',
  'console.notModerator': 'Esta página é para a moderação. O seu acesso não a inclui.',
  'console.moved': '{name}: lugar {place} de {count}',
  'console.listen': 'Ouvir a sessão',
  'console.shortcut.next': 'Dar a palavra ao próximo',
  'console.shortcut.pause': 'Pausar ou retomar a vez',
  'console.shortcut.stop': 'Retirar a palavra',
  'console.shortcut.extend30': 'Acrescentar 30 segundos',
  'console.shortcut.extend60': 'Acrescentar 60 segundos',
  'console.shortcut.approve': 'Aceitar o primeiro pedido',
  'console.shortcut.deny': 'Recusar o primeiro pedido',
  'console.shortcut.queue': 'Abrir ou fechar a lista',
  'console.shortcut.hall': 'Acrescentar uma pessoa da sala',
  'console.shortcut.chat': 'Ir às mensagens',
  'console.shortcut.undo': 'Desfazer',
  'console.shortcut.move': 'Em uma linha da lista: subir ou descer',
  'console.shortcut.help': 'Mostrar esta ajuda',

  'hall.next': 'A seguir',
  'hall.nobodyNext': 'Ninguém espera',
  'hall.waiting': 'Esperando o início',

  'quorum.reached': 'Há quórum',
  'quorum.notReached': 'Sem quórum',
  'quorum.unknown': 'Quórum sem contagem',
  'quorum.unknownText':
    'Ainda não se conhece a lista de quem pode participar. Sem ela ninguém conta para o quórum.',
  'quorum.heads': 'Pessoas: {present} de {total} ({percent})',
  'quorum.weight': 'Peso: {present} de {total} ({percent})',
  'quorum.short.heads': '{percent} das pessoas',
  'quorum.short.weight': '{percent} do peso',
  'quorum.hall.heads': '{present} de {total} pessoas',
  'quorum.hall.weight': '{percent} do peso',
  'quorum.needsMore': 'é preciso mais de {share}',
  'quorum.needsAtLeast': 'é preciso pelo menos {share}',
  'quorum.since': 'Desde {time}',
  'quorum.lostSince': 'Sem quórum desde {time}',
  'quorum.call.first': 'Primeira convocação',
  'quorum.call.second': 'Segunda convocação',
  'quorum.history': 'Histórico do quórum',
  'quorum.never': 'O quórum ainda não foi atingido.',
  'quorum.wasReached': 'Atingido',
  'quorum.wasLost': 'Perdido',
  'quorum.then': 'com {heads, plural, one {uma pessoa} other {# pessoas}} e peso de {weight}',
  'quorum.secondCall': 'Passar à segunda convocação',
  'quorum.secondCallTitle': 'Passar à segunda convocação?',
  'quorum.secondCallText':
    'A partir de agora conta o quórum da segunda convocação, que costuma exigir menos. Não se pode voltar à primeira, e isso fica registrado.',
  'quorum.said.reached': 'O quórum foi atingido.',
  'quorum.said.lost': 'O quórum foi perdido.',

  'attendance.title': 'Histórico de cada pessoa',
  'attendance.present': 'Presente',
  'attendance.left': 'Saiu',
  'attendance.absent': 'Sem presença',
  'attendance.method.qr': 'código QR',
  'attendance.method.biometric': 'biometria',
  'attendance.method.code': 'código por SMS ou e-mail',
  'attendance.method.manual': 'registro na porta',
  'attendance.method.channel': 'conexão à sessão',
  'attendance.place.hall': 'na sala',
  'attendance.place.remote': 'à distância',
  'attendance.weight': 'Peso {weight}',
  'attendance.units': '{count, plural, one {uma unidade} other {# unidades}}',
  'attendance.represents': 'Representa: {units}',
  'attendance.notListed': 'Não está na lista',
  'attendance.loading': 'Lendo a lista de presença…',
  'attendance.failed': 'Não foi possível ler a lista de presença. {why}',
  'attendance.desk': 'Mesa de registro',
  'attendance.report': 'Ver seu histórico',
  'console.filter.present': 'Presentes (também na sala)',
  'console.filter.unproven': 'Conectadas sem presença',
  'console.filter.left': 'Saíram',

  'attend.title': 'Confirmar minha presença',
  'attend.missing':
    'Você ainda não conta como presente: nesta sessão é preciso confirmar a presença com um código.',
  'attend.inHall': 'Estou na sala: confirmar minha presença sem entrar',

  'governance.title': 'Governança de sessões',
  'governance.devOnly': 'Só em desenvolvimento: aqui se criam e encerram sessões sem certificado.',
  'governance.notDev':
    'Este servidor não está em modo de desenvolvimento; não há o que fazer aqui.',
  'governance.tenant': 'Identificador da organização',
  'governance.tenantInvalid': 'O identificador da organização é um UUID de 36 caracteres.',
  'governance.create': 'Criar sessão',
  'governance.field.title': 'Título',
  'governance.field.modality': 'Modalidade',
  'governance.field.moderation': 'Palavra',
  'governance.field.turn': 'Segundos por vez',
  'governance.field.autoStart': 'Dar a palavra ao aceitar, se estiver livre',
  'governance.field.max': 'Máximo de participantes',
  'governance.sessions': 'Sessões',
  'governance.none': 'Ainda não há sessões.',
  'governance.start': 'Iniciar',
  'governance.end': 'Encerrar',
  'governance.cancel': 'Cancelar',
  'governance.link.join': 'Entrar',
  'governance.link.console': 'Moderação',
  'governance.link.hall': 'Tela da sala',
  'governance.refresh': 'Atualizar',

  'signIn.title': 'Iniciar sessão',
  'signIn.waits': 'Conclua o início de sessão na outra janela…',
  'signIn.close': 'Pronto. Pode fechar esta janela e continuar na outra.',
  'renewal.said':
    'O seu acesso termina em breve e não pôde ser renovado. A sessão continua entretanto.',
  'renewal.signIn':
    'O seu acesso termina em {left}. Inicie sessão de novo: abre-se uma janela à parte e continua aqui, sem perder nada.',
  'renewal.away':
    'O serviço de identidade não responde. O seu acesso vale mais {left}; continua a tentar-se renová-lo. Também pode iniciar sessão.',
  'follower.waits': 'A sessão ainda não começou. Esta página entra sozinha assim que começar.',
  'mic.unplugged': 'O microfone foi desligado do aparelho',
  'mic.disconnected': 'Sem ligação à sessão',
  'mic.system_muted': 'O sistema silenciou o microfone',
  'mic.not_arriving': 'O seu som não chega',
  'mic.silent': 'O microfone não dá som',
  'mic.unheard.listening_only':
    'Ninguém o ouve: tem a palavra, mas sem microfone. Prima o botão do microfone.',
  'mic.unheard.unplugged':
    'Ninguém o ouve: o microfone foi desligado do aparelho. Ligue-o e prima o botão do microfone.',
  'mic.unheard.disconnected':
    'Ninguém o ouve: o servidor não responde. Espere que a ligação volte.',
  'mic.unheard.muted_by_moderator':
    'Ninguém o ouve: a moderação fechou o seu microfone. Espere que o permita.',
  'mic.unheard.off': 'Ninguém o ouve: tem a palavra com o microfone desligado. Ligue-o.',
  'mic.unheard.system_muted':
    'Ninguém o ouve: o sistema ou outro programa silenciou o microfone. Ative-o aí.',
  'mic.unheard.not_arriving':
    'Ninguém o ouve: o seu som não chega ao servidor. Volta a ligar-se sozinho; se demorar, recarregue a página.',
  'mic.unheard.silent':
    'Ninguém o ouve: não sai nenhum som do microfone. Verifique se está ligado, ou escolha outro.',
  'mic.said.unplugged': 'O microfone foi desligado do aparelho',
  'camera.said.unplugged': 'A câmara foi desligada do aparelho: ninguém vê a sua imagem',
  'screen.said.reload':
    'Ao recarregar a página deixou de partilhar o ecrã. Partilhe-o de novo se for preciso.',
  'undo.start_turn': 'A palavra foi dada',
  'undo.stop_turn': 'O turno terminou',
  'undo.approve_speech': 'Pedido aceite',
  'undo.deny_speech': 'Pedido recusado',
  'undo.cancel_speech': 'Pedido retirado da lista',
  'undo.remove_participant': 'Pessoa removida da sessão',
  'undo.set_moderation': 'O modo da palavra mudou',
  'undo.done': 'Desfeito: fica como estava, e consta que se desfez',
  'moderation.said.open':
    'A palavra é livre: todos podem falar. O seu microfone está desligado; ligue-o quando quiser falar.',
  'moderation.said.openChair':
    'A palavra é livre: todos podem falar. Os microfones ficam desligados até que cada um ligue o seu.',
  'moderation.said.moderated':
    'A palavra volta a ser moderada: só se ouve quem a tem e a moderação.',
  'console.openTitle': 'Deixar a palavra livre?',
  'console.openText':
    'Todos poderão falar sem pedir a palavra. Todos são avisados; os microfones ficam desligados até que cada um ligue o seu. Há {count, plural, one {uma pessoa} other {# pessoas}} na sessão.',
  'console.absentTitle': '{name} não está na sessão',
  'console.absentText':
    'Neste momento não tem ligação. Se lhe der a palavra, o tempo corre e ninguém fala. Pode esperar, ou dá-la na mesma.',
  'console.absentStart': 'Dá-la na mesma',
  'presence.away': 'sem ligação agora',
  'presence.absent': 'não está na sessão',
  'join.moderator': 'Modera esta sessão: entra na consola de moderação.',
  'join.console': 'Abrir a consola de moderação',
  'join.asParticipant': 'Entrar como participante, com câmara',
  'closed.removed.title': 'A moderação retirou-o da sessão',
  'closed.removed.text':
    'Já não pode ver nem ouvir a sessão. A sua participação e o momento ficam registados. Se acha que é um engano, fale com quem preside: pode readmiti-lo, e então entra com a mesma ligação.',
  'console.nextIs': 'A seguir: {name}',
  'console.search': 'Procurar por nome',
  'console.filter': 'Mostrar',
  'console.filter.all': 'Todas as pessoas',
  'console.filter.heard': 'Quem se ouve',
  'console.filter.muted': 'Microfone fechado',
  'console.filter.away': 'Sem ligação',
  'console.filter.hall': 'Sala',
  'console.nobodyFound': 'Ninguém corresponde.',
  'console.showAll': 'Mostrar {count, plural, one {uma pessoa} other {as # pessoas}}',
  'console.shortcutsOn': 'Usar atalhos de uma tecla',
  'console.justStarted':
    'A palavra acabou de ser dada: nada mais foi feito. Para passar à pessoa seguinte, prima de novo.',
  'console.shortcut.search': 'Procurar uma pessoa',
  'docs.title': 'Interface REST',
  'docs.intro': 'Versão {version}. A descrição está em inglês; a mesma, para programas:',
  'docs.search': 'Procurar uma rota',
  'person.noPicture': '{name}, sem imagem',
  'error.title': 'Algo deu errado',
  'error.NETWORK': 'O servidor não responde. Verifique sua conexão e tente de novo.',
  'error.NOT_CONNECTED': 'Agora não há conexão. Repita quando ela voltar.',
  'error.CONNECTION_LOST':
    'A conexão caiu antes da resposta. Veja se a ação foi feita e, se não, repita.',
  'error.TIMED_OUT':
    'O servidor não respondeu a tempo. Veja se a ação foi feita e, se não, repita.',
  'error.FORBIDDEN': 'O seu acesso não permite isto. Se deveria, fale com quem o convocou.',
  'error.SESSION_NOT_FOUND': 'Não existe essa sessão para você. Verifique se o link está completo.',
  'error.SESSION_STATE_CONFLICT':
    'A sessão não está em um estado que o permita. Atualize a página.',
  'error.SESSION_OVER': 'A sessão terminou.',
  'error.TOKEN_EXPIRED': 'O seu acesso expirou. Entre de novo.',
  'error.TOKEN_INVALID': 'O servidor não reconhece o seu acesso. Entre de novo pelo seu link.',
  'error.DPOP_PROOF_INVALID':
    'O servidor não aceitou a prova do seu navegador. Verifique a hora do dispositivo e recarregue a página.',
  'error.SESSION_LIMIT_REACHED': 'A organização já tem abertas todas as sessões que pode.',
  'error.PARTICIPANT_LIMIT_REACHED': 'A sessão está cheia. Espere alguém sair e tente de novo.',
  'error.BITRATE_LIMIT_REACHED':
    'A organização usa toda a sua largura de banda. Desligue a câmera e tente de novo.',
  'error.DECISION_STALE':
    'Algo mudou antes de a sua decisão chegar e nada foi feito. Veja de novo e decida.',
  'error.ACTION_NOT_FOUND': 'Não há nada para desfazer.',
  'error.UNDO_TOO_LATE': 'É tarde demais para desfazer isto.',
  'error.LAST_MODERATOR': 'É a última pessoa que modera na sala e não pode ser retirada.',
  'error.RATE_LIMITED': 'Pedidos demais seguidos. Espere um momento e tente de novo.',
  'error.DEPENDENCY_UNAVAILABLE':
    'Um serviço do qual isto depende não responde. Tente de novo em um momento.',
  'error.QUEUE_CLOSED': 'A lista está fechada: agora não se aceitam pedidos. Espere que abra.',
  'error.QUEUE_FULL': 'A lista está cheia. Tente quando alguém tiver falado.',
  'error.ALREADY_WAITING': 'Você já espera com um pedido deste tipo.',
  'error.REQUEST_NOT_FOUND': 'Esse pedido já não espera: foi atendido ou retirado.',
  'error.QUEUE_EMPTY': 'Ninguém espera na lista.',
  'error.NO_TURN': 'Ninguém tem a palavra agora.',
  'error.TURN_STATE_CONFLICT': 'A vez já mudou. Veja como está agora.',
  'error.NOT_YOUR_TURN': 'Você já não tem a palavra.',
  'error.TURN_LIMIT_REACHED': 'A vez seria mais longa do que a sessão permite.',
  'error.ORDER_INVALID': 'A lista mudou enquanto a ordenava. Tente de novo.',
  'error.PARTICIPANT_NOT_FOUND': 'Essa pessoa já não está na sessão.',
  'error.TRACK_LIMIT_REACHED':
    'A sessão não aceita mais imagens ou sons seus. Deixe de enviar algo e tente de novo.',
  'error.UNPROCESSABLE_REQUEST': 'Algum dado não é válido. Revise-o e tente de novo.',
  'error.RECORDING_STATE_CONFLICT': 'A gravação já mudou de estado. Veja como está agora.',
  'error.SIGN_IN_REQUIRED': 'É preciso iniciar sessão para continuar. Prima o botão para o fazer.',
  'error.SIGN_IN_LOOP':
    'Tentou-se iniciar sessão várias vezes seguidas sem êxito. Verifique se o navegador permite guardar dados desta página e prima o botão.',
  'error.SIGN_IN_WINDOW':
    'A janela para iniciar sessão não voltou ou o navegador não a abriu. Permita as janelas desta página e aperte o botão de novo.',
  'error.SIGN_IN_CANCELLED':
    'Você deixou de iniciar sessão. Aperte o botão quando quiser tentar de novo.',
  'error.SIGN_IN_REFUSED':
    'O serviço de identidade não deu acesso. Inicie sessão de novo; se se repetir, avise quem o convidou.',
  'error.SIGN_IN_UNAVAILABLE':
    'O serviço de identidade não responde. Espere um momento e tente de novo.',
  'error.SIGN_IN_MISSING':
    'Este servidor não indica onde iniciar sessão. Use a ligação do seu convite ou avise quem o convidou.',
  'error.INSECURE_PAGE':
    'A página não chegou por uma ligação segura, e o navegador não deixa entrar assim. Abra a ligação que começa por https.',
  'error.PAGE_FAILED':
    'A página falhou. Recarregue-a; nada se perde. Se se repetir, avise quem o ajuda.',
  'error.MALFORMED_REQUEST':
    'O servidor não entendeu o que a página enviou. Recarregue-a e tente de novo.',
  'error.PAYLOAD_TOO_LARGE': 'O que foi enviado é demasiado grande e não foi aceite. Envie menos.',
  'error.UNSUPPORTED_MEDIA_TYPE':
    'O servidor não aceita este tipo de dados. Recarregue a página e tente de novo.',
  'error.METHOD_NOT_ALLOWED': 'A página e o servidor não são da mesma versão. Recarregue a página.',
  'error.ROUTE_NOT_FOUND':
    'Isso não existe neste servidor. Verifique se a ligação está completa e recarregue a página.',
  'error.CREDENTIALS_MISSING': 'Não iniciou sessão. Entre de novo pela sua ligação.',
  'error.TOKEN_BOUND':
    'O seu acesso pertence a outro navegador. Entre de novo pela sua ligação neste.',
  'error.DPOP_PROOF_REPLAYED':
    'A página enviou o mesmo duas vezes e a segunda não foi aceite. Veja se já está feito e, se não, repita.',
  'error.DPOP_NONCE_REQUIRED':
    'O servidor pediu uma prova mais recente do seu navegador. Tente de novo.',
  'error.RESUME_TOKEN_INVALID':
    'A ligação anterior já não existe. A página entra de novo sozinha; se não, recarregue-a.',
  'error.CLIENT_CERTIFICATE_REQUIRED':
    'Só os serviços da organização podem fazer isto, não as pessoas. Peça a quem a administra.',
  'error.VERSION_CONFLICT':
    'Outra pessoa mudou isto entretanto, por isso nada foi guardado. Recarregue a página e repita a sua alteração.',
  'error.PRECONDITION_REQUIRED':
    'A página não disse que versão altera, por isso nada foi guardado. Recarregue-a e repita a sua alteração.',
  'error.IDEMPOTENCY_KEY_REUSED':
    'O que foi pedido não coincide com o pedido anterior. Recarregue a página e tente de novo.',
  'error.IDEMPOTENCY_KEY_IN_USE':
    'O mesmo já está a ser feito. Espere um momento e veja se está feito.',
  'error.INTERNAL':
    'O servidor falhou ao fazer isto. Veja se está feito e, se não, repita; se voltar a falhar, avise quem o ajuda, com a hora.',
  'error.PROVIDER_UNSUPPORTED':
    'Esta sessão decorre noutro serviço de vídeo. Use a ligação do seu convite.',
  'error.REQUEST_STATE_CONFLICT':
    'Esse pedido já foi aceite, ou ainda não. Veja a lista e decida de novo.',
  'error.SDP_INVALID':
    'O seu navegador e o servidor não se entenderam sobre o som ou a imagem. Recarregue a página; se se repetir, experimente outro navegador.',
  'error.SIGNALLING_STATE_CONFLICT':
    'O som ou a imagem mudaram dos dois lados ao mesmo tempo. Recarregue a página se não se resolver sozinho.',
  'error.TRACK_NOT_FOUND': 'Essa imagem ou esse som já não é enviado. Não é preciso fazer nada.',
  'error.MEDIA_RESOURCE_NOT_FOUND':
    'Essa ligação de imagem e som já não existe. Ligue o aparelho de novo.',
  'error.RECORDING_NOT_FOUND':
    'Disto não há gravação. Verifique se a ligação é a da sessão que procura.',
  'error.RECORDING_ERASED':
    'A gravação foi apagada e já não pode ser vista. A sua prova continua válida: pode verificá-la.',
  'error.PLAYBACK_TOKEN_FORMAT_INVALID':
    'O endereço da gravação está incompleto. Abra-a a partir da página da gravação.',
  'error.PLAYBACK_TOKEN_SIGNATURE_INVALID':
    'O endereço da gravação foi alterado e não é válido. Abra-a a partir da página da gravação.',
  'error.PLAYBACK_TOKEN_EXPIRED':
    'O endereço da gravação expirou. Recarregue a página da gravação para obter outro.',
  'error.RANGE_NOT_SATISFIABLE':
    'Foi pedida uma parte que o ficheiro não tem. Recarregue a página.',
  'error.MEDIA_TOKEN_NOT_FOUND':
    'Esse acesso para um aparelho já não existe: expirou ou foi retirado. Crie outro.',
  'error.MEDIA_TOKEN_LIMIT_REACHED':
    'Esta sessão não aceita mais acessos para aparelhos. Retire algum que não se use.',
  'error.ATTENDANCE_FULL': 'A lista de presenças está cheia. Avise quem administra a sessão.',
  'error.CAMERA_LIMIT_REACHED':
    'A organização tem todas as câmaras que pode. Retire uma para acrescentar outra.',
  'error.CAMERA_NOT_FOUND': 'Essa câmara não existe ou foi retirada. Escolha outra da lista.',
  'error.CAMERA_SOURCE_INVALID':
    'O endereço da câmara não é válido. Verifique se começa por rtsp e está completo.',
  'error.CAMERA_SOURCE_REFUSED':
    'O endereço da câmara está numa rede a que não é permitido chegar. Peça a quem gere o servidor que a permita.',
  'error.CAPTURE_SESSION_CONFLICT':
    'Essa captura já existe com outros dados ou já terminou. Comece outra.',
  'error.CAPTURE_SESSION_NOT_FOUND': 'Essa captura não existe. Verifique o identificador.',
  'error.DELEGATION_CONFLICT':
    'Essa unidade já está delegada, já não está ou é da própria pessoa. Veja a lista.',
  'error.DELEGATION_LIMIT_REACHED':
    'Representaria mais unidades do que pode. Escolha menos, ou outra pessoa.',
  'error.ELIGIBLE_LIST_FIXED':
    'A lista de quem pode assistir já está fixada e não muda. Fale com quem convocou a sessão.',
  'error.ELIGIBLE_LIST_UNKNOWN':
    'Ainda não se conhece a lista de quem pode assistir. Espere um momento e tente de novo.',
  'error.EVENT_STREAM_LIMIT_REACHED':
    'Há demasiados programas a ler os acontecimentos ao mesmo tempo. Feche algum e tente de novo.',
  'error.EVENTS_EXPIRED':
    'Os acontecimentos pedidos são demasiado antigos e já não se guardam. Comece a partir de agora.',
  'error.NOT_ELIGIBLE':
    'Esta pessoa não está na lista de quem pode assistir. Verifique o nome ou fale com quem convocou.',
  'error.NOT_PRESENT': 'Esta pessoa não consta como presente. Registe-a primeiro.',
  'error.PLAYBACK_TOKEN_MISSING':
    'Falta o acesso no endereço do vídeo. Abra-o a partir da página que o mostra.',
  'error.PLAYBACK_TOKEN_PAYLOAD_INVALID':
    'O acesso ao vídeo não é válido. Abra-o de novo a partir da página que o mostra.',
  'error.PLAYBACK_SESSION_CLOSED':
    'A sua autorização para ver esta câmara terminou. Peça uma nova.',
  'error.PLAYBACK_STREAM_NOT_FOUND': 'Esta câmara não é conhecida.',
  'error.PLAYBACK_STREAM_NOT_READY': 'A câmara ainda não tem nada para mostrar. Tenta-se de novo.',
  'error.PLAYBACK_STREAM_STOPPED': 'A câmara já não é mostrada.',
  'error.PLAYBACK_MANIFEST_NOT_FOUND': 'Não há tal lista de imagens da câmara.',
  'error.PLAYBACK_SEGMENT_NOT_FOUND': 'Estas imagens da câmara já não são guardadas.',
  'error.PLAYBACK_TOKEN_SCOPE_MISMATCH':
    'O acesso é de outra câmara. Abra-o a partir da página da que quer ver.',
  'error.PROOF_EXPIRED': 'O código expirou. Peça outro e apresente-o logo.',
  'error.PROOF_INVALID': 'O código não é válido. Verifique-o ou peça outro.',
  'error.PROOF_REPLAYED': 'Esse código já foi usado. Peça outro.',
  'error.PROOF_WRONG_CONTEXT':
    'Esse código é de outra sessão ou de outra pessoa. Use o que recebeu para esta.',
  'error.QUORUM_CALL_CONFLICT': 'Esta sessão não tem segunda convocatória, ou ela já começou.',
  'error.SESSION_TRANSITION_INVALID':
    'A reprodução não está num estado que o permita. Abra-a de novo.',
  'error.STREAM_LIMIT_REACHED':
    'A organização tem abertas todas as emissões que pode. Feche uma e tente de novo.',
  'error.STREAM_NOT_ENTITLED':
    'A organização não tem direito a emissões. Fale com quem a administra.',
  'error.STREAM_SESSION_NOT_FOUND': 'Essa emissão não existe ou já terminou. Abra-a de novo.',
  'error.TENANT_SUSPENDED':
    'A organização está suspensa e não pode fazer isto. Fale com quem a administra.',
  'error.UNIT_NOT_FOUND': 'Essa unidade não está na lista. Verifique como se chama.',
  'error.other':
    'O servidor não conseguiu fazer isto. Tente de novo; se se repetir, diga a quem o ajuda o que fazia e a que horas.',
};
