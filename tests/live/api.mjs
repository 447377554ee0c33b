// The REST door, called as the governance service and as people do.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';

/** One call with the governance service's certificate on the internal listener. */
export function asGovernance(server, method, path, body, headers = {}) {
  const file = (name) => readFileSync(join(server.dataDir, 'certs', name));
  return mutualTls(
    server,
    {
      ca: file('ca.pem'),
      cert: file('governance.pem'),
      key: file('governance.key'),
    },
    method,
    path,
    body,
    headers,
  );
}

/** One call on the internal listener with whatever certificate is given. */
export function mutualTls(server, credentials, method, path, body, headers = {}) {
  const text = body === undefined ? undefined : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const call = httpsRequest(
      {
        ...credentials,
        host: 'localhost',
        family: 4,
        port: server.port.internal,
        method,
        path,
        agent: false,
        headers: {
          ...(text === undefined
            ? {}
            : {
                'Content-Type': 'application/json',
                'Content-Length': Buffer.byteLength(text),
              }),
          ...headers,
        },
      },
      (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const whole = Buffer.concat(chunks).toString();
          resolve({
            status: response.statusCode,
            headers: response.headers,
            body: whole === '' ? null : JSON.parse(whole),
          });
        });
      },
    );
    call.on('error', reject);
    call.end(text);
  });
}

/** A tenant that no other test uses, and its session, not yet started. */
export async function scheduledSession(server, wanted = {}) {
  const created = await asGovernance(server, 'POST', '/api/v1/sessions', {
    tenant_id: wanted.tenant_id ?? randomUUID(),
    assembly_id: randomUUID(),
    title: 'Junta general ordinaria',
    modality: 'mixed',
    ...wanted,
  });
  if (created.status !== 201) throw new Error(`no session: ${JSON.stringify(created)}`);
  return created.body;
}

/** Starts a session. */
export async function start(server, session) {
  const started = await asGovernance(server, 'POST', `/api/v1/sessions/${session}/start`);
  if (started.status !== 200) throw new Error(`not started: ${JSON.stringify(started)}`);
  return started.body;
}

/** A session of a tenant that no other test uses, started. */
export async function startedSession(server, wanted = {}) {
  const { id } = await scheduledSession(server, wanted);
  return start(server, id);
}

/** An access token of the built-in issuer that is bound to no key. */
export async function bearerToken(server, { tenant, user, roles = ['participant'], name = user }) {
  const response = await fetch(`${server.origin}/dev/token`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ tenant_id: tenant, user_id: user, name, roles }),
  });
  if (response.status !== 200) throw new Error(`no token: ${await response.text()}`);
  return (await response.json()).access_token;
}

/** A call over plain HTTP; the body is read as JSON when it is JSON. */
export async function call(server, method, path, { token, type, body, headers = {} } = {}) {
  const response = await fetch(server.origin + path, {
    method,
    headers: {
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
      ...(type === undefined ? {} : { 'Content-Type': type }),
      ...headers,
    },
    body,
  });
  const text = await response.text();
  const isJson = (response.headers.get('content-type') ?? '').startsWith('application/json');
  return {
    status: response.status,
    headers: response.headers,
    body: isJson ? JSON.parse(text) : text,
  };
}
