// The registration desk of a large hall: 5,000 people are found as somebody types. The
// times are printed and not judged, since they say as much of the machine as of the page.
import assert from 'node:assert/strict';
import { startedSession } from './api.mjs';
import { launch } from './browser.mjs';
import { openAttendance } from './pages.mjs';
import { Person } from './person.mjs';
import { Server } from './server.mjs';
import { story } from './story.mjs';

const DESKTOP = { viewport: { width: 1280, height: 900 } };
const PEOPLE = 5000;
const GIVEN = ['José', 'Ana', 'Núria', 'João', 'Zoë', 'Iñaki', 'Eva', 'Luis', 'Begoña', 'Íker'];
const FAMILY = ['Peña', 'Ruiz', 'Valls', 'Pereira', 'Müller', 'Sáenz', 'Gil', 'Ordóñez', 'Ibáñez'];

const members = Array.from({ length: PEOPLE }, (_, at) => ({
  user_id: `owner-${at}`,
  name: `${GIVEN[at % GIVEN.length]} ${FAMILY[at % FAMILY.length]} ${at}`,
  units: [{ id: `Torre ${at % 20} piso ${at}`, weight: '0.02' }],
}));

async function open(stage) {
  stage.server = await Server.start('desk');
  stage.browser = await launch();
  stage.session = await startedSession(stage.server, { modality: 'mixed' });
  const { id, tenant_id: tenant } = stage.session;
  const chair = await Person.of(stage.server, { tenant, user: 'secretary', roles: ['moderator'] });
  stage.give = async (list) => {
    const given = await chair.call('PUT', `/api/v1/sessions/${id}/attendance/eligible`, list);
    assert.equal(given.status, 200, JSON.stringify(given.body));
  };
  await stage.give({ members });
}

/** Notes how long after each change of the field the page has been painted. */
const timeInputs = (page) =>
  page.evaluate(() => {
    const times = [];
    window.__times = times;
    document.querySelector('[data-testid="desk-search"]').addEventListener(
      'input',
      () => {
        const began = performance.now();
        requestAnimationFrame(() => {
          // What is posted in a frame arrives after it was painted.
          const { port1, port2 } = new MessageChannel();
          port1.onmessage = () => times.push(performance.now() - began);
          port2.postMessage(null);
        });
      },
      { capture: true },
    );
  });

/** Answers how long the page's main thread has computed so far, in ms. */
async function processorTime(page) {
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable');
  return async () => {
    const { metrics } = await session.send('Performance.getMetrics');
    return metrics.find(({ name }) => name === 'ThreadTime').value * 1000;
  };
}

function told(what, times) {
  const sorted = times.toSorted((one, other) => one - other);
  const at = (share) => `${sorted[Math.floor((sorted.length - 1) * share)].toFixed(1)} ms`;
  return `${times.length} key presses, ${what}: ${at(0.5)} median, ${at(0.95)} at 95 %, ${at(1)} at most`;
}

story('The desk of a large hall', open, {
  'finds people among 5,000 as somebody types': async (stage, t) => {
    const moderator = { user: 'secretary', role: 'moderator' };
    const desk = await openAttendance(stage, '/desk', moderator, DESKTOP);
    stage.pages.desk = desk;
    await desk
      .getByTestId('desk-found')
      .filter({ hasText: /5[.,]?000/ })
      .waitFor();
    await timeInputs(desk);
    const field = desk.getByTestId('desk-search');
    const computed = await processorTime(desk);
    const spent = [];
    for (let round = 0; round < 12; round += 1) {
      const at = 1000 + ((round * 163) % (PEOPLE - 1000));
      const query = round % 2 === 0 ? members[at].name : `piso ${at} torre`;
      for (const letter of query) {
        const before = await computed();
        await field.pressSequentially(letter);
        const painted = spent.length + 1;
        await desk.waitForFunction((count) => window.__times.length === count, painted);
        spent.push((await computed()) - before);
      }
      await desk.getByTestId(`found-owner-${at}`).waitFor();
      await field.evaluate((input) => input.select());
    }
    t.diagnostic(told('until it is painted', await desk.evaluate(() => window.__times)));
    t.diagnostic(told("the page's own computing", spent));
  },
  'names the delegations of a list that do not hold': async ({ give, pages: { desk } }) => {
    const few = members.slice(0, 3);
    const [own, another] = few.map(({ units: [{ id }] }) => id);
    const delegations = [
      { unit: own, user_id: few[0].user_id },
      { unit: another, user_id: few[2].user_id },
      { unit: another, user_id: few[0].user_id },
    ];
    await give({ members: few, delegations });
    const notice = desk.getByTestId('delegations-left-out');
    await notice.getByRole('listitem').nth(1).waitFor();
    assert.deepEqual(await notice.getByRole('listitem').allInnerTexts(), [
      `${own}, delegada en ${few[0].name}: la unidad ya es suya`,
      `${another}, delegada en ${few[0].name}: otra persona representa ya esa unidad`,
    ]);
    await give({ members: few });
    await notice.waitFor({ state: 'detached' });
  },
  'keeps whom the keys are about when others are found above them': async (stage) => {
    const { desk } = stage.pages;
    const member = (user_id, name) => ({ user_id, name, units: [{ id: name, weight: '1' }] });
    const zoe = member('owner-zoe', 'Zoe Paz');
    await stage.give({ members: [zoe] });
    await desk.getByTestId('desk-search').fill('zo');
    await desk.getByTestId('found-owner-zoe').waitFor();
    await stage.give({ members: [zoe, member('owner-zoa', 'Zoa Abad')] });
    const found = desk.getByRole('listbox').getByRole('option');
    await found.nth(1).waitFor();
    assert.match(await found.first().innerText(), /Zoa Abad/);
    await desk.keyboard.press('Enter');
    await desk.locator('[data-testid="desk-step"][data-state="done"]').first().waitFor();
    const steps = desk.locator('[data-testid="desk-step"]');
    assert.deepEqual(await steps.evaluateAll((all) => all.map((one) => one.dataset.user)), [
      'owner-zoe',
    ]);
  },
});
