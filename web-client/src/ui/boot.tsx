import type { ComponentChildren } from 'preact';
import { render } from 'preact';
import { chooseLanguage } from '../i18n/i18n';
import type { RoomClient } from '../lib';
import { Announcements } from './components';
import { keepFocus } from './focus';

/** Shows a page. */
export function boot(page: ComponentChildren): void {
  chooseLanguage();
  const root = document.getElementById('app');
  if (root === null) return;
  keepFocus();
  render(
    <>
      {page}
      <Announcements />
    </>,
    root,
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
