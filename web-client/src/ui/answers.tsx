import { signal } from '@preact/signals';
import { m } from '../i18n/meeting';
import type { Answer, RoomState, Told } from '../lib';
import { answersAfter } from '../lib';
import { Button } from './components';
import { keep, kept } from './kept';

const answers = signal<readonly Answer[]>([]);
/** Requests that the person took back, so that nobody tells them that somebody else did. */
const withdrawn = new Set<string>();
let of: string | null = null;

/** Notes that the person took a request back. */
export function noteWithdrawal(requestId: string): void {
  withdrawn.add(requestId);
}

/** Takes an event in; also one that was missed while the connection was lost. */
export function handleAnswer(event: Told, state: RoomState): void {
  load(state.session.id);
  const next = answersAfter(answers.value, event, state.you.user_id, (id) => withdrawn.has(id));
  if (next !== answers.value) set(next);
}

function load(session: string): void {
  if (of === session) return;
  of = session;
  answers.value = kept<readonly Answer[]>(`answers.${session}`, []);
}

function set(next: readonly Answer[]): void {
  answers.value = next;
  keep(`answers.${of}`, next);
}

/** What became of one's requests; each stays until it is read, over reloads too. */
export function Answers({ state }: { state: RoomState }) {
  load(state.session.id);
  if (answers.value.length === 0) return null;
  return (
    <ul class="answers" aria-label={m('answer.title')} data-testid="answers">
      {answers.value.map((one) => (
        <li key={one.seq} class={one.kind} data-testid="answer" data-kind={one.kind}>
          <span class="line-text">
            {one.kind === 'denied' && one.reason !== null
              ? m('answer.deniedReason', { reason: one.reason })
              : m(`answer.${one.kind}`)}
          </span>
          <Button
            label={m('answer.read')}
            look="small"
            testId="answer-read"
            onPress={() => set(answers.value.filter((other) => other.seq !== one.seq))}
          />
        </li>
      ))}
    </ul>
  );
}
