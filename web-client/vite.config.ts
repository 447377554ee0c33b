import { resolve } from 'node:path';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

const PAGES = [
  'index',
  'join',
  'meeting',
  'attend',
  'console',
  'desk',
  'hall',
  'governance',
  'verify',
  'recording',
  'report',
  'cameras',
  'player',
  'signed-in',
  'not-found',
  'docs',
];
const SERVER = 'http://127.0.0.1:3014';

/** Maps `/name` to `name.html` while developing, as the server does. */
function cleanAddresses(): Plugin {
  return {
    name: 'clean-addresses',
    configureServer(server) {
      server.middlewares.use((request, _response, next) => {
        const [path = '', query] = (request.url ?? '').split('?');
        if (PAGES.includes(path.slice(1))) {
          request.url = `${path}.html${query === undefined ? '' : `?${query}`}`;
        }
        next();
      });
    },
  };
}

/**
 * Puts a script of its own before each page's, which waits for nothing. Of what a page imports
 * nothing runs before all of it has come.
 */
function early(): Plugin {
  return {
    name: 'early',
    transformIndexHtml: {
      order: 'post',
      handler(_html, { bundle }) {
        const chunk = Object.values(bundle ?? {}).find(
          (one) => one.type === 'chunk' && one.name === 'early',
        );
        if (chunk === undefined) return [];
        const attrs = { type: 'module', async: true, crossorigin: true, src: `/${chunk.fileName}` };
        return [{ tag: 'script', attrs, injectTo: 'head' }];
      },
    },
  };
}

export default defineConfig({
  appType: 'mpa',
  plugins: [cleanAddresses(), early()],
  worker: { format: 'es' },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // hls.js with subtitles has this much, and is loaded by the player only.
    chunkSizeWarningLimit: 600,
    rolldownOptions: {
      input: {
        ...Object.fromEntries(
          PAGES.map((page) => [page, resolve(import.meta.dirname, `${page}.html`)]),
        ),
        early: resolve(import.meta.dirname, 'src/i18n/early.ts'),
      },
    },
  },
  test: { setupFiles: ['src/i18n/testing/all_languages.ts'] },
  server: {
    proxy: {
      '/api': SERVER,
      '/gateway': SERVER,
      '/dev': SERVER,
      '/.well-known': SERVER,
      '/openapi.json': SERVER,
      '/moderation': { target: SERVER, ws: true },
    },
  },
});
