// Verifiers that others wrote, against what cabildo signs: each must accept what
// is genuine and refuse each forgery. CABILDO_BUNDLE names a bundle's directory,
// closed, with at least one receipt of consistency.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { compactVerify, importJWK } from 'jose';

import { leafOf, proofOf, readBundle, sha256 } from './bundle.mjs';

const cose = createRequire(import.meta.url)('@transmute/cose');
const directory = process.env.CABILDO_BUNDLE;
const python = `${process.env.CABILDO_VENV}/bin/python`;
assert.ok(directory && process.env.CABILDO_VENV, 'run by scripts/foreign');

const bundle = await readBundle(directory);
let scitt;

before(() => {
  const script = new URL('verify_scitt.py', import.meta.url).pathname;
  const child = spawn(python, [script], { stdio: ['pipe', 'pipe', 'inherit'] });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  scitt = {
    async accepts(item) {
      child.stdin.write(`${JSON.stringify(item)}\n`);
      const { value, done } = await answers.next();
      assert.ok(!done, 'scitt-cose ended');
      return JSON.parse(value);
    },
    end: () => child.stdin.end(),
  };
});
after(() => scitt.end());

const bytes = (hex) => Buffer.from(hex, 'hex');
const resolver = (jwk) => ({ resolve: async () => ({ ...jwk, alg: 'ES256' }) });

/**
 * RFC 9162 §2.1.4.2 step 2: from a power of two the path starts with the old
 * root, which whoever verifies puts there. @transmute/rfc9162 leaves the step
 * out, so it is done for it; the proof is in no signed header.
 */
function withOldRoot({ cose: hex, first, oldRoot }) {
  if (first & (first - 1)) return bytes(hex);
  const { value } = cose.cbor.decode(bytes(hex));
  const proofs = value[1].get(396);
  const [one, two, path] = cose.cbor.decode(proofs.get(-2)[0]);
  proofs.set(-2, [cose.cbor.encode([one, two, [bytes(oldRoot), ...path]])]);
  return cose.cbor.encode(new cose.cbor.Tagged(18, value));
}

const transmute = {
  async accepts(item) {
    try {
      if (item.kind === 'head') {
        await cose.attached.verifier({ resolver: resolver(item.jwk) }).verify({ coseSign1: bytes(item.cose) });
        return true;
      }
      const verifier = cose.detached.verifier({ resolver: resolver(item.jwk) });
      const receipt = bytes(item.cose);
      if (item.kind === 'inclusion') {
        await cose.receipt.inclusion.verify({ entry: leafOf(bytes(item.entry)), receipt, verifier });
        return true;
      }
      return await cose.receipt.consistency.verify({
        oldRoot: bytes(item.oldRoot),
        newRoot: bytes(item.newRoot),
        receipt: withOldRoot(item),
        verifier,
      });
    } catch {
      return false;
    }
  },
};

/** The same with one bit of a field flipped. */
function flipped(item, field, bit) {
  const changed = bytes(item[field]);
  changed[bit >> 3] ^= 1 << (bit & 7);
  return { ...item, [field]: changed.toString('hex') };
}

/** Forgeries of a case, each with its name. */
function forgeries(item) {
  const found = [];
  const { value } = cose.cbor.decode(bytes(item.cose));
  const all = bytes(item.cose);
  const at = (part) => all.indexOf(Buffer.from(part));
  const [headers, , payload, signature] = value;
  // Bits of what is signed, and of the signature.
  for (const [name, part] of Object.entries({ headers, payload, signature })) {
    if (!part) continue;
    const start = at(part);
    for (let byte = 0; byte < part.length; byte += 7) {
      found.push([`${name}, byte ${byte}`, flipped(item, 'cose', (start + byte) * 8 + (byte % 8))]);
    }
  }
  for (const field of ['entry', 'oldRoot', 'newRoot'].filter((field) => item[field])) {
    const length = item[field].length / 2;
    for (let byte = 0; byte < length; byte += 5) {
      found.push([`${field}, byte ${byte}`, flipped(item, field, byte * 8 + (byte % 8))]);
    }
  }
  if (item.kind !== 'head') {
    // Bits of the hashes on the path, where both readings of a receipt see them.
    for (const [place, hash] of proofOf(all).path.entries()) {
      const start = at(bytes(hash));
      const forged = flipped(item, 'cose', (start + 3) * 8 + 2);
      const path = item.path?.map((other, number) =>
        number === place ? flipped({ hash: other }, 'hash', 26).hash : other,
      );
      found.push([`path, hash ${place}`, { ...forged, ...(path && { path }) }]);
    }
  }
  const stranger = bundle.cases.find((other) => other.kind === item.kind && other.cose !== item.cose);
  if (stranger && item.kind !== 'head') {
    found.push(['the receipt of another', { ...item, cose: stranger.cose, path: stranger.path }]);
  }
  return found;
}

test('the bundle has every kind', () => {
  const kinds = new Set(bundle.cases.map((item) => item.kind));
  assert.deepEqual([...kinds].sort(), ['consistency', 'head', 'inclusion']);
});

for (const [name, tool] of [
  ['scitt-cose', () => scitt],
  ['@transmute/cose', () => transmute],
]) {
  test(`${name} accepts what is genuine`, async () => {
    for (const [number, item] of bundle.cases.entries()) {
      assert.equal(await tool().accepts(item), true, `${item.kind} ${number}`);
    }
  });

  test(`${name} refuses each forgery`, async () => {
    let count = 0;
    for (const kind of ['head', 'inclusion', 'consistency']) {
      // The newest of each kind, and the first.
      const all = bundle.cases.filter((item) => item.kind === kind);
      for (const item of new Set([all[0], all.at(-1)])) {
        for (const [what, forged] of forgeries(item)) {
          assert.equal(await tool().accepts(forged), false, `${kind}: ${what}`);
          count += 1;
        }
      }
    }
    assert.ok(count > 200, `${count} forgeries`);
  });
}

test('jose accepts the head as a JWS and refuses each forgery', async () => {
  const key = await importJWK(bundle.jwk, 'ES256');
  const { payload, protectedHeader } = await compactVerify(bundle.jws, key, { algorithms: ['ES256'] });
  assert.equal(protectedHeader.typ, 'cabildo-head+jwt');
  const claims = JSON.parse(Buffer.from(payload));
  assert.equal(claims.cose_sha256, sha256(bundle.head).toString('base64url'));
  assert.equal(claims.tree_size, bundle.proof.head.tree_size);
  assert.equal(claims.root, bundle.proof.head.root);
  assert.equal(claims.sub, `urn:uuid:${bundle.proof.session}`);
  const parts = bundle.jws.split('.').map((part) => Buffer.from(part, 'base64url'));
  for (const [number, part] of parts.entries()) {
    for (let byte = 0; byte < part.length; byte += 1) {
      const changed = Buffer.from(part);
      changed[byte] ^= 1 << (byte % 8);
      const forged = parts.map((other, place) => (place === number ? changed : other));
      const text = forged.map((other) => other.toString('base64url')).join('.');
      await assert.rejects(compactVerify(text, key, { algorithms: ['ES256'] }), `part ${number}, byte ${byte}`);
    }
  }
});
