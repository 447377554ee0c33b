import { speaker } from '../texts';
import { en } from './en';
import { es } from './es';
import { pt } from './pt';

/** The name of a text of the page for watching. */
export type RecordingKey = keyof typeof es;

export const recordingTexts = { es, en, pt };
export const r = speaker<RecordingKey>(recordingTexts);

/** Whether a text of this name exists. */
export function isRecordingKey(key: string): key is RecordingKey {
  return Object.hasOwn(es, key);
}
