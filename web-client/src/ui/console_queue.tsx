import { useMemo, useRef, useState } from 'preact/hooks';
import { c } from '../i18n/chair';
import type { Key } from '../i18n/catalogues';
import { clock, t } from '../i18n/i18n';
import type { Presence, RequestView, RoomClient, RoomState } from '../lib';
import { plain, movedOrder, presenceOf } from '../lib';
import { KINDS } from './ask';
import { Button, Dialog, Field, Options } from './components';
import type { Send } from './console_turn';
import { PresenceBadge, useAsShown } from './console_turn';
import { afterSecondThoughts, leaving } from './delayed';
import { kindText } from './floor_card';
import { useStable } from './hooks';
import { Icon } from './icons';
import { announce } from './live_regions';
import { NameNotice } from './people_list';
import { useRows } from './rows';
import { everySecond } from './ticks';

/** As the server takes. */
const REASON_MAX = 500;
/** From this many on, requests are searched rather than read through. */
const SEARCH_FROM = 8;

/** What is looked for among the requests. */
export interface Wanted {
  readonly words: string;
  readonly kind: string;
}

/** Whether a request is among those looked for. */
export function isWanted(request: RequestView, { words, kind }: Wanted): boolean {
  if (kind !== '' && request.kind !== kind) return false;
  return plain(`${request.name} ${request.note ?? ''}`).includes(plain(words.trim()));
}

/** Searches the requests and the list, once there are more than one sees at a glance. */
export function RequestSearch(props: {
  state: RoomState;
  wanted: Wanted;
  onChange: (wanted: Wanted) => void;
}) {
  const { state, wanted, onChange } = props;
  const { requested, queue } = state.floor;
  const all = requested.length + queue.length;
  const searching = wanted.words.trim() !== '' || wanted.kind !== '';
  // Once shown it stays: it must not go while somebody types in it.
  const used = useRef(false);
  used.current ||= all >= SEARCH_FROM || searching;
  if (!used.current) return null;
  const shown = [...requested, ...queue].filter((one) => isWanted(one, wanted)).length;
  return (
    <div class="row request-search" role="search">
      <input
        type="search"
        data-testid="requests-search"
        aria-label={c('requests.search')}
        placeholder={c('requests.search')}
        autoComplete="off"
        value={wanted.words}
        onInput={(event) => onChange({ ...wanted, words: event.currentTarget.value })}
      />
      <select
        data-testid="requests-kind"
        aria-label={c('requests.kind')}
        value={wanted.kind}
        onChange={(event) => onChange({ ...wanted, kind: event.currentTarget.value })}
      >
        <option value="">{c('requests.all')}</option>
        <Options values={KINDS} text={(one): Key => `kind.short.${one}`} />
      </select>
      {searching && (
        <span class="quiet" role="status" data-testid="requests-found">
          {shown === 0 ? c('requests.noneFound') : c('requests.found', { shown, count: all })}
        </span>
      )}
    </div>
  );
}

/** Those who wait for a decision, by urgency and arrival. */
export function Requested(props: {
  client: RoomClient;
  state: RoomState;
  wanted: Wanted;
  send: Send;
  onDeny: (request: RequestView) => void;
}) {
  const { client, state, wanted } = props;
  const { send } = props;
  const deny = useStable(props.onDeny);
  const heading = useRef<HTMLHeadingElement>(null);
  const list = useRows<HTMLUListElement>(heading);
  const { requested } = state.floor;
  const found = useMemo(
    () => byUrgency(requested).filter((one) => isWanted(one, wanted)),
    [requested, wanted],
  );
  return (
    <section class="card pane" aria-labelledby="requested">
      <h2 id="requested" ref={heading} tabIndex={-1}>
        {t('console.requested')} <span class="badge">{requested.length}</span>
      </h2>
      <div class="pane-scroll" tabIndex={0} role="group" aria-labelledby="requested">
        {requested.length === 0 && <p class="quiet">{t('console.noRequests')}</p>}
        <ul ref={list}>
          {found.map((request) => (
            <RequestRow
              key={request.request_id}
              client={client}
              request={request}
              presence={presenceOf(state, request)}
              notice={noticeOf(state, request)}
              send={send}
              onDeny={deny}
            />
          ))}
        </ul>
      </div>
    </section>
  );
}

/** Drawn again only when something of this request changes. */
function RequestRow(props: {
  client: RoomClient;
  request: RequestView;
  presence: Presence;
  notice: string | undefined;
  send: Send;
  onDeny: (request: RequestView) => void;
}) {
  const { request, send } = props;
  const id = request.request_id;
  return (
    <li
      class={`queue-row ${request.kind === 'normal' ? '' : 'urgent'} ${leaving.value.has(id) ? 'leaving' : ''}`}
      data-testid="request-row"
      data-request={id}
      data-kind={request.kind}
    >
      <Who {...props} />
      <span class="row-buttons">
        <Button
          label={t('console.approve')}
          about={request.name}
          icon="check"
          look="main small"
          testId={`approve-${id}`}
          once
          onPress={() => send({ type: 'approve_speech', request_id: id })}
        />
        <Button
          label={t('console.deny')}
          name={`${t('console.deny')}: ${request.name}`}
          icon="close"
          compact
          look="small"
          testId={`deny-${id}`}
          onPress={() => props.onDeny(request)}
        />
      </span>
    </li>
  );
}

/** What is ahead of the others by its kind comes first; among equals, by arrival. */
export function byUrgency(requests: readonly RequestView[]): readonly RequestView[] {
  const rank = (one: RequestView) => {
    const place = URGENCY.indexOf(one.kind);
    return place < 0 ? URGENCY.length : place;
  };
  return [...requests].sort((a, b) => rank(a) - rank(b));
}

/** As the server orders the list (docs/MODERATION.md), but for points of order: they are decided first. */
const URGENCY: readonly string[] = ['point_of_order', 'interposed_question', 'intervention'];

/** The speaking list; its order changes by dragging, by buttons and by keys. */
export function Queue(props: {
  client: RoomClient;
  state: RoomState;
  wanted: Wanted;
  send: Send;
  onStart: (request: RequestView) => void;
  children?: preact.ComponentChildren;
}) {
  const { client, state, wanted } = props;
  const queue = state.floor.queue;
  const [drag, setDrag] = useState<{ id: string; to: number } | null>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const list = useRows<HTMLOListElement>(heading);
  const { send } = props;
  const start = useStable(props.onStart);
  const move = useStable((request: RequestView, to: number) => {
    const order = movedOrder(queue, request.request_id, to);
    if (order === null) return;
    send({ type: 'reorder_queue', order });
    const place = order.indexOf(request.request_id) + 1;
    announce(t('console.moved', { name: request.name, place, count: order.length }));
  });
  const dragTo = useStable((request: RequestView, y: Dragged) => {
    if (typeof y === 'string') {
      if (y === 'dropped' && drag?.id === request.request_id) move(request, drag.to);
      setDrag(null);
      return;
    }
    const rows = [...(list.current?.children ?? [])];
    const under = rows.findIndex((row) => y < row.getBoundingClientRect().bottom);
    const row = rows[under < 0 ? rows.length - 1 : under];
    const place = Number(row?.getAttribute('data-place') ?? 0);
    setDrag({ id: request.request_id, to: place });
  });
  return (
    <section class="card pane" aria-labelledby="queue">
      <h2 id="queue" ref={heading} tabIndex={-1}>
        {t('console.queue')} <span class="badge">{queue.length}</span>
      </h2>
      <div class="pane-scroll" tabIndex={0} role="group" aria-labelledby="queue">
        {queue.length === 0 && <p class="quiet">{t('console.emptyQueue')}</p>}
        <ol ref={list} data-testid="queue">
          {queue.map((request, index) =>
            isWanted(request, wanted) ? (
              <QueueRow
                key={request.request_id}
                client={client}
                request={request}
                index={index}
                last={index === queue.length - 1}
                presence={presenceOf(state, request)}
                notice={noticeOf(state, request)}
                dragged={drag?.id === request.request_id}
                target={drag?.to === index}
                send={send}
                onStart={start}
                onMove={move}
                onDrag={dragTo}
              />
            ) : null,
          )}
        </ol>
      </div>
      {props.children}
    </section>
  );
}

/** To a height of the window, or let go there, or given up. */
type Dragged = number | 'dropped' | 'cancelled';

function QueueRow(props: {
  client: RoomClient;
  request: RequestView;
  index: number;
  last: boolean;
  presence: Presence;
  notice: string | undefined;
  dragged: boolean;
  target: boolean;
  send: Send;
  onStart: (request: RequestView) => void;
  onMove: (request: RequestView, to: number) => void;
  onDrag: (request: RequestView, y: Dragged) => void;
}) {
  const { request, index, send } = props;
  const id = request.request_id;
  const held = useRef(false);
  return (
    <li
      class={`queue-row ${request.kind === 'normal' ? '' : 'urgent'} ${props.dragged ? 'dragged' : ''} ${props.target ? 'target' : ''}`}
      data-testid="queue-row"
      data-request={id}
      data-user={request.user_id}
      data-kind={request.kind}
      data-place={index}
      onKeyDown={(event) => {
        if (!event.altKey) return;
        if (event.key === 'ArrowUp') props.onMove(request, index - 1);
        else if (event.key === 'ArrowDown') props.onMove(request, index + 1);
        else return;
        event.preventDefault();
      }}
    >
      <span
        class="grip"
        title={t('console.drag')}
        data-testid={`grip-${id}`}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          held.current = true;
          props.onDrag(request, event.clientY);
        }}
        onPointerMove={(event) => {
          if (held.current) props.onDrag(request, event.clientY);
        }}
        onPointerUp={() => {
          held.current = false;
          props.onDrag(request, 'dropped');
        }}
        onPointerCancel={() => {
          held.current = false;
          props.onDrag(request, 'cancelled');
        }}
      >
        <Icon name="drag" />
      </span>
      <span class="position">{index + 1}</span>
      <Who {...props} />
      <span class="row-buttons">
        <Button
          label={t('console.up', { name: request.name })}
          icon="up"
          compact
          look="small"
          testId={`up-${id}`}
          disabled={index === 0}
          onPress={() => props.onMove(request, index - 1)}
        />
        <Button
          label={t('console.down', { name: request.name })}
          icon="down"
          compact
          look="small"
          testId={`down-${id}`}
          disabled={props.last}
          onPress={() => props.onMove(request, index + 1)}
        />
        <Button
          label={t('console.startThis', { name: request.name })}
          icon="play"
          compact
          look="small"
          testId={`start-${id}`}
          once
          onPress={() => props.onStart(request)}
        />
        <Button
          label={t('console.withdrawName', { name: request.name })}
          icon="close"
          compact
          look="small"
          testId={`withdraw-${id}`}
          once
          onPress={() => send({ type: 'cancel_speech', request_id: id })}
        />
      </span>
    </li>
  );
}

function noticeOf(state: RoomState, request: RequestView): string | undefined {
  return request.name_notice ?? state.participants.get(request.user_id)?.name_notice;
}

/** Name, kind, waiting time, previous turns and note of a request. */
function Who(props: {
  client: RoomClient;
  request: RequestView;
  presence: Presence;
  notice: string | undefined;
}) {
  const { request } = props;
  return (
    <span class="who">
      <strong class="name">{request.name}</strong> <NameNotice notice={props.notice} />{' '}
      <span class={`badge ${request.kind === 'normal' ? '' : 'warn'}`}>
        {kindText(request.kind)}
      </span>{' '}
      {request.stance !== null && ['pro', 'contra', 'neutral'].includes(request.stance) && (
        <span class="badge">{t(`stance.${request.stance as 'pro' | 'contra' | 'neutral'}`)}</span>
      )}
      <PresenceBadge presence={props.presence} />
      <br />
      <span class="quiet">
        {request.in_hall && `${t('floor.inHall')} · `}
        <Waited client={props.client} since={request.requested_at} /> ·{' '}
        {t('console.turns', { count: request.previous_turns })}
      </span>
      {request.note !== null && <span class="line-text quiet"> · “{request.note}”</span>}
    </span>
  );
}

/** How long somebody has waited: the one part of a row that changes each second. */
function Waited({ client, since }: { client: RoomClient; since: string }) {
  const waited = Math.max(0, client.clock.now(everySecond()) - Date.parse(since));
  return <>{t('console.waits', { time: clock(waited) })}</>;
}

/** Refusing, with a reason that the person will see. */
export function DenyDialog(props: { request: RequestView; send: Send; onClose: () => void }) {
  const { request } = props;
  const send = useAsShown(props.send);
  const [reason, setReason] = useState('');
  return (
    <Dialog
      title={t('console.denyTitle', { name: request.name })}
      testId="deny-dialog"
      onClose={props.onClose}
    >
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          const text = reason.trim();
          afterSecondThoughts(
            request.request_id,
            t('console.denying', { name: request.name }),
            () =>
              send({
                type: 'deny_speech',
                request_id: request.request_id,
                ...(text === '' ? {} : { reason: text }),
              }),
          );
          props.onClose();
        }}
      >
        <Field label={t('console.reason')}>
          <input
            data-testid="deny-reason"
            maxLength={REASON_MAX}
            value={reason}
            onInput={(event) => setReason(event.currentTarget.value)}
          />
        </Field>
        <div class="spread">
          <Button label={t('common.cancel')} onPress={props.onClose} />
          <Button label={t('console.deny')} look="danger" type="submit" testId="deny-confirm" />
        </div>
      </form>
    </Dialog>
  );
}
