import type { LeftOutView } from '../generated/wire';
import type { Texts } from './texts';
import { speaker } from './texts';

const es = {
  title:
    '{count, plural, one {Una delegación de la lista no vale} other {# delegaciones de la lista no valen}}',
  one: '{unit}, delegada en {name}: {why}',
  more: 'Son las primeras {count}. Quien administra la lista puede ver todas.',
  unit_not_found: 'esa unidad no está en la lista',
  own_unit: 'la unidad ya es suya',
  not_a_person: 'no es una persona',
  already_delegated: 'otra persona representa ya esa unidad',
  limit_reached: 'ya representa tantas unidades como permite la sesión',
  full: 'la sesión no admite más delegaciones',
};

/** The name of a text about what of the eligible list does not hold. */
type EligibleKey = keyof typeof es;

const en: Readonly<Record<EligibleKey, string>> = {
  title:
    '{count, plural, one {One delegation of the list does not hold} other {# delegations of the list do not hold}}',
  one: '{unit}, delegated to {name}: {why}',
  more: 'These are the first {count}. Whoever manages the list can see them all.',
  unit_not_found: 'that unit is not on the list',
  own_unit: 'the unit is already theirs',
  not_a_person: 'that is not a person',
  already_delegated: 'somebody else already represents that unit',
  limit_reached: 'they already represent as many units as the session allows',
  full: 'the session takes no more delegations',
};

const pt: Readonly<Record<EligibleKey, string>> = {
  title:
    '{count, plural, one {Uma delegação da lista não vale} other {# delegações da lista não valem}}',
  one: '{unit}, delegada a {name}: {why}',
  more: 'São as primeiras {count}. Quem administra a lista pode ver todas.',
  unit_not_found: 'essa unidade não está na lista',
  own_unit: 'a unidade já é dessa pessoa',
  not_a_person: 'não é uma pessoa',
  already_delegated: 'outra pessoa já representa essa unidade',
  limit_reached: 'já representa tantas unidades quantas a sessão permite',
  full: 'a sessão não admite mais delegações',
};

export const eligibleTexts: Texts<EligibleKey> = { es, en, pt };
/** A text about what of the eligible list does not hold. */
export const e = speaker<EligibleKey>(eligibleTexts);

const isKey = (word: string): word is EligibleKey => word in es;

/** A delegation that was left out, and why, in words. */
export function leftOutText({ unit, name, user_id, reason, message }: LeftOutView): string {
  const why = isKey(reason) ? e(reason) : message;
  return e('one', { unit, name: name === '' ? user_id : name, why });
}
