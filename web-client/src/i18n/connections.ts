import type { ToldCause, ToldQuality } from '../lib';
import type { Texts } from './texts';
import { number, speaker } from './texts';

const es = {
  fair: 'Conexión regular',
  poor: 'Conexión mala',
  lost: 'Conexión perdida',
  because: '{level}: {cause}',
  since: 'Desde {time}',
  no_media: 'no llega nada de su dispositivo',
  uplink_loss: 'se pierde el {value} % de lo que envía',
  downlink_loss: 'se pierde el {value} % de lo que recibe',
  downlink_bandwidth: 'su red sólo recibe {value} kbit/s',
  delay: 'el sonido tarda {value} s en ir y volver',
  uplink_jitter: 'lo que envía llega a saltos de {value} ms',
  downlink_jitter: 'lo que recibe llega a saltos de {value} ms',
  relayed_by_tcp: 'su red sólo admite TCP',
};

/** The name of a text about other people's connections. */
type ConnectionKey = keyof typeof es;

const en: Readonly<Record<ConnectionKey, string>> = {
  fair: 'Connection fair',
  poor: 'Connection poor',
  lost: 'Connection lost',
  because: '{level}: {cause}',
  since: 'Since {time}',
  no_media: 'nothing comes from their device',
  uplink_loss: '{value} % of what they send is lost',
  downlink_loss: '{value} % of what they receive is lost',
  downlink_bandwidth: 'their network receives only {value} kbit/s',
  delay: 'sound takes {value} s there and back',
  uplink_jitter: 'what they send arrives in jumps of {value} ms',
  downlink_jitter: 'what they receive arrives in jumps of {value} ms',
  relayed_by_tcp: 'their network allows TCP only',
};

const pt: Readonly<Record<ConnectionKey, string>> = {
  fair: 'Conexão regular',
  poor: 'Conexão ruim',
  lost: 'Conexão perdida',
  because: '{level}: {cause}',
  since: 'Desde {time}',
  no_media: 'nada chega do dispositivo da pessoa',
  uplink_loss: '{value} % do que envia se perde',
  downlink_loss: '{value} % do que recebe se perde',
  downlink_bandwidth: 'a rede só recebe {value} kbit/s',
  delay: 'o som leva {value} s para ir e voltar',
  uplink_jitter: 'o que envia chega aos saltos de {value} ms',
  downlink_jitter: 'o que recebe chega aos saltos de {value} ms',
  relayed_by_tcp: 'a rede só aceita TCP',
};

export const connectionTexts: Texts<ConnectionKey> = { es, en, pt };
const say = speaker<ConnectionKey>(connectionTexts);

/** How somebody's connection is, and why, in words. */
export function connectionText(told: Pick<ToldQuality, 'level' | 'cause' | 'value'>): string {
  const level = say(told.level);
  if (told.cause === null) return level;
  return say('because', { level, cause: say(told.cause, { value: valueText(told.cause, told) }) });
}

/** Since when it is. */
export function sinceText(time: string): string {
  return say('since', { time });
}

function valueText(cause: ToldCause, { value }: Pick<ToldQuality, 'value'>): string {
  if (value === null) return '';
  return cause === 'delay' ? number(value / 1000, 1) : number(value);
}
