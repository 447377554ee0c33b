import type { ErrorTexts } from './es';

/** What the codes of refusals mean, in Portuguese. */
export const errors: ErrorTexts = {
  'error.title': 'Algo deu errado',
  'error.NETWORK': 'O servidor não responde. Verifique sua conexão e tente de novo.',
  'error.NOT_CONNECTED': 'Agora não há conexão. Repita quando ela voltar.',
  'error.CONNECTION_LOST':
    'A conexão caiu antes da resposta. Veja se a ação foi feita e, se não, repita.',
  'error.TIMED_OUT':
    'O servidor não respondeu a tempo. Veja se a ação foi feita e, se não, repita.',
  'error.FORBIDDEN': 'O seu acesso não permite isto. Se deveria, fale com quem convocou você.',
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
  'error.QUEUE_CLOSED': 'A lista está fechada: agora não são aceitos pedidos. Espere que abra.',
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
  'error.ROOM_ELSEWHERE':
    'A sala desta sessão está em outro servidor. Tente de novo lá ou daqui a pouco.',
  'error.RECORDING_STATE_CONFLICT': 'A gravação já mudou de estado. Veja como está agora.',
  'error.SIGN_IN_REQUIRED':
    'É preciso iniciar sessão para continuar. Aperte o botão para fazer isso.',
  'error.SIGN_IN_LOOP':
    'Houve várias tentativas seguidas de iniciar sessão, sem êxito. Verifique se o navegador permite guardar dados desta página e aperte o botão.',
  'error.SIGN_IN_WINDOW':
    'A janela para iniciar sessão não voltou ou o navegador não a abriu. Permita as janelas desta página e aperte o botão de novo.',
  'error.SIGN_IN_CANCELLED':
    'Você deixou de iniciar sessão. Aperte o botão quando quiser tentar de novo.',
  'error.SIGN_IN_REFUSED':
    'O serviço de identidade não deu acesso. Inicie sessão de novo; se isso se repetir, avise quem convidou você.',
  'error.SIGN_IN_UNAVAILABLE':
    'O serviço de identidade não responde. Espere um momento e tente de novo.',
  'error.SIGN_IN_MISSING':
    'Este servidor não indica onde iniciar sessão. Use o link do seu convite ou avise quem convidou você.',
  'error.INSECURE_PAGE':
    'A página não chegou por uma conexão segura, e o navegador não deixa entrar assim. Abra o link que começa com https.',
  'error.PAGE_FAILED':
    'A página falhou. Recarregue-a; nada se perde. Se isso se repetir, avise quem ajuda você.',
  'error.MALFORMED_REQUEST':
    'O servidor não entendeu o que a página enviou. Recarregue-a e tente de novo.',
  'error.PAYLOAD_TOO_LARGE': 'O que foi enviado é grande demais e não foi aceito. Envie menos.',
  'error.UNSUPPORTED_MEDIA_TYPE':
    'O servidor não aceita este tipo de dados. Recarregue a página e tente de novo.',
  'error.METHOD_NOT_ALLOWED': 'A página e o servidor não são da mesma versão. Recarregue a página.',
  'error.ROUTE_NOT_FOUND':
    'Isso não existe neste servidor. Verifique se o link está completo e recarregue a página.',
  'error.CREDENTIALS_MISSING': 'Você não iniciou sessão. Entre de novo pelo seu link.',
  'error.TOKEN_BOUND':
    'O seu acesso pertence a outro navegador. Entre de novo neste pelo seu link.',
  'error.DPOP_PROOF_REPLAYED':
    'A página enviou o mesmo duas vezes e a segunda não foi aceita. Veja se já está feito e, se não, repita.',
  'error.DPOP_NONCE_REQUIRED':
    'O servidor pediu uma prova mais recente do seu navegador. Tente de novo.',
  'error.RESUME_TOKEN_INVALID':
    'A conexão anterior já não existe. A página entra de novo sozinha; se não, recarregue-a.',
  'error.CLIENT_CERTIFICATE_REQUIRED':
    'Só os serviços da organização podem fazer isto, não as pessoas. Peça a quem a administra.',
  'error.VERSION_CONFLICT':
    'Outra pessoa mudou isto nesse meio-tempo, por isso nada foi guardado. Recarregue a página e repita a sua alteração.',
  'error.PRECONDITION_REQUIRED':
    'A página não disse que versão altera, por isso nada foi guardado. Recarregue-a e repita a sua alteração.',
  'error.IDEMPOTENCY_KEY_REUSED':
    'O que foi pedido não coincide com o pedido anterior. Recarregue a página e tente de novo.',
  'error.IDEMPOTENCY_KEY_IN_USE':
    'O mesmo já está sendo feito. Espere um momento e veja se está feito.',
  'error.INTERNAL':
    'O servidor falhou ao fazer isto. Veja se está feito e, se não, repita; se falhar de novo, avise quem ajuda você, com a hora.',
  'error.PROVIDER_NOT_CONFIGURED':
    'Esta instalação não pode fazer reuniões nesse serviço de vídeo. Escolha outro ou avise quem a administra.',
  'error.PROVIDER_UNAVAILABLE':
    'O serviço de vídeo não responde. Tente de novo dentro de um momento.',
  'error.PROVIDER_REFUSED':
    'O serviço de vídeo não aceita a conta desta instalação. Avise quem a administra.',
  'error.PROVIDER_LIMIT_REACHED':
    'O serviço de vídeo não aceita mais reuniões por agora. Tente mais tarde.',
  'error.WEBHOOK_SIGNATURE_INVALID':
    'O aviso do serviço de vídeo não traz a assinatura certa. Avise quem administra a instalação.',
  'error.WEBHOOK_EXPIRED':
    'O aviso do serviço de vídeo chegou tarde demais. Avise quem administra a instalação.',
  'error.PROVIDER_UNSUPPORTED':
    'Esta sessão acontece em outro serviço de vídeo. Use o link do seu convite.',
  'error.REQUEST_STATE_CONFLICT':
    'Esse pedido já foi aceito, ou ainda não. Veja a lista e decida de novo.',
  'error.SDP_INVALID':
    'O seu navegador e o servidor não se entenderam sobre o som ou a imagem. Recarregue a página; se isso se repetir, use outro navegador.',
  'error.SIGNALLING_STATE_CONFLICT':
    'O som ou a imagem mudaram dos dois lados ao mesmo tempo. Recarregue a página se não se resolver sozinho.',
  'error.LANGUAGE_UNSUPPORTED':
    'A fala nesse idioma não pode ser transcrita aqui. Escolha outro da lista.',
  'error.TRANSCRIPT_CHUNK_NOT_FOUND':
    'Esse texto não está na transcrição. Recarregue a página e olhe de novo.',
  'error.MINUTES_NOT_FOUND': 'Ninguém confirmou ainda a ata desta sessão. Pode ler o rascunho.',
  'error.MINUTES_LIMIT_REACHED':
    'Esta sessão já tem tantas versões da ata quantas pode. Use a última.',
  'error.TRACK_NOT_FOUND': 'Essa imagem ou esse som já não é enviado. Não é preciso fazer nada.',
  'error.MEDIA_RESOURCE_NOT_FOUND':
    'Essa conexão de imagem e som já não existe. Ligue o aparelho de novo.',
  'error.RECORDING_NOT_FOUND':
    'Disto não há gravação. Verifique se o link é o da sessão que procura.',
  'error.RECORDING_ERASED':
    'A gravação foi apagada e já não pode ser vista. A sua prova continua válida: pode verificá-la.',
  'error.PLAYBACK_TOKEN_FORMAT_INVALID':
    'O endereço da gravação está incompleto. Abra-a a partir da página da gravação.',
  'error.PLAYBACK_TOKEN_SIGNATURE_INVALID':
    'O endereço da gravação foi alterado e não é válido. Abra-a a partir da página da gravação.',
  'error.PLAYBACK_TOKEN_EXPIRED':
    'O endereço da gravação expirou. Recarregue a página da gravação para obter outro.',
  'error.RANGE_NOT_SATISFIABLE': 'Foi pedida uma parte que o arquivo não tem. Recarregue a página.',
  'error.MEDIA_TOKEN_NOT_FOUND':
    'Esse acesso para um aparelho já não existe: expirou ou foi retirado. Crie outro.',
  'error.MEDIA_TOKEN_LIMIT_REACHED':
    'Esta sessão não aceita mais acessos para aparelhos. Retire algum que não se use.',
  'error.ATTENDANCE_FULL': 'A lista de presenças está cheia. Avise quem administra a sessão.',
  'error.CAMERA_LIMIT_REACHED':
    'A organização tem todas as câmeras que pode. Retire uma para acrescentar outra.',
  'error.CAMERA_NOT_FOUND': 'Essa câmera não existe ou foi retirada. Escolha outra da lista.',
  'error.CAMERA_SOURCE_INVALID':
    'O endereço da câmera não é válido. Verifique se começa com rtsp e está completo.',
  'error.CAMERA_SOURCE_REFUSED':
    'O endereço da câmera está em uma rede a que não é permitido chegar. Peça a quem administra o servidor que a permita.',
  'error.CAPTURE_SESSION_CONFLICT':
    'Essa captura já existe com outros dados ou já terminou. Comece outra.',
  'error.CAPTURE_SESSION_NOT_FOUND': 'Essa captura não existe. Verifique o identificador.',
  'error.DELEGATION_CONFLICT':
    'Essa unidade já está delegada, já não está ou é da própria pessoa. Veja a lista.',
  'error.DELEGATION_LIMIT_REACHED':
    'Representaria mais unidades do que pode. Escolha menos, ou outra pessoa.',
  'error.ELIGIBLE_LIST_FIXED':
    'A lista de quem pode participar já está fixada e não muda. Fale com quem convocou a sessão.',
  'error.ELIGIBLE_LIST_REFUSED':
    'A lista de quem pode participar tem um erro e foi recusada. Quem modera vê qual linha é; é preciso corrigi-la na origem.',
  'error.ELIGIBLE_LIST_UNKNOWN':
    'Ainda não se conhece a lista de quem pode participar. Espere um momento e tente de novo.',
  'error.MICROPHONE_REFUSED':
    'Ninguém ouve você: o servidor não consegue receber o som na forma em que este navegador o envia. Use uma versão atual do Chrome, Edge, Firefox ou Safari.',
  'error.CAMERA_REFUSED':
    'Ninguém vê a sua câmera: o servidor não consegue receber o vídeo na forma em que este navegador o envia. Você continua sendo ouvido. Use uma versão atual do Chrome, Edge, Firefox ou Safari.',
  'error.SCREEN_REFUSED':
    'Ninguém vê a sua tela: o servidor não consegue receber o vídeo na forma em que este navegador o envia. Use uma versão atual do Chrome, Edge, Firefox ou Safari.',
  'error.SECTION_REFUSED':
    'Uma parte do que este navegador envia não chega a ninguém: o servidor não consegue recebê-la nesta forma. Use uma versão atual do Chrome, Edge, Firefox ou Safari.',
  'error.BUNDLE_CUT_OFF':
    'O download foi interrompido e não é possível chegar ao servidor para continuá-lo. Verifique a sua conexão e baixe de novo.',
  'error.BUNDLE_LIMIT_REACHED':
    'Outras pessoas da sua organização estão baixando cópias e só duas são preparadas ao mesmo tempo. Tente de novo dentro de momentos.',
  'error.EVENT_STREAM_LIMIT_REACHED':
    'Há programas demais lendo os acontecimentos ao mesmo tempo. Feche algum e tente de novo.',
  'error.EVENTS_EXPIRED':
    'Os acontecimentos pedidos são antigos demais e já não são guardados. Comece a partir de agora.',
  'error.NOT_ELIGIBLE':
    'Esta pessoa não está na lista de quem pode participar. Verifique o nome ou fale com quem convocou.',
  'error.NOT_PRESENT': 'Esta pessoa não consta como presente. Registre-a primeiro.',
  'error.PLAYBACK_TOKEN_MISSING':
    'Falta o acesso no endereço do vídeo. Abra-o a partir da página que o mostra.',
  'error.PLAYBACK_TOKEN_PAYLOAD_INVALID':
    'O acesso ao vídeo não é válido. Abra-o de novo a partir da página que o mostra.',
  'error.PLAYBACK_SESSION_CLOSED':
    'A sua autorização para ver esta câmera terminou. Peça uma nova.',
  'error.PLAYBACK_STREAM_NOT_FOUND': 'Esta câmera não é conhecida.',
  'error.PLAYBACK_STREAM_NOT_READY': 'A câmera ainda não tem nada para mostrar. Tentando de novo.',
  'error.PLAYBACK_STREAM_STOPPED': 'A câmera já não é mostrada.',
  'error.PLAYBACK_RELOAD_INVALID':
    'O pedido de imagens da câmera não é válido. Recarregue a página.',
  'error.PLAYBACK_WAIT_LIMIT_REACHED':
    'Há pedidos demais aguardando imagens da câmera. Feche outras janelas que a mostrem e recarregue a página.',
  'error.PLAYBACK_MANIFEST_NOT_FOUND': 'Não há tal lista de imagens da câmera.',
  'error.PLAYBACK_SEGMENT_NOT_FOUND': 'Estas imagens da câmera já não são guardadas.',
  'error.PLAYBACK_TOKEN_SCOPE_MISMATCH':
    'O acesso é de outra câmera. Abra-o a partir da página da que quer ver.',
  'error.PROOF_EXPIRED': 'O código expirou. Peça outro e apresente-o logo.',
  'error.PROOF_INVALID': 'O código não é válido. Verifique-o ou peça outro.',
  'error.PROOF_REPLAYED': 'Esse código já foi usado. Peça outro.',
  'error.PROOF_WRONG_CONTEXT':
    'Esse código é de outra sessão ou de outra pessoa. Use o que recebeu para esta.',
  'error.QUORUM_CALL_CONFLICT': 'Esta sessão não tem segunda convocação, ou ela já começou.',
  'error.SESSION_TRANSITION_INVALID':
    'A reprodução não está em um estado que o permita. Abra-a de novo.',
  'error.STREAM_LIMIT_REACHED':
    'A organização tem abertas todas as transmissões que pode. Feche uma e tente de novo.',
  'error.CAMERA_CODEC_UNSUPPORTED':
    'A câmera envia um codec que a sala não consegue mostrar. Configure-a para H.264.',
  'error.CAMERA_BFRAMES_UNSUPPORTED':
    'A câmera envia quadros B, que a sala não consegue mostrar. Desative-os na câmera.',
  'error.CAPTURE_LIMIT_REACHED': 'A entidade tem o máximo de capturas abertas. Feche algumas.',
  'error.STREAM_NOT_FOUND': 'Essa transmissão não existe.',
  'error.STREAM_ALREADY_ACTIVE':
    'A câmera tem uma transmissão ativa. Pare-a antes de iniciar outra.',
  'error.LIVE_VIEWING_OFF':
    'A sessão não pode ser assistida de fora. Ative a transmissão ao vivo nas configurações dela.',
  'error.STREAM_NOT_ENTITLED':
    'A organização não tem direito a transmissões. Fale com quem a administra.',
  'error.STREAM_SESSION_NOT_FOUND': 'Essa transmissão não existe ou já terminou. Abra-a de novo.',
  'error.TENANT_SUSPENDED':
    'A organização está suspensa e não pode fazer isto. Fale com quem a administra.',
  'error.UNIT_NOT_FOUND': 'Essa unidade não está na lista. Verifique como se chama.',
  'error.other':
    'O servidor não conseguiu fazer isto. Tente de novo; se isso se repetir, diga a quem ajuda você o que estava fazendo e a que horas.',
};
