// The server as an operator runs it in production: a file of configuration, and
// an identity service of somebody else.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cabildo } from './cabildo.mjs';
import { Server } from './server.mjs';

/** A server without `--dev`; `identity` is its section of the configuration. */
export async function production(name, { httpPort, identity }) {
  const server = new Server(name);
  const place = (part) => join(server.dataDir, part);
  const certs = await cabildo(['certs', '--out', place('certs')]);
  if (certs.code !== 0) throw new Error(`no certificates: ${certs.stderr}`);
  const governance = 'spiffe://cabildo.dev/governance';
  const config = {
    http: {
      bind: `127.0.0.1:${httpPort}`,
      public_url: `http://127.0.0.1:${httpPort}`,
    },
    internal: {
      bind: '127.0.0.1:0',
      ca: place('certs/ca.pem'),
      cert: place('certs/server.pem'),
      key: place('certs/server.key'),
      allow: {
        create_session: [governance],
        start_session: [governance],
        end_session: [governance],
      },
    },
    media: { bind: '127.0.0.1:0' },
    store: { url: `sqlite:${place('cabildo.db')}?mode=rwc` },
    identity,
    vault: { kind: 'directory', directory: place('vault') },
    keys: { directory: place('keys') },
    recorder: { spool: place('spool') },
  };
  for (const part of ['vault', 'keys', 'spool']) mkdirSync(place(part), { recursive: true });
  const file = place('cabildo.yaml');
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(config));
  server.serve = ['serve', '--config', file];
  const migrated = await cabildo(['migrate', 'up', '--config', file]);
  if (migrated.code !== 0) throw new Error(`no tables: ${migrated.stderr}`);
  await server.start();
  return server;
}
