import { useState } from 'preact/hooks';
import { tabKeeping } from '../lib';

/** A state that a reload does not lose; it is kept as long as the tab. */
export function useKept<Value>(key: string, first: Value): [Value, (value: Value) => void] {
  const [value, setValue] = useState<Value>(() => kept(key, first));
  return [
    value,
    (next: Value) => {
      keep(key, next);
      setValue(next);
    },
  ];
}

/** What is kept under a name. */
export function kept<Value>(key: string, first: Value): Value {
  try {
    const text = tabKeeping().getItem(`cabildo.kept.${key}`);
    return text === null ? first : (JSON.parse(text) as Value);
  } catch {
    return first;
  }
}

/** Keeps a value under a name. */
export function keep(key: string, value: unknown): void {
  tabKeeping().setItem(`cabildo.kept.${key}`, JSON.stringify(value));
}
