import type { LeftOutView, ListRefusedView } from '../generated/wire';
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
  refused: 'La lista de quienes pueden asistir se ha rechazado: {why}',
  mend: 'Hay que corregirla en su origen; el servidor vuelve a pedirla cada minuto. Hasta entonces no se puede registrar a nadie.',
  row: 'fila {row}',
  user: 'persona {user}',
  unit: 'unidad {unit}',
  member_twice: 'una persona aparece dos veces',
  unit_twice: 'una unidad aparece dos veces',
  member_invalid: 'el identificador o el nombre de una persona no es válido',
  unit_invalid: 'el identificador de una unidad no es válido',
  weight_invalid: 'el coeficiente de una unidad no es válido',
  delegation_invalid: 'una delegación no es válida',
  too_long: 'es demasiado larga o no termina',
  unreadable: 'el servicio no ha dado una lista de esta asamblea',
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
  refused: 'The list of those who may attend was refused: {why}',
  mend: 'It has to be corrected where it comes from; the server asks for it again every minute. Until then nobody can be registered.',
  row: 'row {row}',
  user: 'person {user}',
  unit: 'unit {unit}',
  member_twice: 'a person is listed twice',
  unit_twice: 'a unit is listed twice',
  member_invalid: 'the identifier or the name of a person is not valid',
  unit_invalid: 'the identifier of a unit is not valid',
  weight_invalid: 'the weight of a unit is not valid',
  delegation_invalid: 'a delegation is not valid',
  too_long: 'it is too long or has no end',
  unreadable: 'the service gave no list of this assembly',
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
  refused: 'A lista de quem pode participar foi recusada: {why}',
  mend: 'É preciso corrigi-la na origem; o servidor a pede de novo a cada minuto. Até lá ninguém pode ser registrado.',
  row: 'linha {row}',
  user: 'pessoa {user}',
  unit: 'unidade {unit}',
  member_twice: 'uma pessoa aparece duas vezes',
  unit_twice: 'uma unidade aparece duas vezes',
  member_invalid: 'o identificador ou o nome de uma pessoa não é válido',
  unit_invalid: 'o identificador de uma unidade não é válido',
  weight_invalid: 'o peso de uma unidade não é válido',
  delegation_invalid: 'uma delegação não é válida',
  too_long: 'é longa demais ou não termina',
  unreadable: 'o serviço não deu uma lista desta assembleia',
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

/** Why a list is refused, and where in it, in words. */
export function refusedText({ reason, row, user_id, unit, message }: ListRefusedView): string {
  const why = isKey(reason) ? e(reason) : message;
  const where = [
    row === null ? null : e('row', { row }),
    user_id === null ? null : e('user', { user: user_id }),
    unit === null ? null : e('unit', { unit }),
  ].filter((part) => part !== null);
  return e('refused', { why: where.length === 0 ? why : `${why} (${where.join(', ')})` });
}
