import { t } from '../i18n/i18n';
import { m } from '../i18n/meeting';
import type { RoomState } from '../lib';
import { Button } from './components';
import { kindText } from './floor_card';

/** Who speaks and who comes next, as everybody may know it. */
export function SpeakingList({ state, onClose }: { state: RoomState; onClose: () => void }) {
  const { turn, queue } = state.floor;
  const me = state.you.user_id;
  return (
    <section class="sheet" aria-label={m('list.title')} data-testid="speaking-list">
      <header>
        <h2>
          {m('list.title')} <span class="badge">{queue.length}</span>
        </h2>
        <Button label={t('common.close')} icon="close" compact onPress={onClose} />
      </header>
      <div class="scroll" tabIndex={0} role="group" aria-label={m('list.title')}>
        {turn !== null && (
          <p class="list-now">
            <span class="quiet">
              {t(turn.running ? 'floor.speaking' : 'floor.paused')} · {kindText(turn.kind)}
            </span>
            <br />
            <strong class="name">{turn.name}</strong>
          </p>
        )}
        {queue.length === 0 && <p class="quiet">{m('list.empty')}</p>}
        <ol class="list-rows">
          {queue.map((request, index) => (
            <li
              key={request.request_id}
              class={request.user_id === me ? 'own' : ''}
              data-testid="list-row"
              data-user={request.user_id}
            >
              <span class="position">{index + 1}</span>
              <span class="name">
                {request.name}{' '}
                {request.user_id === me && <span class="badge">{m('list.you')}</span>}{' '}
                <span class={`badge ${request.kind === 'normal' ? '' : 'warn'}`}>
                  {kindText(request.kind)}
                </span>
                {request.in_hall && <span class="quiet"> {t('floor.inHall')}</span>}
              </span>
            </li>
          ))}
        </ol>
      </div>
    </section>
  );
}
