import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

/** Words and forms of Portugal, where Brazil says it otherwise. */
const EUROPEAN = [
  ...['aceite', 'facto', 'ecrã', 'ficheiro', 'utilizador', 'equipa', 'registe', 'contacto'],
  ...['actual', 'telemóvel', 'rato', 'palavra-passe', 'consola', 'convocatória', 'pormenor'],
  ...['descargas', 'excerto', 'fecho', 'prima', 'registo', 'demasiado', 'hífenes'],
  'à espera',
  // "Is doing" by "a" and an infinitive.
  '(está|estão|estava|continua|continuam|continuar|há .{1,30}) a \\p{Ll}+[aeio]r(em)?',
  // A pronoun after the verb where the sentence has no other subject.
  '\\p{L}+(am|em|a|e|ar)-(se|os|as)(?= (o|a|os|as|cifrad\\p{L}+|ao|aos|às)(?!\\p{L}))',
  '\\p{L}+á-lo-ia',
];
const SPOKEN = new RegExp(`(?<!\\p{L})(${EUROPEAN.join('|')})s?(?!\\p{L})`, 'iu');
/** A label such as "A gravar". */
const LABEL = /['"]A (?!favor|partir|seguir)\p{Ll}+[aeio]r(?!\p{L})/u;

/** The Portuguese of a file of texts, or nothing. */
function portugueseOf(path: string): string {
  const text = readFileSync(path, 'utf8');
  if (path.endsWith('/pt.ts')) return text;
  const start = text.search(/^(export )?const pt\b/m);
  return start < 0 ? '' : text.slice(start, text.indexOf('\n};', start));
}

const root = import.meta.dirname;
const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
  .map((name) => join(root, name));

it('finds words of Portugal', () => {
  for (const text of ["'A gravar'", "'Nada foi aceite.'", "'Está a verificar o registro'"]) {
    expect(SPOKEN.test(text) || LABEL.test(text), text).toBe(true);
  }
  expect(SPOKEN.test("'Gravando: aceito, fato, registro'")).toBe(false);
});

it('speaks one Portuguese: that of Brazil', () => {
  const found = files.flatMap((path) =>
    portugueseOf(path)
      .split('\n')
      .filter((line) => SPOKEN.test(line) || LABEL.test(line))
      .map((line) => `${path}: ${line.trim()}`),
  );
  expect(found).toEqual([]);
  const whole = files.map(portugueseOf).join('\n');
  expect(whole.length).toBeGreaterThan(40_000);
});
