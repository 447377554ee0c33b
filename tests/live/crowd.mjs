// Hundreds of people in one room without media, each on a socket of their own.
import { Person } from './person.mjs';

/** How many enter at a time: a door, not a flood. */
const AT_ONCE = 10;

/**
 * Has `count` people enter the room, named and addressed in order; answers each with
 * their channel. Their sockets keep only the newest messages.
 */
export async function crowd(server, session, count) {
  const people = [];
  for (let first = 0; first < count; first += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - first) }, (_, at) => first + at);
    people.push(...(await Promise.all(some.map((at) => enter(server, session, at)))));
  }
  return people;
}

async function enter(server, session, at) {
  const user = `owner-${String(at).padStart(3, '0')}`;
  const name = `${NAMES[at % NAMES.length]} ${SURNAMES[(at * 3) % SURNAMES.length]} · ${1 + (at % 12)}.º ${'ABCD'[at % 4]}`;
  const person = await Person.of(server, {
    tenant: session.tenant_id,
    user,
    name,
  });
  const channel = await person.enter(session.id);
  channel.forget();
  return { user, name, channel };
}

const NAMES = [
  'Ana María',
  'João',
  'Rosa',
  'Íñigo',
  'María del Carmen',
  'Luís Filipe',
  'Ñuflo',
  'Eva',
];
const SURNAMES = [
  'Fernández-Villaverde Gutiérrez de Terán',
  'Silva',
  'Ibáñez',
  'Oliveira e Sousa',
  'Zubizarreta Goikoetxea',
  'Pérez',
  'Comunidad de Bienes Hermanos Ruiz',
];

/** Each of some people asks for the floor; every eighth with a point of order. */
export async function askAll(people) {
  for (const [at, { channel }] of people.entries()) {
    const kind = at % 8 === 3 ? 'point_of_order' : 'normal';
    const answer = await channel.request({
      type: 'request_speech',
      kind,
      note: `Punto ${at}`,
    });
    if (answer.type !== 'ack') throw new Error(`not asked: ${JSON.stringify(answer)}`);
  }
}

/** Everybody leaves. */
export async function disperse(people) {
  await Promise.all(people.map(({ channel }) => channel.leave().catch(() => undefined)));
}
