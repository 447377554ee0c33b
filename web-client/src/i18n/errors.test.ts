import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { LANGUAGES, catalogueOf } from './catalogues';
import { errorText, language } from './i18n';

interface Described {
  readonly components: {
    readonly schemas: { readonly Error: { readonly properties: { readonly code: Codes } } };
  };
}

interface Codes {
  readonly enum: readonly string[];
}

/** Every code that the server refuses with, as its description lists them. */
function serverCodes(): readonly string[] {
  const file = new URL('../../../docs/openapi.json', import.meta.url);
  const { components } = JSON.parse(readFileSync(file, 'utf8')) as Described;
  return components.schemas.Error.properties.code.enum;
}

/** What the pages themselves refuse with. */
const OWN_CODES = [
  'NETWORK',
  'NOT_CONNECTED',
  'CONNECTION_LOST',
  'TIMED_OUT',
  'SIGN_IN_REQUIRED',
  'SIGN_IN_LOOP',
  'SIGN_IN_WINDOW',
  'SIGN_IN_CANCELLED',
  'SIGN_IN_REFUSED',
  'SIGN_IN_UNAVAILABLE',
  'SIGN_IN_MISSING',
  'INSECURE_PAGE',
  'PAGE_FAILED',
  'BUNDLE_CUT_OFF',
  'MICROPHONE_REFUSED',
  'CAMERA_REFUSED',
  'SCREEN_REFUSED',
  'SECTION_REFUSED',
];

describe('what was refused', () => {
  const codes = [...serverCodes(), ...OWN_CODES];

  it.each(LANGUAGES)('has a text of its own for every code in %s', (wanted) => {
    const catalogue: Readonly<Partial<Record<string, string>>> = catalogueOf(wanted);
    const missing = codes.filter((code) => catalogue[`error.${code}`] === undefined);
    expect(missing).toEqual([]);
  });

  it.each(LANGUAGES)('shows no code to people in %s', (wanted) => {
    language.value = wanted;
    for (const code of [...codes, 'A_CODE_OF_A_LATER_VERSION', 'HTTP_502']) {
      expect(errorText(code), code).not.toMatch(/[A-Z]+_[A-Z]|(?<!H\.)\d{3}/);
    }
    language.value = 'es';
  });
});
