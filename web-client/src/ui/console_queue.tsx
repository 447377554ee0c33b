import { useRef, useState } from 'preact/hooks';
import { clock, t } from '../i18n/i18n';
import type { RequestView, RoomClient, RoomState } from '../lib';
import { movedOrder } from '../lib';
import { Button, Dialog, Field, announce } from './components';
import type { Send } from './console_turn';
import { PresenceBadge } from './console_turn';
import { afterSecondThoughts, leaving } from './delayed';
import { kindText } from './floor_card';
import { useNow } from './hooks';
import { Icon } from './icons';
import { NameNotice } from './people_list';

/** As the server takes. */
const REASON_MAX = 500;

/** Those who wait for a decision, by arrival. */
export function Requested(props: {
  client: RoomClient;
  state: RoomState;
  send: Send;
  onDeny: (request: RequestView) => void;
}) {
  const { client, state, send } = props;
  const requested = byUrgency(state.floor.requested);
  return (
    <section class="card stack" aria-labelledby="requested">
      <h2 id="requested">
        {t('console.requested')} <span class="badge">{requested.length}</span>
      </h2>
      {requested.length === 0 && <p class="quiet">{t('console.noRequests')}</p>}
      <ul>
        {requested.map((request) => (
          <li
            key={request.request_id}
            class={`queue-row ${request.kind === 'normal' ? '' : 'urgent'} ${leaving.value.has(request.request_id) ? 'leaving' : ''}`}
            data-testid="request-row"
            data-request={request.request_id}
          >
            <Who client={client} state={state} request={request} />
            <Button
              label={t('console.approve')}
              about={request.name}
              icon="check"
              look="main small"
              testId={`approve-${request.request_id}`}
              once
              onPress={() => send({ type: 'approve_speech', request_id: request.request_id })}
            />
            <Button
              label={t('console.deny')}
              about={request.name}
              icon="close"
              look="small"
              testId={`deny-${request.request_id}`}
              onPress={() => props.onDeny(request)}
            />
          </li>
        ))}
      </ul>
    </section>
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

/** As the server orders the list (docs/MODERATION.md). */
const URGENCY: readonly string[] = ['interposed_question', 'intervention', 'point_of_order'];

/** The speaking list; its order changes by dragging, by buttons and by keys. */
export function Queue(props: {
  client: RoomClient;
  state: RoomState;
  send: Send;
  onStart: (request: RequestView) => void;
}) {
  const { client, state, send } = props;
  const queue = state.floor.queue;
  const [drag, setDrag] = useState<{ id: string; to: number } | null>(null);
  const list = useRef<HTMLOListElement>(null);
  const move = (request: RequestView, to: number) => {
    const order = movedOrder(queue, request.request_id, to);
    if (order === null) return;
    send({ type: 'reorder_queue', order });
    const place = order.indexOf(request.request_id) + 1;
    announce(t('console.moved', { name: request.name, place, count: order.length }));
  };
  const rowAt = (y: number): number => {
    const rows = [...(list.current?.children ?? [])];
    const index = rows.findIndex((row) => y < row.getBoundingClientRect().bottom);
    return index < 0 ? rows.length - 1 : index;
  };
  return (
    <section class="card stack" aria-labelledby="queue">
      <h2 id="queue">
        {t('console.queue')} <span class="badge">{queue.length}</span>
      </h2>
      {queue.length === 0 && <p class="quiet">{t('console.emptyQueue')}</p>}
      <ol ref={list} data-testid="queue">
        {queue.map((request, index) => (
          <li
            key={request.request_id}
            class={`queue-row ${drag?.id === request.request_id ? 'dragged' : ''} ${drag !== null && drag.to === index ? 'target' : ''}`}
            data-testid="queue-row"
            data-request={request.request_id}
            data-user={request.user_id}
            onKeyDown={(event) => {
              if (!event.altKey) return;
              if (event.key === 'ArrowUp') move(request, index - 1);
              else if (event.key === 'ArrowDown') move(request, index + 1);
              else return;
              event.preventDefault();
            }}
          >
            <span
              class="grip"
              title={t('console.drag')}
              data-testid={`grip-${request.request_id}`}
              onPointerDown={(event) => {
                event.currentTarget.setPointerCapture(event.pointerId);
                setDrag({ id: request.request_id, to: index });
              }}
              onPointerMove={(event) => {
                if (drag !== null) setDrag({ ...drag, to: rowAt(event.clientY) });
              }}
              onPointerUp={() => {
                if (drag !== null) move(request, drag.to);
                setDrag(null);
              }}
              onPointerCancel={() => setDrag(null)}
            >
              <Icon name="drag" />
            </span>
            <span class="position">{index + 1}</span>
            <Who client={client} state={state} request={request} />
            <Button
              label={t('console.up', { name: request.name })}
              icon="up"
              compact
              look="small"
              testId={`up-${request.request_id}`}
              disabled={index === 0}
              onPress={() => move(request, index - 1)}
            />
            <Button
              label={t('console.down', { name: request.name })}
              icon="down"
              compact
              look="small"
              testId={`down-${request.request_id}`}
              disabled={index === queue.length - 1}
              onPress={() => move(request, index + 1)}
            />
            <Button
              label={t('console.startThis', { name: request.name })}
              icon="play"
              compact
              look="small"
              testId={`start-${request.request_id}`}
              once
              onPress={() => props.onStart(request)}
            />
            <Button
              label={t('console.withdrawName', { name: request.name })}
              icon="close"
              compact
              look="small"
              testId={`withdraw-${request.request_id}`}
              once
              onPress={() => send({ type: 'cancel_speech', request_id: request.request_id })}
            />
          </li>
        ))}
      </ol>
    </section>
  );
}

/** Name, kind, waiting time, previous turns and note of a request. */
function Who(props: { client: RoomClient; state: RoomState; request: RequestView }) {
  const { client, state, request } = props;
  const now = client.clock.now(useNow(1_000));
  const waited = Math.max(0, now - Date.parse(request.requested_at));
  return (
    <span class="who">
      <strong class="name">{request.name}</strong>{' '}
      <NameNotice
        notice={request.name_notice ?? state.participants.get(request.user_id)?.name_notice}
      />{' '}
      <span class="badge">{kindText(request.kind)}</span>{' '}
      {request.stance !== null && ['pro', 'contra', 'neutral'].includes(request.stance) && (
        <span class="badge">{t(`stance.${request.stance as 'pro' | 'contra' | 'neutral'}`)}</span>
      )}
      <PresenceBadge state={state} who={request} />
      <br />
      <span class="quiet">
        {request.in_hall && `${t('floor.inHall')} · `}
        {t('console.waits', { time: clock(waited) })} ·{' '}
        {t('console.turns', { count: request.previous_turns })}
      </span>
      {request.note !== null && <span class="line-text quiet"> · “{request.note}”</span>}
    </span>
  );
}

/** Refusing, with a reason that the person will see. */
export function DenyDialog(props: { request: RequestView; send: Send; onClose: () => void }) {
  const { request, send } = props;
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
