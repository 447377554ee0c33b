import { useEffect, useRef } from 'preact/hooks';
import { m } from '../i18n/meeting';
import type { RoomState } from '../lib';
import { holdsFloor } from '../lib';
import { kept } from './kept';
import { playTone } from './tone';

/** Whether this browser can show notifications at all. */
export function canNotify(): boolean {
  return 'Notification' in window;
}

/** Asks once, when the person asks for the floor, whether notifications may be shown. */
export function askToNotify(): void {
  if (!canNotify() || Notification.permission !== 'default' || !kept<boolean>('notify', true))
    return;
  void Notification.requestPermission().catch(() => undefined);
}

/**
 * Tells somebody who looks at another window that the floor has come: by the title of
 * the tab, a tone, and a notification where the browser allows one.
 */
export function useFloorCame(state: RoomState | null, title: string): void {
  const mine = state !== null && holdsFloor(state);
  const had = useRef<boolean | null>(null);
  useEffect(() => {
    const came = mine && had.current === false;
    if (state !== null) had.current = mine;
    if (!mine) return undefined;
    document.title = `${m('floor.came')} · ${title}`;
    const back = () => {
      document.title = title;
    };
    if (!came || !document.hidden) return back;
    void playTone('').catch(() => undefined);
    const shown = notify(state.session.title);
    const look = () => {
      if (!document.hidden) shown?.close();
    };
    document.addEventListener('visibilitychange', look);
    return () => {
      document.removeEventListener('visibilitychange', look);
      shown?.close();
      back();
    };
  }, [mine, title]);
}

function notify(session: string): Notification | null {
  if (!canNotify() || Notification.permission !== 'granted' || !kept<boolean>('notify', true))
    return null;
  try {
    const shown = new Notification(m('floor.came'), {
      body: m('floor.cameText', { title: session }),
      tag: 'cabildo-floor',
      requireInteraction: true,
    });
    shown.onclick = () => {
      window.focus();
      shown.close();
    };
    return shown;
  } catch {
    // Phones allow notifications only to service workers: the title and the tone tell it.
    return null;
  }
}
