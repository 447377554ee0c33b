/** Values that a message's placeholders stand for. */
export type Parameters = Readonly<Record<string, string | number>>;

/**
 * A message with its placeholders filled: `{name}`, and
 * `{count, plural, =0 {none} one {one} other {# things}}` by the plural rules
 * of the language, where `#` is the number as the language writes it.
 */
export function format(message: string, locale: string, parameters: Parameters = {}): string {
  let text = '';
  let at = 0;
  while (at < message.length) {
    const open = message.indexOf('{', at);
    if (open < 0) return text + message.slice(at);
    const close = closing(message, open);
    text += message.slice(at, open) + filled(message.slice(open + 1, close), locale, parameters);
    at = close + 1;
  }
  return text;
}

/** The names of a message's placeholders, for comparing catalogues. */
export function placeholders(message: string): string[] {
  const names = new Set<string>();
  for (let open = message.indexOf('{'); open >= 0; open = message.indexOf('{', open)) {
    const close = closing(message, open);
    names.add((message.slice(open + 1, close).split(',')[0] ?? '').trim());
    open = close;
  }
  return [...names].sort();
}

function filled(inside: string, locale: string, parameters: Parameters): string {
  const [name = '', kind = ''] = inside.split(',', 2).map((one) => one.trim());
  const value = parameters[name] ?? '';
  if (kind !== 'plural') return String(value);
  const number = Number(value);
  const choices = choicesOf(inside.slice(inside.indexOf(',', inside.indexOf(',') + 1) + 1));
  const chosen =
    choices.get(`=${number}`) ??
    choices.get(new Intl.PluralRules(locale).select(number)) ??
    choices.get('other') ??
    '';
  return format(chosen, locale, parameters).replaceAll(
    '#',
    new Intl.NumberFormat(locale).format(number),
  );
}

function choicesOf(text: string): Map<string, string> {
  const choices = new Map<string, string>();
  for (let at = 0; ;) {
    const open = text.indexOf('{', at);
    if (open < 0) return choices;
    const close = closing(text, open);
    choices.set(text.slice(at, open).trim(), text.slice(open + 1, close));
    at = close + 1;
  }
}

function closing(text: string, open: number): number {
  let depth = 0;
  for (let at = open; at < text.length; at += 1) {
    if (text[at] === '{') depth += 1;
    else if (text[at] === '}') depth -= 1;
    if (depth === 0) return at;
  }
  throw new Error(`a brace is not closed in: ${text}`);
}
