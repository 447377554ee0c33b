import type { VerifyKey } from './texts';

/** Portuguese texts of the page that verifies. */
export const pt: Readonly<Record<VerifyKey, string>> = {
  title: 'Verificar uma gravação',
  intro:
    'Aqui qualquer pessoa pode verificar que a gravação de uma sessão está inteira e sem alterações desde que foi captada. Não é preciso conta. Tudo é verificado neste dispositivo: nada do que escolher é enviado.',
  'session.title': 'Uma sessão deste servidor',
  'session.label': 'Endereço ou identificador da sessão',
  'session.recent': 'Sessões deste navegador',
  'session.go': 'Verificar a sessão',
  'session.invalid': 'Isso não contém um identificador de sessão: são 36 caracteres, com hífens.',
  'session.missing': 'Este servidor não publica nenhuma prova dessa sessão.',
  'session.network':
    'O servidor não responde. Um pacote já baixado pode ser verificado mesmo assim.',
  'bundle.title': 'Um pacote baixado',
  'bundle.hint':
    'Arraste para aqui a pasta, um arquivo ZIP ou TAR, uma prova (.json) ou a prova que guardou, ou escolha-os.',
  'bundle.drop': 'Solte para verificar',
  'bundle.folder': 'Escolher pasta',
  'bundle.files': 'Escolher arquivos',
  'bundle.none':
    'Isto não é um pacote, nem uma prova, nem uma prova guardada. Escolha a pasta do pacote, o seu arquivo ZIP ou TAR, ou o arquivo .json de uma prova.',
  'bundle.broken':
    'O arquivo compactado está danificado ou incompleto e não pode ser aberto. Baixe-o outra vez.',
  'more.title': 'Chaves e provas guardadas',
  'more.keys': 'Lista de chaves em que confia (keys.json)',
  'more.keysWhy': 'Sem ela é usada a que este servidor publica.',
  'more.held': 'Provas que guardou durante a sessão',
  'more.heldWhy': 'Demonstram que o registro não foi reescrito depois.',
  'more.ownKeys': 'Chaves: as que este servidor publica',
  'more.noKeys':
    'Este servidor não deu a sua lista de chaves: escolha uma, ou o resultado ficará incompleto.',
  'run.reading': 'Lendo os arquivos…',
  'run.entries': 'Verificando o registro: {done} de {total} entradas',
  'run.heads': 'Verificando as assinaturas: {percent} %',
  'run.objects': 'Verificando a gravação: {done} de {total}, {speed} por segundo',
  'run.cancel': 'Parar',
  'run.cancelled': 'Foi parado antes do fim: não há resultado.',
  'run.failed': 'A verificação não pôde terminar neste navegador.',
  'verdict.valid': 'Correto',
  'verdict.valid.text':
    'Tudo o que se verificou está inteiro e sem alterações desde que foi captado.',
  'verdict.invalid': 'Há algo falso',
  'verdict.invalid.text':
    'O que é apresentado não é o que foi registrado, ou está danificado. Abaixo diz o quê e onde.',
  'verdict.incomplete': 'Incompleto',
  'verdict.incomplete.text':
    'Nada do que se verificou é falso, mas falta algo para poder afirmar tudo. Abaixo diz o quê.',
  'about.proof': 'Prova pública da sessão {session}',
  'about.full': 'Pacote completo da sessão {session}',
  'about.clip': 'Trecho da sessão {session}',
  'about.head': 'Assinado com {count, plural, one {uma entrada} other {# entradas}} em {when}',
  'about.started': 'O registro começou em {when}',
  'about.closed': 'O registro está fechado: só podem ser acrescentados apagamentos e consultas.',
  'about.took': 'Verificado em {seconds} s',
  'about.speed': '{size} de gravação, {speed} por segundo',
  checked: 'O que se verificou',
  notChecked: 'O que não se verificou',
  problems: 'O que está errado',
  moreProblems: '{count, plural, one {e mais um} other {e mais #}}',
  tracks: 'Faixas',
  disclosed: 'O que foi revelado',
  'disclosed.event': 'Entrada {entry}',
  'disclosed.subject': 'De quem é a faixa da entrada {entry}',
  'save.head': 'Guardar esta prova',
  'save.report': 'Baixar o relatório',
  'save.kept': 'Este navegador recorda a prova e vai compará-la da próxima vez.',
  'track.audio': 'Som',
  'track.video': 'Imagem',
  'track.name': 'Faixa {number}',
  'track.segments': '{count, plural, one {um segmento} other {# segmentos}}',
  'track.gaps': '{count, plural, =0 {sem lacunas} one {uma lacuna} other {# lacunas}}',
  'track.unaccounted': '{seconds} s sem explicação',
  'track.erased': 'apagada',
  'place.entry': 'entrada {entry}',
  'place.head': 'assinatura de {size} entradas',
  'place.track': 'faixa {track}',
  'place.segment': 'segmento {segment}',
  'place.time': 'das {from} às {to}',
  'place.file': 'em {file}',
  'place.somewhere': 'no conjunto',
  'file.proof': 'a prova',
  'file.receipts': 'os recibos',
  'file.close': 'o encerramento',
  'file.consistency': 'o recibo de continuidade',
  'file.operator': 'o registro do operador',
  'file.held': 'as provas guardadas',
  'file.jws': 'a assinatura repetida',
  detail: 'Detalhe para especialistas',
  'check.head': 'A assinatura do servidor sobre o registro inteiro é autêntica.',
  'check.heads':
    '{count, plural, one {Uma assinatura periódica é autêntica e corresponde} other {# assinaturas periódicas são autênticas e correspondem}} às entradas.',
  'check.jws': 'A cópia da assinatura em formato JWS diz o mesmo.',
  'check.entries':
    '{count, plural, one {Uma entrada} other {# entradas}} do registro, em ordem e sem alterações.',
  'check.tracks': '{count, plural, one {Uma faixa} other {# faixas}} de som e imagem.',
  'check.segments':
    '{count, plural, one {Um segmento encadeado} other {# segmentos encadeados}} segundo o registro.',
  'check.close': 'O encerramento, que fixa onde termina cada faixa, é autêntico.',
  'check.objects':
    '{count, plural, one {Um segmento selado} other {# segmentos selados}} da gravação, iguais aos registrados.',
  'check.receipts':
    '{count, plural, one {Uma entrada mostrada está} other {# entradas mostradas estão}} de verdade no registro.',
  'check.consistency': 'O registro atual começa exatamente como o anterior conhecido.',
  'check.held':
    '{count, plural, one {Uma prova guardada coincide} other {# provas guardadas coincidem}} com o registro: não foi reescrito.',
  'check.operator': 'O registro geral do operador contém a assinatura desta sessão.',
  'check.checkpoint': 'A assinatura do registro geral é autêntica.',
  'check.events':
    '{count, plural, one {Um fato revelado é o que foi registrado} other {# fatos revelados são os que foram registrados}}.',
  'check.subjects':
    '{count, plural, one {A pessoa revelada de uma faixa é a que foi registrada} other {As pessoas reveladas de # faixas são as que foram registradas}}.',
  'check.opened':
    '{count, plural, one {Um segmento foi aberto} other {# segmentos foram abertos}} com a chave revelada e o conteúdo é legível.',
  'unchecked.truth': 'Se o que foi dito é verdade: uma prova só mostra que não foi alterado.',
  'unchecked.beforeServer':
    'O que aconteceu antes de o servidor o receber. O servidor vê o som e a imagem antes de selá-los.',
  'unchecked.recording': 'O conteúdo da gravação: aqui só foi dada a prova, não os segmentos.',
  'unchecked.content':
    'O que se ouve e vê em {count, plural, one {um segmento} other {# segmentos}}: estão cifrados e a chave não foi revelada.',
  'unchecked.notClosed': 'O fim: a sessão continua aberta e o registro pode crescer.',
  'unchecked.interrupted': 'O fim: o registro ficou interrompido e ninguém o fechou.',
  'unchecked.keysUntrusted':
    'Se as chaves são de quem dizem ser: não há nenhuma lista de confiança, só a que vem no próprio pacote.',
  'unchecked.objectsNotGiven':
    'A gravação: não foi dado nenhum dos {count, plural, one {segmentos} other {# segmentos}}.',
  'unchecked.clipObject':
    'A gravação de {count, plural, one {um segmento} other {# segmentos}} do trecho, que não foram dados.',
  'unchecked.heldUnlinked':
    'Se o registro atual continua {count, plural, one {a prova guardada} other {# provas guardadas}}: falta o recibo que as une.',
  'unchecked.receiptOlder':
    'Se {count, plural, one {um recibo mais antigo pertence} other {# recibos mais antigos pertencem}} ao registro atual.',
  'unchecked.entriesNotGiven':
    'O registro inteiro: faltam as suas entradas ou não podem ser lidas.',
  'unchecked.proofNotGiven': 'O pacote inteiro: falta a sua prova (bundle.json).',
  'unchecked.headsNotGiven':
    'As assinaturas periódicas do registro: falta a sua lista (heads.cborseq).',
  'unchecked.keysNotGiven': 'A lista de chaves do próprio pacote: está faltando (keys.json).',
  'unchecked.absentExplained':
    '{count, plural, one {Um segmento que falta} other {# segmentos que faltam}} e que o próprio registro dá por apagados ou perdidos.',
  'unchecked.noOperator': 'O registro geral do operador: esta prova ainda não o inclui.',
  'unchecked.operatorKey': 'A assinatura do registro geral: a lista de chaves não traz a sua.',
  'unchecked.ed25519': 'A assinatura do registro geral: este navegador não sabe verificar Ed25519.',
  'unchecked.checkpointOther': 'A assinatura do registro geral: é de outro momento que o recibo.',
  'unchecked.timestamps': 'Os carimbos do tempo de terceiros.',
  'unchecked.consistencyUnheld':
    'Um recibo de continuidade cujo ponto de partida ninguém aqui conhece.',
  'unchecked.noHeld':
    'Se o registro foi outro no passado: não há nenhuma prova guardada com que compará-lo.',
  'unchecked.timeNotTold':
    'Se há momentos de uma faixa sem explicação: este registro é de um formato anterior, que não o diz.',
  'code.MALFORMED': 'Falta algo ou não tem a forma devida.',
  'code.NOT_CANONICAL': 'Está escrito de uma forma que o formato não admite.',
  'code.TOO_LARGE': 'É maior do que pode ser.',
  'code.UNKNOWN_KEY':
    'Está assinado com uma chave que não é de confiança ou não era a desse momento.',
  'code.SIGNATURE_INVALID': 'A assinatura é falsa ou o que foi assinado foi alterado.',
  'code.HEADER_INVALID': 'Os dados assinados não são os que correspondem.',
  'code.ROOT_MISMATCH': 'As entradas não são as que foram assinadas.',
  'code.RECEIPT_INVALID': 'O recibo não demonstra que a entrada está no registro.',
  'code.CONSISTENCY_INVALID': 'O recibo não demonstra que o registro continua o anterior.',
  'code.FORKED_LOG': 'Há duas versões do registro: alguém o reescreveu.',
  'code.TRUNCATED_LOG': 'Falta o fim do registro.',
  'code.SEQUENCE_INVALID': 'Falta uma entrada, há uma a mais, ou está fora de ordem.',
  'code.WRONG_SESSION': 'É de outra sessão.',
  'code.CHAIN_BROKEN': 'A cadeia de segmentos está quebrada.',
  'code.OBJECT_MISSING': 'Falta um segmento da gravação.',
  'code.OBJECT_CHANGED': 'Um segmento da gravação foi alterado.',
  'code.OBJECT_UNKNOWN': 'Há um arquivo de gravação que o registro não conhece.',
  'code.SEGMENT_MISSING': 'O registro pula um segmento.',
  'code.WRONG_KEY': 'A chave revelada não é a desse segmento.',
  'code.DECRYPTION_FAILED': 'O segmento não abre com a sua chave.',
  'code.DISCLOSURE_INVALID': 'O que foi revelado não é o que foi registrado.',
  'code.NOT_CLOSED': 'A sessão consta como fechada, mas falta o seu encerramento.',
  'code.ERASURE_INVALID': 'Consta um apagamento de algo que não existe.',
  'code.OPERATOR_LOG_INVALID': 'O registro geral do operador não apoia esta sessão.',
  'code.TIME_UNACCOUNTED':
    'O registro não explica uma parte do tempo: nada diz que foi gravada, que houve silêncio, que a palavra estava fechada, que houve uma pausa ou que se perdeu.',
};
