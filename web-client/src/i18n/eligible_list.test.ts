import { afterEach, describe, expect, it } from 'vitest';
import { leftOutText, refusedText } from './eligible_list';
import type { Language } from './catalogues';
import { LANGUAGES } from './catalogues';
import { language } from './i18n';

const leftOut = {
  unit: 'Torre A 101',
  user_id: 'o5',
  name: 'Ana Ruiz',
  reason: 'limit_reached',
  code: 'DELEGATION_LIMIT_REACHED',
  message: 'as the server says it',
};
const refused = {
  reason: 'unit_twice',
  row: 12,
  user_id: 'o5',
  unit: 'Torre A 101',
  message: 'as the server says it',
};

describe('what of the eligible list does not hold', () => {
  const before = language.value;
  afterEach(() => {
    language.value = before;
  });

  it.each<[Language, string, string]>([
    [
      'es',
      'Torre A 101, delegada en Ana Ruiz: ya representa tantas unidades como permite la sesión',
      'La lista de quienes pueden asistir se ha rechazado: una unidad aparece dos veces (fila 12, persona o5, unidad Torre A 101)',
    ],
    [
      'en',
      'Torre A 101, delegated to Ana Ruiz: they already represent as many units as the session allows',
      'The list of those who may attend was refused: a unit is listed twice (row 12, person o5, unit Torre A 101)',
    ],
    [
      'pt',
      'Torre A 101, delegada a Ana Ruiz: já representa tantas unidades quantas a sessão permite',
      'A lista de quem pode participar foi recusada: uma unidade aparece duas vezes (linha 12, pessoa o5, unidade Torre A 101)',
    ],
  ])('is said in %s with where and why', (spoken, one, whole) => {
    language.value = spoken;
    expect(leftOutText(leftOut)).toBe(one);
    expect(refusedText(refused)).toBe(whole);
  });

  it.each(LANGUAGES)('is said in %s with what is known', (spoken) => {
    language.value = spoken;
    expect(leftOutText({ ...leftOut, name: '' })).toContain('o5');
    expect(leftOutText({ ...leftOut, reason: 'of a newer server' })).toContain(leftOut.message);
    const nowhere = { ...refused, row: null, user_id: null, unit: null };
    expect(refusedText(nowhere)).not.toContain('(');
    expect(refusedText({ ...nowhere, reason: 'of a newer server' })).toContain(refused.message);
  });
});
