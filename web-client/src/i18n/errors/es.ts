/** What the codes of refusals mean, in Spanish: the others are held against it. */
export const errors = {
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
  'error.ROOM_ELSEWHERE':
    'La sala de esta sesión está en otro servidor. Vuelva a intentarlo allí o dentro de un momento.',
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
  'error.PROVIDER_NOT_CONFIGURED':
    'Esta instalación no puede hacer reuniones en ese servicio de vídeo. Elija otro o avise a quien la administra.',
  'error.PROVIDER_UNAVAILABLE':
    'El servicio de vídeo no responde. Inténtelo de nuevo dentro de un momento.',
  'error.PROVIDER_REFUSED':
    'El servicio de vídeo no acepta la cuenta de esta instalación. Avise a quien la administra.',
  'error.PROVIDER_LIMIT_REACHED':
    'El servicio de vídeo no admite más reuniones por ahora. Inténtelo más tarde.',
  'error.WEBHOOK_SIGNATURE_INVALID':
    'El aviso del servicio de vídeo no lleva la firma correcta. Avise a quien administra la instalación.',
  'error.WEBHOOK_EXPIRED':
    'El aviso del servicio de vídeo llegó demasiado tarde. Avise a quien administra la instalación.',
  'error.PROVIDER_UNSUPPORTED':
    'Esta sesión se celebra en otro servicio de vídeo. Use el enlace de su invitación.',
  'error.REQUEST_STATE_CONFLICT':
    'Esa petición ya se aceptó o todavía no. Mire la lista y decida de nuevo.',
  'error.SDP_INVALID':
    'Su navegador y el servidor no se entendieron sobre el sonido o la imagen. Recargue la página; si se repite, pruebe otro navegador.',
  'error.SIGNALLING_STATE_CONFLICT':
    'El sonido o la imagen cambiaron a la vez en los dos lados. Recargue la página si no se arregla solo.',
  'error.LANGUAGE_UNSUPPORTED':
    'Lo que se habla en ese idioma no se puede transcribir aquí. Elija otro de la lista.',
  'error.TRANSCRIPT_CHUNK_NOT_FOUND':
    'Ese texto no está en la transcripción. Recargue la página y mire de nuevo.',
  'error.MINUTES_NOT_FOUND':
    'Nadie ha confirmado aún el acta de esta sesión. Puede leer el borrador.',
  'error.MINUTES_LIMIT_REACHED':
    'Esta sesión ya tiene tantas versiones del acta como puede. Use la última.',
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
  'error.ELIGIBLE_LIST_REFUSED':
    'La lista de quienes pueden asistir tiene un error y se ha rechazado. Quien preside o modera ve qué fila es; hay que corregirla en su origen.',
  'error.ELIGIBLE_LIST_UNKNOWN':
    'Todavía no se conoce la lista de quienes pueden asistir. Espere un momento y vuelva a intentarlo.',
  'error.MICROPHONE_REFUSED':
    'Nadie le oye: el servidor no puede recibir el sonido en la forma en que lo envía este navegador. Use una versión actual de Chrome, Edge, Firefox o Safari.',
  'error.CAMERA_REFUSED':
    'Nadie ve su cámara: el servidor no puede recibir el vídeo en la forma en que lo envía este navegador. Se le sigue oyendo. Use una versión actual de Chrome, Edge, Firefox o Safari.',
  'error.SCREEN_REFUSED':
    'Nadie ve su pantalla: el servidor no puede recibir el vídeo en la forma en que lo envía este navegador. Use una versión actual de Chrome, Edge, Firefox o Safari.',
  'error.SECTION_REFUSED':
    'Una parte de lo que envía este navegador no llega a nadie: el servidor no puede recibirla en esta forma. Use una versión actual de Chrome, Edge, Firefox o Safari.',
  'error.BUNDLE_CUT_OFF':
    'La descarga se cortó y no se puede llegar al servidor para continuarla. Compruebe su conexión y vuelva a descargar.',
  'error.BUNDLE_LIMIT_REACHED':
    'Otras personas de su organización están descargando copias y solo se preparan dos a la vez. Inténtelo de nuevo en un momento.',
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
  'error.PLAYBACK_RELOAD_INVALID':
    'La petición de imágenes de la cámara no es válida. Recargue la página.',
  'error.PLAYBACK_WAIT_LIMIT_REACHED':
    'Hay demasiadas peticiones en espera de imágenes de la cámara. Cierre otras ventanas que la muestren y recargue la página.',
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
  'error.CAMERA_CODEC_UNSUPPORTED':
    'La cámara envía un códec que la sala no puede mostrar. Configúrela en H.264.',
  'error.CAMERA_BFRAMES_UNSUPPORTED':
    'La cámara envía fotogramas B, que la sala no puede mostrar. Desactívelos en la cámara.',
  'error.CAPTURE_LIMIT_REACHED': 'La entidad tiene el máximo de capturas abiertas. Cierre algunas.',
  'error.STREAM_NOT_FOUND': 'No existe esa transmisión.',
  'error.STREAM_ALREADY_ACTIVE':
    'La cámara tiene una transmisión activa. Deténgala antes de iniciar otra.',
  'error.LIVE_VIEWING_OFF':
    'La sesión no puede verse desde fuera. Active la emisión en directo en sus ajustes.',
  'error.STREAM_NOT_ENTITLED':
    'La organización no tiene contratadas las emisiones. Hable con quien la administra.',
  'error.STREAM_SESSION_NOT_FOUND': 'Esa emisión no existe o ya terminó. Ábrala de nuevo.',
  'error.TENANT_SUSPENDED':
    'La organización está suspendida y no puede hacer esto. Hable con quien la administra.',
  'error.UNIT_NOT_FOUND': 'Esa unidad no está en la lista. Compruebe cómo se llama.',
  'error.other':
    'El servidor no ha podido hacer esto. Inténtelo de nuevo; si se repite, diga a quien le ayuda qué hacía y a qué hora.',
} as const;

/** The texts of all codes in one language. */
export type ErrorTexts = Readonly<Record<keyof typeof errors, string>>;
