// The page that verifies, in Firefox: bundles as folders and archives, chosen and dropped, a proof
// alone, and what was changed or cut off. Steps of the story in copies.test.mjs.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { call } from './api.mjs';
import { launchFirefox, newPage, screenshot } from './browser.mjs';
import { isAccessible } from './looks.mjs';

/** What the page says in each language of a bundle in which nothing is wrong. */
const VALID = {
  es: /correct|íntegr|comprob/i,
  en: /correct|whole|checked/i,
  pt: /corret|íntegr|verific/i,
};

/** The files in a directory with their paths, as a browser has them. */
function filesIn(directory, root) {
  return readdirSync(directory).flatMap((name) => {
    const path = join(directory, name);
    if (statSync(path).isDirectory()) return filesIn(path, root);
    return [
      {
        path: relative(root, path),
        bytes: readFileSync(path).toString('base64'),
      },
    ];
  });
}

const fileAt = (path) => [
  {
    path: path.split('/').at(-1),
    bytes: readFileSync(path).toString('base64'),
  },
];

/**
 * Hands files to the page as its visitor would: `how` is `folder`, `files` or `drop`. Firefox is not
 * driven through the dialogs and the desktop, so the files are made in the page.
 */
function hand(page, how, files) {
  return page.evaluate(
    ({ how, files }) => {
      const transfer = new DataTransfer();
      for (const { path, bytes } of files) {
        const content = Uint8Array.from(atob(bytes), (byte) => byte.charCodeAt(0));
        transfer.items.add(new File([content], path.split('/').at(-1)));
      }
      if (how === 'drop') {
        const place = document.querySelector('[data-testid=drop]');
        const event = (type) =>
          new DragEvent(type, {
            bubbles: true,
            cancelable: true,
            dataTransfer: transfer,
          });
        place.dispatchEvent(event('dragover'));
        place.dispatchEvent(event('drop'));
        return;
      }
      const input = document.querySelector(`[data-testid=${how}-input]`);
      input.files = transfer.files;
      [...input.files].forEach((file, place) => {
        const value = how === 'folder' ? files[place].path : '';
        Object.defineProperty(file, 'webkitRelativePath', { value });
      });
      input.dispatchEvent(new Event('change', { bubbles: true }));
    },
    { how, files },
  );
}

/** Opens the page afresh with the server's keys as trusted, hands it files, answers what it says. */
async function saysOf(stage, page, [how, files]) {
  await page.goto(`${stage.server.origin}/verify`);
  await page.getByTestId('drop').waitFor();
  await page
    .locator('details', { has: page.getByTestId('trusted-input') })
    .locator('summary')
    .click();
  await page.getByTestId('trusted-input').setInputFiles(stage.keys);
  await hand(page, how, files);
  const report = page.getByTestId('report');
  const failure = page.getByTestId('verify-failure');
  await report.or(failure).first().waitFor();
  const text = await report.or(failure).first().textContent();
  const verdict =
    (await report.count()) > 0 ? await report.getAttribute('data-verdict') : 'failure';
  return { verdict, text };
}

/** The same bundle in all its forms, and changed. */
async function formsOf(stage) {
  const unpacked = join(stage.directory, 'firefox');
  mkdirSync(unpacked);
  execFileSync('tar', ['-xf', stage.whole, '-C', unpacked]);
  const [root] = readdirSync(unpacked);
  const zip = join(stage.directory, 'firefox.zip');
  const make = ['-m', 'zipfile', '-c', zip, join(unpacked, root)];
  execFileSync('python3', make);
  const folder = filesIn(join(unpacked, root), unpacked);
  const changed = folder.map((file) => ({ ...file }));
  const object = changed.find(({ path }) => path.includes('/objects/'));
  const bytes = Buffer.from(object.bytes, 'base64');
  bytes[Math.floor(bytes.length / 2)] ^= 1;
  object.bytes = bytes.toString('base64');
  const lacking = folder.filter(({ path }) => !path.endsWith(object.path));
  const cut = join(stage.directory, 'firefox-cut.tar');
  const tar = readFileSync(stage.whole);
  writeFileSync(cut, tar.subarray(0, Math.floor(tar.length / 2)));
  const { id } = stage.session;
  const proof = await call(stage.server, 'GET', `/api/v1/sessions/${id}/audit-proof`);
  const document = join(stage.directory, 'firefox-proof.json');
  writeFileSync(document, JSON.stringify(proof.body));
  const forged = join(stage.directory, 'firefox-forged.json');
  const head = Buffer.from(proof.body.head.cose, 'base64url');
  head[head.length - 5] ^= 1;
  const lie = {
    ...proof.body,
    head: { ...proof.body.head, cose: head.toString('base64url') },
  };
  writeFileSync(forged, JSON.stringify(lie));
  const other = join(stage.directory, 'firefox-other.json');
  writeFileSync(other, '{"some": "thing"}');
  return { folder, changed, lacking, zip, cut, document, forged, other };
}

export const verifyInFirefox = {
  'Firefox says of bundles and proofs what they are, in three languages': async (stage, t) => {
    stage.firefox = await launchFirefox();
    const forms = await formsOf(stage);
    const whole = {
      es: ['folder', forms.folder],
      en: ['files', fileAt(forms.zip)],
      pt: ['drop', fileAt(stage.whole)],
    };
    for (const [locale, given] of Object.entries(whole)) {
      const page = await newPage(stage.firefox, {
        locale,
        viewport: { width: 900, height: 800 },
      });
      stage.pages.firefox = page;
      const began = Date.now();
      const { verdict, text } = await saysOf(stage, page, given);
      t.diagnostic(`${given[0]} in ${Date.now() - began} ms`);
      assert.equal(verdict, 'valid', `${locale}: ${text}`);
      assert.match(text, VALID[locale], locale);
      assert.equal(await page.locator('html').getAttribute('lang'), locale);
      assert.deepEqual(page.problems, [], locale);
      await isAccessible(page, `verify in Firefox, ${locale}`);
      await screenshot(page, `verify-firefox-${locale}`);
      // Screenshots put a style into the page, which its policy blocks.
      page.problems.length = 0;
      for (const [name, handed, expected] of [
        ['a changed folder', ['folder', forms.changed], 'invalid'],
        ['a folder that lacks an object', ['folder', forms.lacking], 'incomplete'],
        ['a proof', ['files', fileAt(forms.document)], 'valid'],
        ['a proof that is dropped', ['drop', fileAt(forms.document)], 'valid'],
        ['a forged proof', ['files', fileAt(forms.forged)], 'invalid'],
        ['half an archive', ['files', fileAt(forms.cut)], 'failure'],
        ['something else', ['drop', fileAt(forms.other)], 'failure'],
      ]) {
        const said = await saysOf(stage, page, handed);
        assert.equal(said.verdict, expected, `${locale}, ${name}: ${said.text}`);
        // The code stands below, for whoever asks somebody about it.
        for (const words of await page.locator('[data-code] strong').allTextContents())
          assert.doesNotMatch(words, /[A-Z]_[A-Z]/, `${locale}, ${name}`);
      }
      assert.deepEqual(page.problems, [], locale);
      await page.context().close();
    }
    delete stage.pages.firefox;
  },
};
