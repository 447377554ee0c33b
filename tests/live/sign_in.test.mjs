// Signing in at a provider of OpenID Connect, and tokens that are renewed while a
// meeting goes on: nobody is ever thrown out of it.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { startedSession } from './api.mjs';
import { launch, messages, newPage, screenshot } from './browser.mjs';
import { CLIENT, Identity, RESOURCE, signIn } from './identity.mjs';
import { isConnected, press } from './pages.mjs';
import { steadyPort } from './ports.mjs';
import { production } from './production.mjs';
import { story } from './story.mjs';
import { until } from './until.mjs';

const TENANT = randomUUID();
/** Within this the tokens of a minute were renewed twice, and those of some seconds thirty times. */
const RENEWED_MS = 240_000;
const PEOPLE = {
  chair: {
    tenant_id: TENANT,
    roles: ['moderator'],
    name: 'Presidencia',
    locale: 'es_CO',
  },
  ana: { tenant_id: TENANT, roles: ['participant'], name: 'Ana', locale: '' },
  nobody: { tenant_id: TENANT, roles: [], name: 'Nadie' },
};

async function open(stage) {
  const httpPort = await steadyPort();
  const origin = `http://127.0.0.1:${httpPort}`;
  stage.identity = await Identity.start({
    people: PEOPLE,
    returnTo: `${origin}/signed-in`,
  });
  stage.server = await production('sign-in', {
    httpPort,
    identity: {
      issuer: stage.identity.issuer,
      audience: 'cabildo',
      jwks_url: stage.identity.jwksUrl,
      client_id: CLIENT,
      resource: RESOURCE,
    },
  });
  stage.browser = await launch();
  stage.session = await startedSession(stage.server, { tenant_id: TENANT });
  stage.stop = () => stage.identity.down();
}

/** A page that counts how often it was loaded, this load not counted. */
async function counted(page) {
  page.loads = 0;
  page.on('framenavigated', (frame) => {
    if (frame === page.mainFrame()) page.loads += 1;
  });
}

async function enter(stage, name, path) {
  const page = await newPage(stage.browser, {
    viewport: { width: 1280, height: 800 },
  });
  stage.pages[name] = page;
  await page.goto(`${stage.server.origin}${path}?session=${stage.session.id}&debug`);
  await signIn(page, name);
  await page.waitForURL(`${stage.server.origin}${path}?**`);
  return page;
}

const renewals = async (page) => (await messages(page, 'token_renewed')).length;

const renewedAgain = async (page, times, ms) => {
  const before = await renewals(page);
  await until(
    `${times} renewals`,
    async (seen) => {
      seen.last = (await renewals(page)) - before;
      return seen.last >= times;
    },
    ms,
  );
};

story('Signing in', open, {
  'the provider asks who one is, and the page is entered': async (stage) => {
    const chair = await enter(stage, 'chair', '/console');
    await chair.getByTestId('console').waitFor();
    await isConnected(chair);
    assert.ok(!chair.url().includes('code='), 'the code stays in the address');
    const ana = await enter(stage, 'ana', '/join');
    await ana.locator('[data-testid="join-button"]:not([aria-disabled])').waitFor();
    await press(ana, 'join-button');
    await ana.getByTestId('meeting').waitFor();
    await isConnected(ana);
    await Promise.all([counted(chair), counted(ana)]);
  },

  'a return that no page waits for says so': async (stage) => {
    for (const query of ['code=abc&state=zzz', 'error=access_denied']) {
      const page = await newPage(stage.browser);
      await page.goto(`${stage.server.origin}/signed-in?${query}`);
      await page.getByTestId('sign-in-failure').getByText('Ninguna página responde').waitFor();
      await page.context().close();
    }
  },

  'somebody without a role is refused and not invited': async (stage) => {
    const page = await enter(stage, 'nobody', '/join');
    await page.getByTestId('join-failure').waitFor();
    assert.equal(await page.getByTestId('join-button').count(), 0);
    await screenshot(page, 'join-without-role');
    await page.context().close();
    delete stage.pages.nobody;
  },

  'tokens of a minute are renewed in the background': async (stage, t) => {
    const { chair, ana } = stage.pages;
    const before = stage.identity.grants.refresh_token;
    await Promise.all([renewedAgain(chair, 2, RENEWED_MS), renewedAgain(ana, 2, RENEWED_MS)]);
    t.diagnostic(`${stage.identity.grants.refresh_token - before} refreshes`);
    assert.deepEqual([chair.loads, ana.loads], [0, 0]);
    await isConnected(chair);
    await isConnected(ana);
  },

  'dozens of renewals in a row': async (stage) => {
    const { chair, ana } = stage.pages;
    stage.identity.tokenS = 4;
    await Promise.all([renewedAgain(chair, 30, RENEWED_MS), renewedAgain(ana, 30, RENEWED_MS)]);
    assert.deepEqual([chair.loads, ana.loads], [0, 0]);
    stage.identity.tokenS = 60;
    await renewedAgain(chair, 1);
  },

  'a provider that is slow is waited for': async (stage) => {
    stage.identity.delayMs = 4_000;
    const { ana } = stage.pages;
    await renewedAgain(ana, 1, RENEWED_MS);
    stage.identity.delayMs = 0;
    assert.equal(ana.loads, 0);
    await isConnected(ana);
  },

  'a provider that is away is told of, and the meeting goes on': async (stage) => {
    const { chair, ana } = stage.pages;
    await stage.identity.down();
    await Promise.all(
      [chair, ana].map((page) => page.getByTestId('renewal').waitFor({ timeout: RENEWED_MS })),
    );
    await screenshot(chair, 'renewal-console');
    await screenshot(ana, 'renewal-meeting');
    await isConnected(chair);
    await isConnected(ana);
    await stage.identity.up();
    await Promise.all(
      [chair, ana].map((page) => page.getByTestId('renewal').waitFor({ state: 'detached' })),
    );
    assert.deepEqual([chair.loads, ana.loads], [0, 0]);
    await isConnected(ana);
  },

  'a page that is refused does not run in circles': async (stage) => {
    const page = await newPage(stage.browser);
    stage.pages.circle = page;
    let visits = 0;
    page.on('request', (request) => {
      const leaves = request.isNavigationRequest() && request.frame() === page.mainFrame();
      if (leaves && request.url().includes('/auth?')) visits += 1;
    });
    // The provider sends everybody back with a refusal.
    await page.route(`${stage.identity.issuer}/auth?**`, (route) => {
      const asked = new URL(route.request().url());
      const back = new URL(asked.searchParams.get('redirect_uri'));
      back.searchParams.set('state', asked.searchParams.get('state'));
      back.searchParams.set('error', 'server_error');
      return route.fulfill({ status: 302, headers: { location: back.href } });
    });
    await page.goto(`${stage.server.origin}/join?session=${stage.session.id}`);
    await page.getByTestId('sign-in-failure').waitFor();
    for (let again = 0; again < 4; again += 1) {
      await page.goto(`${stage.server.origin}/join?session=${stage.session.id}`);
      await page.getByTestId('sign-in-failure').or(page.getByTestId('join-failure')).waitFor();
    }
    await page.getByTestId('join-failure').waitFor();
    await page.getByTestId('sign-in').waitFor();
    assert.ok(visits <= 3, `${visits} visits`);
    await screenshot(page, 'sign-in-bounded');
  },
});
