/** Spanish: the catalogue that the others are held against. */
export const es = {
  'app.name': 'Cabildo',
  'language.label': 'Idioma',
  'common.close': 'Cerrar',
  'common.cancel': 'Cancelar',
  'common.retry': 'Reintentar',
  'common.undo': 'Deshacer',
  'common.send': 'Enviar',
  'common.loading': 'Cargando…',
  'common.you': 'Usted',
  'common.youSuffix': '{name} (usted)',
  'common.copy': 'Copiar',
  'common.copied': 'Copiado',

  'start.title': 'Entrar en una asamblea',
  'start.intro': 'Use el enlace de su convocatoria o escriba el identificador de la sesión.',
  'start.session': 'Identificador de la sesión',
  'start.go': 'Continuar',
  'start.invalid':
    'Eso no es un identificador de sesión. Cópielo entero de la convocatoria: son 36 caracteres, con guiones.',
  'start.recent': 'Sus sesiones',
  'start.none': 'Este navegador todavía no ha entrado en ninguna sesión.',
  'start.governance': 'Página de gobierno (desarrollo)',

  'session.status.scheduled': 'Programada',
  'session.status.active': 'En curso',
  'session.status.completed': 'Terminada',
  'session.status.cancelled': 'Cancelada',
  'session.modality.virtual': 'Virtual',
  'session.modality.in_person': 'Presencial',
  'session.modality.mixed': 'Mixta',
  'session.moderation.open': 'Palabra libre',
  'session.moderation.moderated': 'Palabra moderada',
  'session.startsAt': 'Empieza: {when}',
  'session.recorded':
    'La política de esta sesión prevé grabarla. La grabación se conserva {days, plural, one {un día} other {# días}}.',
  'session.transcribed': 'La política de esta sesión prevé transcribirla.',

  'join.title': 'Antes de entrar',
  'join.join': 'Entrar',
  'join.notStarted':
    'La sesión aún no ha empezado. Esta página entrará cuando usted lo pida y haya empezado.',
  'join.over': 'La sesión ha terminado. Ya no se puede entrar.',
  'join.camera': 'Cámara',
  'join.microphone': 'Micrófono',
  'join.loudspeaker': 'Altavoz',
  'join.cameraOff': 'La cámara está apagada',
  'join.noCamera': 'Sin cámara',
  'join.default': 'El habitual',
  'join.deviceN': 'Dispositivo {n}',
  'join.level': 'Nivel del micrófono',
  'join.levelHint': 'Diga algo: la barra debe moverse.',
  'join.muted': 'Entrar con el micrófono apagado',
  'join.video': 'Entrar con la cámara encendida',
  'join.listenOnly': 'Entrar sólo para escuchar',
  'join.observer': 'Usted entra como observador: verá y oirá, sin micrófono ni cámara.',
  'join.dev': 'Servidor de desarrollo: elija quién es',
  'join.name': 'Su nombre',
  'join.role': 'Entra como',
  'join.tenant': 'Identificador de la organización',
  'join.noSession':
    'Falta la sesión en el enlace. Pida el enlace completo o escriba el identificador.',
  'role.participant': 'Participante',
  'role.moderator': 'Moderación',
  'role.observer': 'Observador',
  'role.hall': 'Sala',
  'role.operator': 'Operación',
  'role.auditor': 'Auditoría',
  'role.recorder': 'Grabación',

  'recording.running': 'Se graba',
  'recording.paused': 'Grabación en pausa',
  'recording.running.long': 'Esta sesión se está grabando',
  'recording.paused.long': 'La grabación está en pausa',
  'recording.said.started': 'Esta sesión se está grabando',
  'recording.said.paused': 'La grabación está en pausa: ahora no se graba',
  'recording.said.stopped': 'La grabación ha terminado: ya no se graba',
  'recording.banner.title': 'Esta sesión se graba',
  'recording.banner.what': 'Se graban el sonido, la imagen y las decisiones de la sesión.',
  'recording.banner.kept':
    'La grabación se guarda cifrada y se borra {days, plural, =0 {al terminar} one {un día después de terminar} other {# días después de terminar}}.',
  'recording.banner.who':
    'Sólo pueden verla la moderación y la auditoría de su organización, y cada consulta queda anotada.',
  'recording.banner.proof': 'Cualquiera puede comprobar que no se ha alterado.',
  'recording.banner.verify': 'Cómo se comprueba',
  'recording.banner.understand': 'Entendido',
  'recording.banner.leave': 'Salir',
  'recording.console': 'Grabación',
  'recording.start': 'Grabar',
  'recording.resume': 'Seguir grabando',
  'recording.pause': 'Pausar la grabación',
  'recording.stop': 'Terminar la grabación',
  'recording.stopped': 'No se graba',
  'recording.stop.title': '¿Terminar la grabación?',
  'recording.stop.text':
    'Lo que se diga a partir de ahora no quedará grabado. Lo grabado hasta aquí se conserva. Todos lo verán.',

  'witness.count': 'Registro atestiguado: {count, plural, one {una entrada} other {# entradas}}',
  'witness.failed': 'El registro de la sesión no cuadra',
  'witness.title': 'Este navegador es testigo',
  'witness.explain':
    'Su navegador comprueba la firma del registro de la sesión y guarda una prueba. Si alguien reescribiera el registro más tarde, aunque fuera quien lleva el servidor, esta prueba lo descubriría.',
  'witness.at': 'Última comprobación: {when}',
  'witness.never': 'Todavía no se ha podido comprobar que el registro continúa el anterior.',
  'witness.save': 'Guardar la prueba',
  'witness.verify': 'Comprobar la grabación',
  'witness.failedText':
    'El servidor ha enviado un registro que contradice el que este navegador guardó ({code}). Guarde la prueba y avise a quien preside la sesión: puede ser un fallo grave o una manipulación.',
  'witness.said.failed':
    'Aviso: el registro de la sesión no cuadra con el que este navegador guardó',

  'device.microphone.denied':
    'El navegador no permite usar el micrófono. Toque el candado o el icono junto a la dirección, permita el micrófono y pulse Reintentar.',
  'device.microphone.missing': 'No se encuentra ningún micrófono. Conéctelo y pulse Reintentar.',
  'device.microphone.busy': 'Otro programa usa el micrófono. Ciérrelo y pulse Reintentar.',
  'device.microphone.insecure':
    'El navegador oculta el micrófono porque la página no llegó por una conexión segura. Abra el enlace que empieza por https.',
  'device.microphone.failed':
    'El micrófono no arrancó. Desconéctelo y vuelva a conectarlo, y pulse Reintentar.',
  'device.camera.denied':
    'El navegador no permite usar la cámara. Toque el candado o el icono junto a la dirección, permita la cámara y pulse Reintentar.',
  'device.camera.missing': 'No se encuentra ninguna cámara. Puede entrar sin ella.',
  'device.camera.busy':
    'Otro programa usa la cámara. Ciérrelo y pulse Reintentar, o entre sin ella.',
  'device.camera.insecure':
    'El navegador oculta la cámara porque la página no llegó por una conexión segura. Abra el enlace que empieza por https.',
  'device.camera.failed': 'La cámara no arrancó. Puede entrar sin ella.',
  'device.screen.denied': 'No se compartió la pantalla: el navegador o usted no dio permiso.',
  'device.screen.failed': 'El navegador no pudo compartir la pantalla.',

  'connection.connecting': 'Conectando…',
  'connection.open': 'Conectado',
  'connection.good': 'Conexión buena',
  'connection.fair': 'Conexión regular',
  'connection.poor': 'Conexión mala',
  'connection.reconnecting':
    'Sin conexión desde hace {seconds, plural, one {un segundo} other {# segundos}}. Reconectando…',
  'connection.restored': 'Conexión recuperada. No se ha perdido nada.',
  'connection.hear': 'Toque para oír',
  'connection.hearWhy': 'El navegador espera un toque antes de reproducir sonido.',

  'closed.left.title': 'Ha salido de la sesión',
  'closed.left.text': 'Puede volver a entrar mientras la sesión siga en curso.',
  'closed.forbidden.title': 'No puede estar en esta sesión',
  'closed.forbidden.text':
    'La moderación le ha retirado de la sesión, o su acceso no la incluye. Hable con quien le convocó.',
  'closed.not_found.title': 'No hay tal sesión',
  'closed.not_found.text':
    'El enlace no corresponde a ninguna sesión abierta. Compruebe que está completo.',
  'closed.replaced.title': 'La sesión sigue en otra ventana',
  'closed.replaced.text':
    'Esta conexión fue continuada desde otra ventana. Puede seguir allí, o volver a entrar aquí.',
  'closed.over.title': 'La sesión ha terminado',
  'closed.over.text': 'Gracias por participar. Puede cerrar esta página.',
  'closed.sign_in_required.title': 'Hay que identificarse de nuevo',
  'closed.sign_in_required.text': 'Su acceso ha caducado y no se pudo renovar. Vuelva a entrar.',
  'closed.rejoin': 'Volver a entrar',

  'floor.nobody': 'Nadie tiene la palabra',
  'floor.speaking': 'Tiene la palabra',
  'floor.paused': 'Turno en pausa',
  'floor.youSpeak': 'Tiene usted la palabra',
  'floor.youPaused': 'Su turno está en pausa',
  'floor.youInterrupted': 'Su turno espera a que acabe una pregunta',
  'floor.inHall': 'en la sala',
  'floor.timeLeft': 'Tiempo restante',
  'floor.timeOver': 'Tiempo excedido',
  'floor.interrupted': 'Espera: {name}',
  'floor.said.started': '{name} tiene la palabra',
  'floor.said.ended': '{name} ha terminado',
  'floor.said.paused': 'El turno de {name} está en pausa',
  'floor.said.mine': 'Tiene usted la palabra: puede hablar',
  'floor.said.mineEnded': 'Su turno ha terminado',
  'floor.said.warning': 'Quedan {seconds} segundos',
  'floor.said.approved': 'Su petición fue aceptada: está en la lista',
  'floor.said.denied': 'Su petición de palabra no fue aceptada',
  'floor.said.deniedReason': 'Su petición de palabra no fue aceptada: {reason}',
  'floor.said.muted': 'La moderación ha cerrado su micrófono',
  'floor.said.unmuted': 'La moderación ha abierto su micrófono',

  'ask.button': 'Pedir la palabra',
  'ask.more': 'Elegir tipo y nota',
  'ask.title': 'Pedir la palabra',
  'ask.kind': 'Para qué',
  'ask.note': 'Nota para la moderación (opcional)',
  'ask.stance': 'Postura (opcional)',
  'ask.closed': 'La lista está cerrada',
  'ask.withdraw': 'Retirar mi petición',
  'ask.end': 'Terminar mi turno',
  'ask.sent': 'Petición enviada: la moderación debe aceptarla',
  'kind.normal': 'Intervenir sobre el asunto',
  'kind.point_of_order': 'Cuestión de orden',
  'kind.intervention': 'Réplica',
  'kind.interposed_question': 'Pregunta al orador',
  'kind.short.normal': 'Palabra',
  'kind.short.point_of_order': 'Orden',
  'kind.short.intervention': 'Réplica',
  'kind.short.interposed_question': 'Pregunta',
  'stance.none': 'Sin indicar',
  'stance.pro': 'A favor',
  'stance.contra': 'En contra',
  'stance.neutral': 'Neutral',

  'place.none': 'No está en la lista',
  'place.requested': 'Esperando a la moderación',
  'place.next': 'Es el siguiente',
  'place.waiting': '{ahead, plural, one {Una persona antes} other {# personas antes}} que usted',

  'mic.listening_only': 'Sólo escucha',
  'mic.off': 'Micrófono apagado',
  'mic.open': 'Se le oye',
  'mic.muted_by_moderator': 'Cerrado por la moderación',
  'mic.closed_by_floor': 'Encendido, pero sin la palabra: no se le oye',
  'mic.turnOn': 'Encender micrófono',
  'mic.turnOff': 'Apagar micrófono',
  'mic.add': 'Activar micrófono',
  'camera.turnOn': 'Encender cámara',
  'camera.turnOff': 'Apagar cámara',
  'screen.share': 'Compartir pantalla',
  'screen.stop': 'Dejar de compartir',
  'layout.grid': 'Ver en cuadrícula',
  'layout.speaker': 'Ver a quien habla',
  'meeting.leave': 'Salir',
  'meeting.controls': 'Controles',
  'meeting.stage': 'Imagen',
  'meeting.others': 'Otras imágenes',
  'meeting.noPicture': 'Sin imagen',
  'meeting.screenOf': 'Pantalla de {name}',
  'meeting.pictureOf': 'Imagen de {name}',
  'meeting.stale': 'Última imagen recibida',
  'meeting.floor': 'La palabra',

  'chat.title': 'Mensajes',
  'chat.input': 'Escriba un mensaje',
  'chat.empty': 'Todavía no hay mensajes.',
  'chat.unread': '{count, plural, one {1 mensaje nuevo} other {# mensajes nuevos}}',
  'people.title': 'Participantes',
  'people.count': '{count, plural, one {una persona} other {# personas}}',
  'people.notice.moderator': 'Se parece al nombre de quien modera, pero es otra persona',
  'people.notice.reserved': 'Se parece a un nombre oficial',
  'people.away': 'reconectando',
  'people.audio': 'micrófono encendido',
  'people.noAudio': 'micrófono apagado',
  'people.video': 'cámara encendida',
  'people.screen': 'comparte pantalla',
  'people.muted': 'cerrado por la moderación',
  'people.heard': 'se le oye',
  'people.speaking': 'hablando',

  'console.title': 'Moderación',
  'console.turn': 'Turno',
  'console.start': 'Dar la palabra al siguiente',
  'console.startThis': 'Dar la palabra a {name}',
  'console.pause': 'Pausar',
  'console.resume': 'Reanudar',
  'console.stop': 'Retirar la palabra',
  'console.extend': '+{seconds} s',
  'console.extendName': 'Añadir {seconds} segundos',
  'console.requested': 'Piden la palabra',
  'console.queue': 'Lista de palabra',
  'console.noRequests': 'Nadie espera decisión.',
  'console.emptyQueue': 'La lista está vacía.',
  'console.approve': 'Aceptar',
  'console.deny': 'Rechazar',
  'console.denyTitle': 'Rechazar la petición de {name}',
  'console.reason': 'Motivo (opcional, lo verá la persona)',
  'console.denying': 'Se rechaza a {name}',
  'console.removing': 'Se retira a {name}',
  'console.withdrawName': 'Quitar a {name} de la lista',
  'console.up': 'Subir a {name}',
  'console.down': 'Bajar a {name}',
  'console.drag': 'Arrastre para ordenar',
  'console.waits': 'espera {time}',
  'console.turns':
    '{count, plural, =0 {aún no ha hablado} one {un turno antes} other {# turnos antes}}',
  'console.openQueue': 'Abrir la lista',
  'console.closeQueue': 'Cerrar la lista',
  'console.queueOpen': 'La lista está abierta',
  'console.queueClosed': 'La lista está cerrada',
  'console.setModerated': 'Pasar a palabra moderada',
  'console.setOpen': 'Pasar a palabra libre',
  'console.mute': 'Cerrar micrófono',
  'console.unmute': 'Permitir micrófono',
  'console.removeName': 'Retirar a {name} de la sesión',
  'console.admit': 'Readmitir',
  'console.removed': 'Retirados',
  'console.hallSpeaker': 'Persona en la sala',
  'console.hallName': 'Nombre de la persona en la sala',
  'console.addHall': 'Añadir a la lista',
  'console.shortcuts': 'Atajos de teclado',
  'console.notModerator': 'Esta página es para la moderación. Su acceso no la incluye.',
  'console.moved': '{name}: puesto {place} de {count}',
  'console.listen': 'Oír la sesión',
  'console.shortcut.next': 'Dar la palabra al siguiente',
  'console.shortcut.pause': 'Pausar o reanudar el turno',
  'console.shortcut.stop': 'Retirar la palabra',
  'console.shortcut.extend30': 'Añadir 30 segundos',
  'console.shortcut.extend60': 'Añadir 60 segundos',
  'console.shortcut.approve': 'Aceptar la primera petición',
  'console.shortcut.deny': 'Rechazar la primera petición',
  'console.shortcut.queue': 'Abrir o cerrar la lista',
  'console.shortcut.hall': 'Añadir una persona de la sala',
  'console.shortcut.chat': 'Ir a los mensajes',
  'console.shortcut.undo': 'Deshacer',
  'console.shortcut.move': 'En una fila de la lista: subir o bajar',
  'console.shortcut.help': 'Mostrar esta ayuda',

  'hall.next': 'A continuación',
  'hall.nobodyNext': 'Nadie espera',
  'hall.waiting': 'Esperando el inicio',

  'quorum.reached': 'Hay quórum',
  'quorum.notReached': 'Sin quórum',
  'quorum.unknown': 'Quórum sin contar',
  'quorum.unknownText':
    'No se conoce todavía la lista de quienes pueden asistir. Sin ella nadie cuenta para el quórum.',
  'quorum.heads': 'Personas: {present} de {total} ({percent})',
  'quorum.weight': 'Coeficiente: {present} de {total} ({percent})',
  'quorum.short.heads': '{percent} de las personas',
  'quorum.short.weight': '{percent} del coeficiente',
  'quorum.hall.heads': '{present} de {total} personas',
  'quorum.hall.weight': '{percent} del coeficiente',
  'quorum.needsMore': 'hace falta más del {share}',
  'quorum.needsAtLeast': 'hace falta el {share} como mínimo',
  'quorum.since': 'Desde las {time}',
  'quorum.lostSince': 'Sin quórum desde las {time}',
  'quorum.call.first': 'Primera convocatoria',
  'quorum.call.second': 'Segunda convocatoria',
  'quorum.history': 'Historial del quórum',
  'quorum.never': 'El quórum no se ha alcanzado todavía.',
  'quorum.wasReached': 'Alcanzado',
  'quorum.wasLost': 'Perdido',
  'quorum.then':
    'con {heads, plural, one {una persona} other {# personas}} y {weight} de coeficiente',
  'quorum.secondCall': 'Pasar a segunda convocatoria',
  'quorum.secondCallTitle': '¿Pasar a segunda convocatoria?',
  'quorum.secondCallText':
    'Desde ahora cuenta el quórum de la segunda convocatoria, que suele pedir menos. No se puede volver a la primera y queda constancia.',
  'quorum.said.reached': 'Se ha alcanzado el quórum.',
  'quorum.said.lost': 'Se ha perdido el quórum.',

  'attendance.title': 'Historial de cada persona',
  'attendance.present': 'Presente',
  'attendance.left': 'Salió',
  'attendance.absent': 'Sin asistencia',
  'attendance.method.qr': 'código QR',
  'attendance.method.biometric': 'biometría',
  'attendance.method.code': 'código por SMS o correo',
  'attendance.method.manual': 'registro en la puerta',
  'attendance.method.channel': 'conexión a la sesión',
  'attendance.place.hall': 'en la sala',
  'attendance.place.remote': 'a distancia',
  'attendance.weight': 'Coeficiente {weight}',
  'attendance.units': '{count, plural, one {una unidad} other {# unidades}}',
  'attendance.represents': 'Representa: {units}',
  'attendance.notListed': 'No figura en la lista',
  'attendance.loading': 'Leyendo la lista de asistencia…',
  'attendance.failed': 'No se pudo leer la lista de asistencia. {why}',
  'attendance.desk': 'Mesa de registro',
  'attendance.report': 'Ver su historial',
  'console.filter.present': 'Presentes (también en la sala)',
  'console.filter.unproven': 'Conectadas sin asistencia',
  'console.filter.left': 'Han salido',

  'attend.title': 'Confirmar mi asistencia',
  'attend.missing':
    'Todavía no cuenta como presente: en esta sesión hay que confirmar la asistencia con un código.',
  'attend.inHall': 'Estoy en la sala: confirmar mi asistencia sin entrar',

  'governance.title': 'Gobierno de sesiones',
  'governance.devOnly': 'Sólo en desarrollo: aquí se crean y terminan sesiones sin certificado.',
  'governance.notDev': 'Este servidor no está en modo de desarrollo; aquí no hay nada que hacer.',
  'governance.tenant': 'Identificador de la organización',
  'governance.tenantInvalid': 'El identificador de la organización es un UUID de 36 caracteres.',
  'governance.create': 'Crear sesión',
  'governance.field.title': 'Título',
  'governance.field.modality': 'Modalidad',
  'governance.field.moderation': 'Palabra',
  'governance.field.turn': 'Segundos por turno',
  'governance.field.autoStart': 'Dar la palabra al aceptar si está libre',
  'governance.field.max': 'Máximo de participantes',
  'governance.sessions': 'Sesiones',
  'governance.none': 'Todavía no hay sesiones.',
  'governance.start': 'Iniciar',
  'governance.end': 'Terminar',
  'governance.cancel': 'Cancelar',
  'governance.link.join': 'Entrar',
  'governance.link.console': 'Moderación',
  'governance.link.hall': 'Pantalla de sala',
  'governance.refresh': 'Actualizar',

  'signIn.title': 'Iniciar sesión',
  'signIn.waits': 'Complete el inicio de sesión en la otra ventana…',
  'signIn.close': 'Ya está. Puede cerrar esta ventana y seguir en la otra.',
  'renewal.said':
    'Su acceso termina pronto y no se ha podido renovar. La sesión sigue mientras tanto.',
  'renewal.signIn':
    'Su acceso termina en {left}. Inicie sesión de nuevo: se abre una ventana aparte y usted sigue aquí, sin perder nada.',
  'renewal.away':
    'El servicio de identidad no responde. Su acceso vale {left} más; se sigue intentando renovarlo. Puede iniciar sesión usted.',
  'follower.waits': 'La sesión todavía no ha empezado. Esta página entra sola en cuanto empiece.',
  'mic.unplugged': 'El micrófono se ha desconectado',
  'mic.disconnected': 'Sin conexión con la sesión',
  'mic.system_muted': 'El sistema ha silenciado el micrófono',
  'mic.not_arriving': 'Su sonido no llega',
  'mic.silent': 'El micrófono no da sonido',
  'mic.unheard.listening_only':
    'Nadie le oye: tiene la palabra, pero sin micrófono. Pulse el botón del micrófono.',
  'mic.unheard.unplugged':
    'Nadie le oye: el micrófono se ha desconectado. Conéctelo y pulse el botón del micrófono.',
  'mic.unheard.disconnected':
    'Nadie le oye: el servidor no responde. Espere a que vuelva la conexión.',
  'mic.unheard.muted_by_moderator':
    'Nadie le oye: la moderación ha cerrado su micrófono. Espere a que lo permita.',
  'mic.unheard.off': 'Nadie le oye: tiene la palabra con el micrófono apagado. Enciéndalo.',
  'mic.unheard.system_muted':
    'Nadie le oye: el sistema u otro programa ha silenciado el micrófono. Actívelo allí.',
  'mic.unheard.not_arriving':
    'Nadie le oye: su sonido no llega al servidor. Se vuelve a conectar solo; si tarda, recargue la página.',
  'mic.unheard.silent':
    'Nadie le oye: del micrófono no sale ningún sonido. Compruebe que está enchufado y encendido, o elija otro.',
  'mic.said.unplugged': 'El micrófono se ha desconectado',
  'camera.said.unplugged': 'La cámara se ha desconectado: nadie ve su imagen',
  'screen.said.reload':
    'Al recargar la página dejó de compartir la pantalla. Compártala otra vez si hace falta.',
  'undo.start_turn': 'Se ha dado la palabra',
  'undo.stop_turn': 'El turno ha terminado',
  'undo.approve_speech': 'Petición aceptada',
  'undo.deny_speech': 'Petición rechazada',
  'undo.cancel_speech': 'Petición retirada de la lista',
  'undo.remove_participant': 'Persona expulsada de la sesión',
  'undo.set_moderation': 'El modo de la palabra ha cambiado',
  'undo.done': 'Deshecho: queda como estaba, y consta que se deshizo',
  'moderation.said.open':
    'La palabra es libre: todos pueden hablar. Su micrófono está apagado; enciéndalo cuando quiera hablar.',
  'moderation.said.openChair':
    'La palabra es libre: todos pueden hablar. Los micrófonos siguen apagados hasta que cada uno encienda el suyo.',
  'moderation.said.moderated':
    'La palabra vuelve a estar moderada: solo se oye a quien la tiene y a la moderación.',
  'console.openTitle': '¿Dejar la palabra libre?',
  'console.openText':
    'Todos podrán hablar sin pedir la palabra. Se avisa a todos; los micrófonos siguen apagados hasta que cada uno encienda el suyo. Hay {count, plural, one {una persona} other {# personas}} en la sesión.',
  'console.absentTitle': '{name} no está en la sesión',
  'console.absentText':
    'Ahora mismo no tiene conexión. Si le da la palabra, el tiempo corre y nadie habla. Puede esperar o dársela de todos modos.',
  'console.absentStart': 'Dársela de todos modos',
  'presence.away': 'sin conexión ahora',
  'presence.absent': 'no está en la sesión',
  'join.moderator': 'Usted modera esta sesión: entra en la consola de moderación.',
  'join.console': 'Abrir la consola de moderación',
  'join.asParticipant': 'Entrar como asistente, con cámara',
  'closed.removed.title': 'La moderación le ha sacado de la sesión',
  'closed.removed.text':
    'Ya no puede ver ni oír la sesión. Quedan registrados su participación y el momento. Si cree que es un error, hable con quien preside: puede volver a admitirle, y entonces entra con el mismo enlace.',
  'console.nextIs': 'Sigue: {name}',
  'console.search': 'Buscar por nombre',
  'console.filter': 'Mostrar',
  'console.filter.all': 'Todas las personas',
  'console.filter.heard': 'A quien se oye',
  'console.filter.muted': 'Micrófono cerrado',
  'console.filter.away': 'Sin conexión',
  'console.filter.hall': 'Sala',
  'console.nobodyFound': 'Nadie coincide.',
  'console.showAll': 'Mostrar {count, plural, one {una persona} other {las # personas}}',
  'console.shortcutsOn': 'Usar atajos de una tecla',
  'console.justStarted':
    'Se acaba de dar la palabra: no se ha hecho nada más. Si quiere pasar a la siguiente persona, pulse otra vez.',
  'console.shortcut.search': 'Buscar a una persona',
  'docs.title': 'Interfaz REST',
  'docs.intro': 'Versión {version}. La descripción está en inglés; la misma, para programas:',
  'docs.search': 'Buscar una ruta',
  'person.noPicture': '{name}, sin imagen',
  'error.title': 'Algo no salió bien',
  'error.NETWORK': 'El servidor no responde. Compruebe su conexión y reintente.',
  'error.NOT_CONNECTED': 'Ahora mismo no hay conexión. Repítalo cuando se recupere.',
  'error.CONNECTION_LOST':
    'La conexión se cortó antes de la respuesta. Mire si la acción se cumplió y, si no, repítala.',
  'error.TIMED_OUT':
    'El servidor no respondió a tiempo. Mire si la acción se cumplió y, si no, repítala.',
  'error.FORBIDDEN': 'Su acceso no permite esto. Si debería, hable con quien le convocó.',
  'error.SESSION_NOT_FOUND': 'No hay tal sesión para usted. Compruebe que el enlace está completo.',
  'error.SESSION_STATE_CONFLICT':
    'La sesión no está en un estado que lo permita. Actualice la página.',
  'error.SESSION_OVER': 'La sesión ha terminado.',
  'error.TOKEN_EXPIRED': 'Su acceso ha caducado. Vuelva a entrar.',
  'error.TOKEN_INVALID': 'El servidor no reconoce su acceso. Vuelva a entrar desde su enlace.',
  'error.DPOP_PROOF_INVALID':
    'El servidor no aceptó la prueba de su navegador. Compruebe la hora de su dispositivo y recargue la página.',
  'error.SESSION_LIMIT_REACHED': 'La organización ya tiene abiertas todas las sesiones que puede.',
  'error.PARTICIPANT_LIMIT_REACHED':
    'La sesión está completa. Espere a que alguien salga y reintente.',
  'error.BITRATE_LIMIT_REACHED':
    'La organización usa todo su ancho de banda. Apague la cámara y reintente.',
  'error.DECISION_STALE':
    'Algo cambió antes de que llegara su decisión y no se hizo nada. Mire de nuevo y decida.',
  'error.ACTION_NOT_FOUND': 'No hay nada que deshacer.',
  'error.UNDO_TOO_LATE': 'Es demasiado tarde para deshacer esto.',
  'error.LAST_MODERATOR': 'Es la última persona que modera en la sala y no se puede retirar.',
  'error.RATE_LIMITED': 'Demasiadas peticiones seguidas. Espere un momento y reintente.',
  'error.DEPENDENCY_UNAVAILABLE':
    'Un servicio del que esto depende no responde. Reintente en un momento.',
  'error.QUEUE_CLOSED':
    'La lista está cerrada: ahora no se admiten peticiones. Espere a que la abran.',
  'error.QUEUE_FULL': 'La lista está llena. Inténtelo cuando haya hablado alguien.',
  'error.ALREADY_WAITING': 'Ya está esperando con una petición de este tipo.',
  'error.REQUEST_NOT_FOUND': 'Esa petición ya no espera: alguien la atendió o fue retirada.',
  'error.QUEUE_EMPTY': 'Nadie espera en la lista.',
  'error.NO_TURN': 'Nadie tiene la palabra ahora.',
  'error.TURN_STATE_CONFLICT': 'El turno ya cambió de estado. Mire cómo está ahora.',
  'error.NOT_YOUR_TURN': 'Usted ya no tiene la palabra.',
  'error.TURN_LIMIT_REACHED': 'El turno sería más largo de lo que permite la sesión.',
  'error.ORDER_INVALID': 'La lista cambió mientras la ordenaba. Inténtelo de nuevo.',
  'error.PARTICIPANT_NOT_FOUND': 'Esa persona ya no está en la sesión.',
  'error.TRACK_LIMIT_REACHED':
    'La sesión no admite más imágenes o sonidos suyos. Deje de enviar algo y reintente.',
  'error.UNPROCESSABLE_REQUEST': 'Algún dato no es válido. Revíselo y reintente.',
  'error.RECORDING_STATE_CONFLICT': 'La grabación ya cambió de estado. Mire cómo está ahora.',
  'error.SIGN_IN_REQUIRED': 'Hay que iniciar sesión para seguir. Pulse el botón para hacerlo.',
  'error.SIGN_IN_LOOP':
    'Se intentó iniciar sesión varias veces seguidas y no se logró. Compruebe que el navegador permite guardar datos de esta página y pulse el botón.',
  'error.SIGN_IN_WINDOW':
    'La ventana para iniciar sesión no volvió o el navegador no la abrió. Permita las ventanas de esta página y vuelva a pulsar el botón.',
  'error.SIGN_IN_CANCELLED':
    'Ha dejado de iniciar sesión. Pulse el botón cuando quiera intentarlo de nuevo.',
  'error.SIGN_IN_REFUSED':
    'El servicio de identidad no dio acceso. Inicie sesión de nuevo; si se repite, avise a quien le invitó.',
  'error.SIGN_IN_UNAVAILABLE':
    'El servicio de identidad no responde. Espere un momento y vuelva a intentarlo.',
  'error.SIGN_IN_MISSING':
    'Este servidor no indica dónde iniciar sesión. Use el enlace de su invitación o avise a quien le invitó.',
  'error.INSECURE_PAGE':
    'La página no llegó por una conexión segura, y el navegador no deja entrar así. Abra el enlace que empieza por https.',
  'error.PAGE_FAILED':
    'La página ha fallado. Recárguela; no se pierde nada. Si se repite, avise a quien le ayuda.',
  'error.MALFORMED_REQUEST':
    'El servidor no entendió lo que envió la página. Recárguela e inténtelo de nuevo.',
  'error.PAYLOAD_TOO_LARGE': 'Lo que se envió es demasiado grande y no se aceptó. Envíe menos.',
  'error.UNSUPPORTED_MEDIA_TYPE':
    'El servidor no acepta este tipo de datos. Recargue la página e inténtelo de nuevo.',
  'error.METHOD_NOT_ALLOWED':
    'La página y el servidor no son de la misma versión. Recargue la página.',
  'error.ROUTE_NOT_FOUND':
    'Eso no existe en este servidor. Compruebe que el enlace está completo y recargue la página.',
  'error.CREDENTIALS_MISSING': 'No ha iniciado sesión. Entre de nuevo desde su enlace.',
  'error.TOKEN_BOUND':
    'Su acceso pertenece a otro navegador. Entre de nuevo desde su enlace en este.',
  'error.DPOP_PROOF_REPLAYED':
    'La página envió dos veces lo mismo y la segunda no se aceptó. Mire si ya está hecho y, si no, repítalo.',
  'error.DPOP_NONCE_REQUIRED':
    'El servidor pidió una prueba más reciente de su navegador. Inténtelo de nuevo.',
  'error.RESUME_TOKEN_INVALID':
    'La conexión anterior ya no existe. La página entra de nuevo por sí sola; si no, recárguela.',
  'error.CLIENT_CERTIFICATE_REQUIRED':
    'Esto solo pueden hacerlo los servicios de la organización, no las personas. Pídalo a quien la administra.',
  'error.VERSION_CONFLICT':
    'Otra persona cambió esto mientras tanto, así que no se ha guardado nada. Recargue la página y repita su cambio.',
  'error.PRECONDITION_REQUIRED':
    'La página no dijo qué versión cambia, así que no se ha guardado nada. Recárguela y repita su cambio.',
  'error.IDEMPOTENCY_KEY_REUSED':
    'Lo pedido no coincide con lo que ya se pidió antes. Recargue la página e inténtelo de nuevo.',
  'error.IDEMPOTENCY_KEY_IN_USE':
    'Lo mismo ya se está haciendo. Espere un momento y mire si está hecho.',
  'error.INTERNAL':
    'El servidor ha fallado al hacer esto. Mire si está hecho y, si no, repítalo; si vuelve a fallar, avise a quien le ayuda con la hora.',
  'error.PROVIDER_UNSUPPORTED':
    'Esta sesión se celebra en otro servicio de vídeo. Use el enlace de su invitación.',
  'error.REQUEST_STATE_CONFLICT':
    'Esa petición ya se aceptó o todavía no. Mire la lista y decida de nuevo.',
  'error.SDP_INVALID':
    'Su navegador y el servidor no se entendieron sobre el sonido o la imagen. Recargue la página; si se repite, pruebe otro navegador.',
  'error.SIGNALLING_STATE_CONFLICT':
    'El sonido o la imagen cambiaron a la vez en los dos lados. Recargue la página si no se arregla solo.',
  'error.TRACK_NOT_FOUND': 'Esa imagen o ese sonido ya no se envía. No hay que hacer nada.',
  'error.MEDIA_RESOURCE_NOT_FOUND':
    'Esa conexión de imagen y sonido ya no existe. Vuelva a conectar el aparato.',
  'error.RECORDING_NOT_FOUND':
    'De esto no hay grabación. Compruebe que el enlace es el de la sesión que busca.',
  'error.RECORDING_ERASED':
    'La grabación se borró y ya no puede verse. Su prueba sigue siendo válida: puede comprobarla.',
  'error.PLAYBACK_TOKEN_FORMAT_INVALID':
    'La dirección de la grabación está incompleta. Ábrala desde la página de la grabación.',
  'error.PLAYBACK_TOKEN_SIGNATURE_INVALID':
    'La dirección de la grabación se ha cambiado y no vale. Ábrala desde la página de la grabación.',
  'error.PLAYBACK_TOKEN_EXPIRED':
    'La dirección de la grabación ha caducado. Recargue la página de la grabación para obtener otra.',
  'error.RANGE_NOT_SATISFIABLE': 'Se pidió una parte que el archivo no tiene. Recargue la página.',
  'error.MEDIA_TOKEN_NOT_FOUND':
    'Ese acceso para un aparato ya no existe: caducó o se retiró. Cree otro.',
  'error.MEDIA_TOKEN_LIMIT_REACHED':
    'No caben más accesos para aparatos en esta sesión. Retire alguno que no se use.',
  'error.ATTENDANCE_FULL': 'La lista de asistencia está llena. Avise a quien administra la sesión.',
  'error.CAMERA_LIMIT_REACHED':
    'La organización tiene todas las cámaras que puede. Retire una para añadir otra.',
  'error.CAMERA_NOT_FOUND': 'Esa cámara no existe o se retiró. Elija otra de la lista.',
  'error.CAMERA_SOURCE_INVALID':
    'La dirección de la cámara no es válida. Compruebe que empieza por rtsp y está completa.',
  'error.CAMERA_SOURCE_REFUSED':
    'La dirección de la cámara está en una red a la que no se permite llegar. Pida a quien administra el servidor que la permita.',
  'error.CAPTURE_SESSION_CONFLICT':
    'Esa captura ya existe con otros datos o ya terminó. Empiece otra.',
  'error.CAPTURE_SESSION_NOT_FOUND': 'Esa captura no existe. Compruebe su identificador.',
  'error.DELEGATION_CONFLICT':
    'Esa unidad ya está delegada, ya no lo está o es de la misma persona. Mire la lista.',
  'error.DELEGATION_LIMIT_REACHED':
    'Representaría más unidades de las que puede. Elija menos, o a otra persona.',
  'error.ELIGIBLE_LIST_FIXED':
    'La lista de quienes pueden asistir ya está fijada y no cambia. Hable con quien convocó la sesión.',
  'error.ELIGIBLE_LIST_UNKNOWN':
    'Todavía no se conoce la lista de quienes pueden asistir. Espere un momento y vuelva a intentarlo.',
  'error.EVENT_STREAM_LIMIT_REACHED':
    'Hay demasiados programas leyendo los sucesos a la vez. Cierre alguno e inténtelo de nuevo.',
  'error.EVENTS_EXPIRED':
    'Los sucesos pedidos son demasiado antiguos y ya no se guardan. Empiece desde ahora.',
  'error.NOT_ELIGIBLE':
    'Esta persona no está en la lista de quienes pueden asistir. Compruebe el nombre o hable con quien convocó.',
  'error.NOT_PRESENT': 'Esta persona no consta como presente. Regístrela primero.',
  'error.PLAYBACK_TOKEN_MISSING':
    'A la dirección del vídeo le falta el acceso. Ábralo desde la página que lo muestra.',
  'error.PLAYBACK_TOKEN_PAYLOAD_INVALID':
    'El acceso al vídeo no es válido. Ábralo de nuevo desde la página que lo muestra.',
  'error.PLAYBACK_SESSION_CLOSED': 'Su permiso para ver esta cámara ha terminado. Pida uno nuevo.',
  'error.PLAYBACK_STREAM_NOT_FOUND': 'Esta cámara no se conoce.',
  'error.PLAYBACK_STREAM_NOT_READY':
    'La cámara todavía no tiene nada que mostrar. Se vuelve a intentar.',
  'error.PLAYBACK_STREAM_STOPPED': 'La cámara ya no se muestra.',
  'error.PLAYBACK_MANIFEST_NOT_FOUND': 'No hay tal lista de imágenes de la cámara.',
  'error.PLAYBACK_SEGMENT_NOT_FOUND': 'Estas imágenes de la cámara ya no se conservan.',
  'error.PLAYBACK_TOKEN_SCOPE_MISMATCH':
    'El acceso es de otra cámara. Ábralo desde la página de la que quiere ver.',
  'error.PROOF_EXPIRED': 'El código ha caducado. Pida otro y preséntelo enseguida.',
  'error.PROOF_INVALID': 'El código no es válido. Compruébelo o pida otro.',
  'error.PROOF_REPLAYED': 'Ese código ya se usó. Pida otro.',
  'error.PROOF_WRONG_CONTEXT':
    'Ese código es de otra sesión o de otra persona. Use el que recibió para esta.',
  'error.QUORUM_CALL_CONFLICT': 'Esta sesión no tiene segunda convocatoria, o ya ha empezado.',
  'error.SESSION_TRANSITION_INVALID':
    'La reproducción no está en un estado que lo permita. Ábrala de nuevo.',
  'error.STREAM_LIMIT_REACHED':
    'La organización tiene abiertas todas las emisiones que puede. Cierre una e inténtelo de nuevo.',
  'error.STREAM_NOT_ENTITLED':
    'La organización no tiene contratadas las emisiones. Hable con quien la administra.',
  'error.STREAM_SESSION_NOT_FOUND': 'Esa emisión no existe o ya terminó. Ábrala de nuevo.',
  'error.TENANT_SUSPENDED':
    'La organización está suspendida y no puede hacer esto. Hable con quien la administra.',
  'error.UNIT_NOT_FOUND': 'Esa unidad no está en la lista. Compruebe cómo se llama.',
  'error.other':
    'El servidor no ha podido hacer esto. Inténtelo de nuevo; si se repite, diga a quien le ayuda qué hacía y a qué hora.',
} as const;
