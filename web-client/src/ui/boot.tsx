import type { ComponentChildren } from 'preact';
import { render } from 'preact';
import { chooseLanguage } from '../i18n/i18n';
import type { RoomClient } from '../lib';
import { Announcements } from './components';
import { keepFocus } from './focus';

/** Shows a page, once the texts of its language are there. */
export async function boot(page: ComponentChildren): Promise<void> {
  const root = document.getElementById('app');
  if (root === null) return;
  try {
    await chooseLanguage();
  } catch {
    render(<NoTexts />, root);
    return;
  }
  keepFocus();
  render(
    <>
      {page}
      <Announcements />
    </>,
    root,
  );
}

/** For whoever's network lost the texts: in every language, since none is there. */
function NoTexts() {
  const reload = () => location.reload();
  return (
    <main class="page stack" data-testid="no-texts">
      <button type="button" class="button" lang="es" onClick={reload}>
        No se ha podido cargar la página. Volver a cargar
      </button>
      <button type="button" class="button" lang="en" onClick={reload}>
        The page could not be loaded. Load it again
      </button>
      <button type="button" class="button" lang="pt" onClick={reload}>
        Não foi possível carregar a página. Carregar de novo
      </button>
    </main>
  );
}

declare global {
  interface Window {
    /** With `?debug`: what is behind the page, for tests and for finding faults. */
    __cabildo?: {
      readonly client: RoomClient;
      readonly state: RoomClient['snapshot'];
      readonly publish: RTCPeerConnection | null;
      readonly subscribe: RTCPeerConnection | null;
    };
  }
}

/** Shows a room to whoever debugs the page. */
export function expose(client: RoomClient): void {
  window.__cabildo = {
    client,
    get state() {
      return client.snapshot;
    },
    get publish() {
      return client.media?.publisher.connection ?? null;
    },
    get subscribe() {
      return client.media?.subscriber.connection ?? null;
    },
  };
}
