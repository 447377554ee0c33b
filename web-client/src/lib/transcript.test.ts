import { describe, expect, it } from 'vitest';
import type { ApiClient } from './api_client';
import type { TranscriptPiece } from './transcript';
import { partsFound, piecesFound, readTranscript } from './transcript';

const FROM = Date.parse('2026-03-01T10:00:00Z');

function piece(seq: number, text: string | null, name = 'Ana Núñez'): TranscriptPiece {
  return {
    seq,
    participant: 'ana',
    name,
    turn: null,
    from: new Date(FROM + seq * 1000).toISOString(),
    to: new Date(FROM + seq * 1000 + 500).toISOString(),
    text,
    original: text,
    language: 'es',
    corrections: [],
    gap: text === null ? 'overload' : null,
  };
}

const found = (text: string, search: string) =>
  partsFound(text, search)
    .filter((part) => part.found)
    .map((part) => part.text);

describe('what is searched for', () => {
  it('is marked as it is written, whatever its accents and capitals', () => {
    expect(found('La Sesión y la SESION', 'sesion')).toEqual(['Sesión', 'SESION']);
    expect(found('presupuesto', 'PRESU')).toEqual(['presu']);
    expect(found('Straße 🎉 año', 'ano')).toEqual(['año']);
    expect(found('nada', '   ')).toEqual([]);
    expect(found('', 'x')).toEqual([]);
  });

  it('is put together again to the same text', () => {
    for (const text of ['Ñandú ñandú', 'aaaa', 'İstanbul', 'e\u0301l y él', 'a<b>c']) {
      for (const search of ['n', 'aa', 'i', 'el', 'a b', '<b>']) {
        const parts = partsFound(text, search).map((part) => part.text);
        expect(parts.join('')).toBe(text);
        expect(parts).not.toContain('');
      }
    }
  });

  it('may lie over something else that is searched for', () => {
    expect(partsFound('acta', 'act cta')).toEqual([
      { text: 'act', found: true },
      { text: 'a', found: true },
    ]);
  });

  it('is said, or is the name of who said it', () => {
    const pieces = [piece(1, 'Hay quórum'), piece(2, null), piece(3, 'No hay', 'Ben')];
    const seqs = (search: string) => piecesFound(pieces, search).map(({ seq }) => seq);
    expect(seqs('')).toEqual([1, 2, 3]);
    expect(seqs('quorum')).toEqual([1]);
    expect(seqs('nunez')).toEqual([1, 2]);
    expect(seqs('hay ben')).toEqual([3]);
    expect(seqs('acta')).toEqual([]);
  });
});

describe('a transcript', () => {
  it('is read page by page and told by time', async () => {
    const asked: string[] = [];
    const pages = [
      { items: [piece(4, 'd'), piece(2, 'b')], next_cursor: '4' },
      { items: [piece(1, 'a')], next_cursor: null },
    ];
    const api = {
      request: (_method: string, path: string) => {
        asked.push(path);
        return Promise.resolve(pages[asked.length - 1]);
      },
    } as unknown as ApiClient;
    const pieces = await readTranscript(api, 'a/b');
    expect(pieces.map(({ seq }) => seq)).toEqual([1, 2, 4]);
    expect(asked).toEqual([
      '/api/v1/sessions/a%2Fb/transcript?limit=500',
      '/api/v1/sessions/a%2Fb/transcript?limit=500&cursor=4',
    ]);
  });
});
