// The web client's pages, used as people use them.
import { newPage } from './browser.mjs';
import { until } from './until.mjs';

const byId = (page, id) => page.getByTestId(id);

function address(server, session, path, { user, name = user, role }) {
  const query = new URLSearchParams({
    session: session.id,
    tenant: session.tenant_id,
    user,
    name,
    role,
    debug: '',
  });
  return `${server.origin}${path}?${query}`;
}

/** Opens the join page and waits until the person could join. */
export async function openJoin(browser, server, session, person, options) {
  const page = await newPage(browser, options);
  await page.goto(address(server, session, '/join', { role: 'participant', ...person }));
  await byId(page, 'join-button').and(page.locator(':not([aria-disabled])')).waitFor();
  // Joining takes the devices along that the page has opened by then.
  if ((person.role ?? 'participant') === 'participant') {
    await until('an open microphone', () => page.evaluate(() => window.__probe.hasMicrophone));
    await page.locator('.preview video').waitFor();
  }
  return page;
}

/** Presses the button of the join page and waits for the meeting. */
export async function join(page, { microphone = true } = {}) {
  if (microphone) await byId(page, 'join-muted').uncheck();
  await byId(page, 'join-button').click();
  await byId(page, 'meeting').waitFor();
  await isConnected(page);
}

/** Waits until the page says that it is connected. */
export const isConnected = (page) =>
  page.locator('[data-testid="connection-state"][data-phase="open"]').waitFor();

/** Waits until the page says that it is not. */
export const isReconnecting = (page) =>
  page.locator('[data-testid="connection-state"][data-phase="reconnecting"]').waitFor();

export async function openConsole(browser, server, session, person, options) {
  const page = await newPage(browser, options);
  await page.goto(address(server, session, '/console', { role: 'moderator', ...person }));
  await byId(page, 'console').waitFor();
  await isConnected(page);
  return page;
}

export async function openHall(browser, server, session, person, options) {
  const page = await newPage(browser, options);
  await page.goto(address(server, session, '/hall', { role: 'hall', ...person }));
  await byId(page, 'hall').waitFor();
  return page;
}

/** Opens the page on which a recording is watched. */
export async function openRecording(browser, server, session, person, options) {
  const page = await newPage(browser, options);
  await page.goto(address(server, session, '/recording', person));
  await byId(page, 'recording').waitFor();
  return page;
}

/** Opens one of the pages of attendance as somebody. */
export async function openAttendance({ browser, server, session }, path, person, options) {
  const page = await newPage(browser, options);
  await page.goto(address(server, session, path, person));
  return page;
}

/** Saves the heads that the meeting page holds to a file. */
export async function saveProof(page, path) {
  await byId(page, 'witness').first().click();
  const saved = page.waitForEvent('download');
  await byId(page, 'save-proof').click();
  await (await saved).saveAs(path);
  await page.keyboard.press('Escape');
}

/** Chooses a language, and waits until the page shows it. */
export async function speak(page, language) {
  await byId(page, 'language').selectOption(language);
  await page.locator(`html[lang="${language}"]`).waitFor();
}

export const press = (page, id) => byId(page, id).click();

/**
 * Cuts a page's channel, and leads every new one nowhere until `reconnect`. The browser's own
 * switch takes effect some time after it was turned, when the page may have a new channel already.
 */
export const cutOff = (page) =>
  page.evaluate(() => {
    const Reachable = window.WebSocket;
    window.__reachable = Reachable;
    window.WebSocket = class extends Reachable {
      constructor(_url, protocols) {
        super('ws://127.0.0.1:1/', protocols);
      }
    };
    window.__cabildo.client.channel.socket?.close(4000);
  });

/** The network of a page that was cut off is back. */
export const reconnect = (page) =>
  page.evaluate(() => {
    window.WebSocket = window.__reachable;
    window.dispatchEvent(new Event('online'));
  });

/** Asks for the floor with the one button of the meeting. */
export async function ask(page) {
  await press(page, 'ask-floor');
  await page.locator('[data-testid="my-place"][data-place="requested"]').waitFor();
}

/** The id of somebody's live request, as the console knows it. */
const requestOf = (chair, user) =>
  until(`a request of ${user}`, () =>
    chair.evaluate((wanted) => {
      const { requested, queue } = window.__cabildo.state.state.floor;
      return [...requested, ...queue].find((one) => one.user_id === wanted)?.request_id;
    }, user),
  );

/** Approves what somebody asked, at the console. */
export async function approve(chair, user) {
  const request = await requestOf(chair, user);
  await press(chair, `approve-${request}`);
  await byId(chair, `start-${request}`).waitFor();
}

/** Starts somebody's turn from the list, at the console. */
export async function startTurn(chair, user) {
  await press(chair, `start-${await requestOf(chair, user)}`);
  await holds(chair, user);
}

/** Waits until the page shows that somebody holds the floor. */
export const holds = (page, user) =>
  page.locator(`[data-testid="floor-holder"][data-user="${user}"]`).waitFor();

/** Waits until the page shows that nobody does. */
export const holdsNobody = (page) =>
  page.locator('[data-testid="floor-holder"]:not([data-user])').waitFor();

/** What the page's client knows of the room. */
export const stateOf = (page) =>
  page.evaluate(() => {
    const { state, status } = window.__cabildo.state;
    return {
      phase: status.phase,
      turn: state?.floor.turn ?? null,
      requested: state?.floor.requested.map(({ user_id }) => user_id) ?? [],
      queue: state?.floor.queue.map(({ user_id }) => user_id) ?? [],
      muted: [...(state?.participants.values() ?? [])]
        .filter(({ muted }) => muted)
        .map(({ user_id }) => user_id),
      people: [...(state?.participants.keys() ?? [])].sort(),
    };
  });
