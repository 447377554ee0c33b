import { describe, expect, it } from 'vitest';
import type { ApiClient } from './api_client';
import {
  MINUTES_BYTES_MAX,
  confirmMinutes,
  minutesLanguage,
  minutesProblem,
  readMinutes,
} from './minutes';

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
    const draft = answering({
      'Cabildo-Minutes': 'draft',
      'Content-Language': 'pt',
      ETag: 'W/"3"',
    });
    expect(await readMinutes(draft.api, 's', 'pt')).toEqual({
      text: '# Acta',
      language: 'pt',
      version: null,
      newest: 3,
    });
    expect(draft.asked).toEqual(['/api/v1/sessions/s/minutes?version=draft&lang=pt']);
    const confirmed = answering({
      'Cabildo-Minutes': 'confirmed; version=12',
      'Content-Language': 'en',
    });
    expect((await readMinutes(confirmed.api, 's', 'confirmed')).version).toBe(12);
    expect(confirmed.asked).toEqual(['/api/v1/sessions/s/minutes?version=confirmed']);
  });

  it('are confirmed as a change of the version that was there when they were read', async () => {
    const asked: unknown[] = [];
    const request = (...all: unknown[]) => {
      asked.push(all);
      return Promise.resolve({});
    };
    const api = { request } as unknown as ApiClient;
    const minutes = { language: 'es', text: '# Acta', newest: 2, version: null } as const;
    await confirmMinutes(api, 's', minutes, 'key');
    const body = { language: 'es', text: '# Acta' };
    const options = { body, ifMatch: '"2"', idempotencyKey: 'key' };
    expect(asked).toEqual([['PUT', '/api/v1/sessions/s/minutes', options]]);
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
