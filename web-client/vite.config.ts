import { resolve } from 'node:path';
import { defineConfig } from 'vite';
import type { Plugin } from 'vite';

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

export default defineConfig({
  appType: 'mpa',
  plugins: [cleanAddresses()],
  worker: { format: 'es' },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // hls.js with subtitles has this much, and is loaded by the player only.
    chunkSizeWarningLimit: 600,
    rolldownOptions: {
      input: Object.fromEntries(
        PAGES.map((page) => [page, resolve(import.meta.dirname, `${page}.html`)]),
      ),
    },
  },
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
