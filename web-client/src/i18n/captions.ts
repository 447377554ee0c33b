import type { Texts } from './texts';
import { speaker } from './texts';

const es = {
  title: 'Subtítulos',
  settings: 'Ajustes de los subtítulos',
  show: 'Mostrar subtítulos',
  size: 'Tamaño',
  'size.small': 'Pequeño',
  'size.medium': 'Mediano',
  'size.large': 'Grande',
  place: 'Lugar',
  'place.bottom': 'Abajo, sobre la imagen',
  'place.top': 'Arriba, sobre la imagen',
  aloud: 'Leerlos también con el lector de pantalla',
  made: 'Los escribe una máquina y puede equivocarse.',
  off: 'Esta sesión no tiene subtítulos: no se transcribe.',
  unavailable:
    'Los subtítulos están desactivados: el servidor no puede transcribir ahora. La sesión sigue igual.',
  interrupted: 'Los subtítulos se han interrumpido: ahora no se puede transcribir.',
  none: 'Todavía nadie ha dicho nada que se haya transcrito.',
  transcript: 'Transcripción',
  gap: '[sin texto]',
  corrected: 'corregido',
  correct: 'Corregir',
  correctOf: 'Corregir lo que dijo {name}',
  save: 'Guardar la corrección',
  cancel: 'No corregir',
  saved: 'Corregido. El texto original se conserva.',
};

/** The name of a text about captions. */
export type CaptionKey = keyof typeof es;

const en: Readonly<Record<CaptionKey, string>> = {
  title: 'Captions',
  settings: 'Caption settings',
  show: 'Show captions',
  size: 'Size',
  'size.small': 'Small',
  'size.medium': 'Medium',
  'size.large': 'Large',
  place: 'Place',
  'place.bottom': 'At the bottom of the picture',
  'place.top': 'At the top of the picture',
  aloud: 'Have the screen reader read them, too',
  made: 'A machine writes them, and it may be wrong.',
  off: 'This session has no captions: it is not transcribed.',
  unavailable: 'Captions are off: the server can not transcribe now. The session goes on as it is.',
  interrupted: 'Captions are interrupted: nothing can be transcribed now.',
  none: 'Nothing has been said yet that was transcribed.',
  transcript: 'Transcript',
  gap: '[no text]',
  corrected: 'corrected',
  correct: 'Correct',
  correctOf: 'Correct what {name} said',
  save: 'Save the correction',
  cancel: 'Do not correct',
  saved: 'Corrected. The original text is kept.',
};

const pt: Readonly<Record<CaptionKey, string>> = {
  title: 'Legendas',
  settings: 'Ajustes das legendas',
  show: 'Mostrar legendas',
  size: 'Tamanho',
  'size.small': 'Pequeno',
  'size.medium': 'Médio',
  'size.large': 'Grande',
  place: 'Lugar',
  'place.bottom': 'Embaixo, sobre a imagem',
  'place.top': 'Em cima, sobre a imagem',
  aloud: 'Lê-las também com o leitor de tela',
  made: 'Uma máquina as escreve e pode errar.',
  off: 'Esta sessão não tem legendas: não é transcrita.',
  unavailable:
    'As legendas estão desativadas: o servidor não pode transcrever agora. A sessão continua igual.',
  interrupted: 'As legendas foram interrompidas: agora não é possível transcrever.',
  none: 'Ainda não foi dito nada que tenha sido transcrito.',
  transcript: 'Transcrição',
  gap: '[sem texto]',
  corrected: 'corrigido',
  correct: 'Corrigir',
  correctOf: 'Corrigir o que {name} disse',
  save: 'Salvar a correção',
  cancel: 'Não corrigir',
  saved: 'Corrigido. O texto original é conservado.',
};

/** Every text about captions. */
export const captionTexts: Texts<CaptionKey> = { es, en, pt };

/** A text about captions in the language that is shown. */
export const s = speaker(captionTexts);
