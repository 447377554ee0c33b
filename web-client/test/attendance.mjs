// The attendance of the fake room: 5,000 people with units, of whom some are
// present, and the routes by which pages read and change it.
const GIVEN = ['María', 'José', 'Núria', 'João', 'Iñaki', 'Zoë', 'Ana', 'Luis', 'Begoña', 'Ángel'];
const FAMILY = [
  'Ibáñez Rodríguez',
  'Peña',
  'Valls i Puigdomènech',
  'Pereira',
  'Etxeberria Zubizarreta',
  'Müller',
  'Gómez',
  'Ordóñez',
  'Sáenz de Tejada y Fernández de Navarrete',
  'Ruiz',
];
export const ELIGIBLE = 5_000;

const at = (seconds) => new Date(Date.now() - seconds * 1000).toISOString();

function member(index) {
  const given = GIVEN[index % GIVEN.length];
  const family = FAMILY[Math.floor(index / GIVEN.length) % FAMILY.length];
  const number = Math.floor(index / 100);
  return {
    user_id: `user-${String(index).padStart(5, '0')}`,
    name: `${given} ${family}${number === 0 ? '' : ` ${number}`}`,
    units: [
      { id: `Torre ${'ABCDE'[index % 5]} ${100 + index}`, weight: '0.02', represented_by: null },
      ...(index % 17 === 0
        ? [{ id: `Garaje ${index}`, weight: '0.005', represented_by: null }]
        : []),
    ],
  };
}

/** The people, and what is done to them; `say` tells the room. */
export function hallPeople(say, quorum) {
  const members = Array.from({ length: ELIGIBLE }, (_, index) => member(index));
  // The people of the room are among them.
  for (const [index, [user_id, name]] of [
    ['ana', 'Ana Benítez'],
    ['carmen', 'Carmen Ibáñez Rodríguez de la Vega'],
    ['joao', 'João Pereira'],
    ['luis', 'Luis Ordóñez'],
  ].entries()) {
    members[index] = { ...members[index], user_id, name };
  }
  const attending = new Map();
  const delegated = new Map();
  const byId = new Map(members.map((one) => [one.user_id, one]));
  const enter = (user_id, method, place) =>
    attending.set(user_id, {
      present: true,
      method,
      place,
      from: at(900),
      until: null,
      cause: null,
    });
  enter('carmen', 'code', 'remote');
  enter('luis', 'channel', 'remote');
  for (const { user_id } of members.slice(200, 341)) enter(user_id, 'manual', 'hall');
  attending.set('joao', {
    present: false,
    method: 'qr',
    place: 'hall',
    from: at(1800),
    until: at(300),
    cause: 'marked_left',
  });

  const weightOf = (one) => String(one.units.reduce((sum, unit) => sum + Number(unit.weight), 0));
  const find = (user_id) => byId.get(user_id);
  const attendee = (user_id) => {
    const one = find(user_id);
    const now = attending.get(user_id);
    const represents = [...delegated].filter(([, who]) => who === user_id).map(([id]) => id);
    return {
      user_id,
      name: one?.name ?? '',
      eligible: one !== undefined,
      present: now?.present === true,
      method: now?.method ?? null,
      place: now?.place ?? null,
      weight: one === undefined ? '0' : weightOf(one),
      units: (one?.units ?? []).map(({ id, weight }) => ({ id, weight })),
      represents,
      intervals:
        now === undefined
          ? []
          : [
              {
                from: now.from,
                until: now.until,
                method: now.method,
                place: now.place,
                cause: now.cause,
              },
            ],
      earlier_intervals: 0,
      present_s: 900,
    };
  };
  const tell = (user_id, change, cause = null) => {
    const { name, present, method, place, weight } = attendee(user_id);
    const by = 'chair';
    say({
      type: 'attendance_changed',
      change,
      user_id,
      name,
      present,
      method,
      place,
      cause,
      by,
      weight,
    });
    const before = quorum.reached;
    quorum.heads_present += present ? 1 : -1;
    quorum.weight_present = String(
      Math.round((Number(quorum.weight_present) + (present ? 1 : -1) * Number(weight)) * 1000) /
        1000,
    );
    quorum.reached = Number(quorum.weight_present) > 50;
    const turned = before !== quorum.reached;
    if (turned) quorum.since = new Date().toISOString();
    say({ type: 'quorum_changed', ...quorum, turned });
  };
  const page = (items, searchParams, shape) => {
    const from = Number(searchParams.get('cursor') ?? 0);
    const limit = Number(searchParams.get('limit') ?? 50);
    const next = from + limit;
    return {
      items: items.slice(from, next).map(shape),
      next_cursor: next < items.length ? String(next) : null,
      total: items.length,
    };
  };
  const refusal = (code, status) => ({
    status,
    body: { code, message: '', details: {}, trace_id: '' },
  });

  return {
    /** The answer to a call below `/attendance`, or null. */
    answer(method, rest, searchParams, body) {
      if (method === 'GET' && rest === '/eligible') {
        const query = (searchParams.get('q') ?? '').toLowerCase();
        const found = members.filter((one) => query === '' || one.user_id === query);
        const shape = (one) => {
          const { present, method: known } = attendee(one.user_id);
          return { ...one, weight: weightOf(one), present, method: present ? known : null };
        };
        return { status: 200, body: page(found, searchParams, shape) };
      }
      if (method === 'GET' && rest === '') {
        return { status: 200, body: page([...attending.keys()].sort(), searchParams, attendee) };
      }
      if (method === 'GET' && rest === '/quorum') {
        const change = (seconds, reached, heads_present, weight_present) => {
          return { at: at(seconds), call: 'first', reached, heads_present, weight_present };
        };
        const history = [change(900, true, 158, '50.1'), change(200, false, 149, '49.2')];
        return { status: 200, body: { ...quorum, history } };
      }
      if (rest === '/register-attendee') {
        const { user_id, represents = [] } = body;
        if (find(user_id) === undefined) return refusal('NOT_ELIGIBLE', 403);
        if (represents.length > 3) return refusal('DELEGATION_LIMIT_REACHED', 409);
        for (const id of represents) {
          const unit = members.flatMap((one) => one.units).find((one) => one.id === id);
          if (unit === undefined) return refusal('UNIT_NOT_FOUND', 404);
          unit.represented_by = user_id;
          delegated.set(id, user_id);
          say({
            type: 'delegation_changed',
            unit: id,
            delegate: user_id,
            represented: true,
            by: 'chair',
          });
        }
        if (attending.get(user_id)?.present !== true) {
          enter(user_id, 'manual', 'hall');
          tell(user_id, 'validated');
        }
        return { status: 200, body: attendee(user_id) };
      }
      const left = /^\/([^/]+)\/mark-left$/.exec(rest);
      if (left !== null) {
        const user_id = decodeURIComponent(left[1]);
        const now = attending.get(user_id);
        if (now?.present !== true) return refusal('NOT_PRESENT', 409);
        const cause = body.mistake ? 'taken_back' : 'marked_left';
        Object.assign(now, { present: false, until: new Date().toISOString(), cause });
        tell(user_id, 'left', cause);
        return { status: 200, body: attendee(user_id) };
      }
      const unit = /^\/units\/([^/]+)\/delegate$/.exec(rest);
      if (unit !== null) {
        const id = decodeURIComponent(unit[1]);
        const found = members.flatMap((one) => one.units).find((one) => one.id === id);
        if (found?.represented_by == null) return refusal('DELEGATION_CONFLICT', 409);
        const delegate = found.represented_by;
        found.represented_by = null;
        delegated.delete(id);
        say({ type: 'delegation_changed', unit: id, delegate, represented: false, by: 'chair' });
        return { status: 200, body: quorum };
      }
      if (rest === '/validate-code' || rest === '/validate-qr') {
        const text = body.code ?? body.token;
        const code = {
          111111: 'PROOF_EXPIRED',
          222222: 'PROOF_REPLAYED',
          333333: 'PROOF_WRONG_CONTEXT',
          444444: 'PROOF_INVALID',
        }[text];
        if (code !== undefined) return refusal(code, 422);
        enter('ana', rest === '/validate-qr' ? 'qr' : 'code', body.place ?? 'remote');
        tell('ana', 'validated');
        return { status: 200, body: attendee('ana') };
      }
      if (rest === '/second-call') {
        quorum.call = 'second';
        quorum.weight_needed = '1/4';
        quorum.reached = true;
        say({ type: 'quorum_changed', ...quorum, turned: true });
        return { status: 200, body: quorum };
      }
      return null;
    },
  };
}
