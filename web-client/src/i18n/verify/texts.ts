import { speaker } from '../texts';
import { en } from './en';
import { es } from './es';
import { pt } from './pt';

/** The name of a text of the page that verifies. */
export type VerifyKey = keyof typeof es;

export const verifyTexts = { es, en, pt };
export const v = speaker<VerifyKey>(verifyTexts);

/** Whether a text of this name exists. */
export function isVerifyKey(key: string): key is VerifyKey {
  return Object.hasOwn(es, key);
}
