import { textOf } from './bytes';
import { Refused, demand } from './problem';

/** A value of a JSON document. */
export type Json =
  null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

export function parseJson(bytes: Uint8Array): Json {
  const source = textOf(bytes);
  try {
    return JSON.parse(source) as Json;
  } catch {
    throw new Refused('MALFORMED', 'not JSON');
  }
}

/** A field of an object; undefined where it is absent. */
export function field(value: Json | undefined, name: string): Json | undefined {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  demand(isObject, 'MALFORMED', `no object with ${name}`);
  return Object.hasOwn(value, name) ? (value as Record<string, Json>)[name] : undefined;
}

export function text(value: Json | undefined): string {
  demand(typeof value === 'string', 'MALFORMED', 'not text');
  return value;
}

/** A whole number from 0. */
export function count(value: Json | undefined): number {
  const right = typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
  demand(right, 'MALFORMED', 'not a whole number from 0');
  return value;
}

export function list(value: Json | undefined, most: number): readonly Json[] {
  if (!Array.isArray(value)) throw new Refused('MALFORMED', 'not a list');
  demand(value.length <= most, 'TOO_LARGE', `more than ${most}`);
  return value as readonly Json[];
}

/** The field names of an object are exactly these. */
export function exactly(value: Json, names: readonly string[]): boolean {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject && Object.keys(value).sort().join() === [...names].sort().join();
}
