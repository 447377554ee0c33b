import { describe, expect, it } from 'vitest';
import type { ApiClient } from './api_client';
import { MINUTES_BYTES_MAX, minutesLanguage, minutesProblem, readMinutes } from './minutes';

function answering(headers: Record<string, string>) {
  const asked: string[] = [];
  const requestText = (path: string) => {
    asked.push(path);
    return Promise.resolve({ text: '# Acta', headers: new Headers(headers) });
  };
  return { asked, api: { requestText } as unknown as ApiClient };
}

describe('minutes', () => {
  it('are a draft in a language, or what was confirmed last', async () => {
    const draft = answering({ 'Cabildo-Minutes': 'draft', 'Content-Language': 'pt' });
    expect(await readMinutes(draft.api, 's', 'pt')).toEqual({
      text: '# Acta',
      language: 'pt',
      version: null,
    });
    expect(draft.asked).toEqual(['/api/v1/sessions/s/minutes?version=draft&lang=pt']);
    const confirmed = answering({
      'Cabildo-Minutes': 'confirmed; version=12',
      'Content-Language': 'en',
    });
    expect((await readMinutes(confirmed.api, 's', 'confirmed')).version).toBe(12);
    expect(confirmed.asked).toEqual(['/api/v1/sessions/s/minutes?version=confirmed']);
  });

  it('are in a language that can be drafted', () => {
    expect(['es-PY', 'EN', 'pt_BR', 'gn', ''].map(minutesLanguage)).toEqual([
      'es',
      'en',
      'es',
      'es',
      'es',
    ]);
  });

  it('are refused before they are sent when the server would refuse them', () => {
    expect(minutesProblem(' \n')).toBe('empty');
    expect(minutesProblem('one page\fanother page')).toBe('control');
    expect(minutesProblem('a line\r\n\tand another')).toBeNull();
    expect(minutesProblem('a'.repeat(MINUTES_BYTES_MAX))).toBeNull();
    expect(minutesProblem('ñ'.repeat(MINUTES_BYTES_MAX / 2 + 1))).toBe('long');
  });
});
