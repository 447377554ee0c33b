import type { RefObject } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { RoomClient, RoomSnapshot, RoomState } from '../lib';

/** The snapshot of a room, and again whenever it changes. */
export function useRoom(client: RoomClient): RoomSnapshot {
  const [snapshot, setSnapshot] = useState(client.snapshot);
  useEffect(() => {
    setSnapshot(client.snapshot);
    return client.subscribe(setSnapshot);
  }, [client]);
  return snapshot;
}

/** Between two drawings of what changes all the time, such as who comes and who is heard. */
const CALM_MS = 200;

/**
 * As `useRoom`, for pages that show hundreds of people: what somebody decides by, the
 * floor and the connection, is shown at once, the rest a few times a second.
 */
export function useCalmRoom(client: RoomClient): RoomSnapshot {
  const [snapshot, setSnapshot] = useState(client.snapshot);
  useEffect(() => {
    let shown = client.snapshot;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const show = () => {
      clearTimeout(timer);
      timer = undefined;
      shown = client.snapshot;
      setSnapshot(shown);
    };
    show();
    const stop = client.subscribe((next) => {
      const decides =
        next.status !== shown.status ||
        next.localVersion !== shown.localVersion ||
        next.state?.floor !== shown.state?.floor ||
        next.state?.chat !== shown.state?.chat;
      if (decides) show();
      else timer ??= setTimeout(show, CALM_MS);
    });
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [client]);
  return snapshot;
}

/** The same function at every drawing, which does what the newest one does. */
export function useStable<Given extends unknown[]>(
  does: (...given: Given) => void,
): (...given: Given) => void {
  const newest = useRef(does);
  newest.current = does;
  return useRef((...given: Given) => newest.current(...given)).current;
}

/** The local time, renewed every `everyMs` while `active`. */
export function useNow(everyMs: number, active = true): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (!active) return undefined;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs, active]);
  return now;
}

/**
 * A list that shows the row at a place (-1: none) whenever one of `changes` does. It moves no
 * page, and nothing under somebody's fingers.
 */
export function useFollowing<List extends HTMLElement>(
  row: number,
  changes: readonly unknown[],
): RefObject<List> {
  const list = useRef<List>(null);
  useEffect(() => {
    const box = list.current;
    const shown = box?.children[row];
    if (box === null || !(shown instanceof HTMLElement) || box.contains(document.activeElement))
      return;
    box.scrollTop = shown.offsetTop - box.offsetTop - box.clientHeight / 3;
  }, changes);
  return list;
}

/** How long after a turn began a press that ends it counts as a slip. */
export const TURN_SLIP_MS = 1_500;

/** When the turn that runs was first seen here, by a clock that nobody sets. */
export function useTurnBegan(state: RoomState | null): { readonly current: number } {
  const began = useRef(Number.NEGATIVE_INFINITY);
  const known = useRef<Set<string> | null>(null);
  if (state === null) return began;
  const turn = state.floor.turn?.turn_id;
  // A turn that ran before the page came, or that an undo brought back, does not begin now.
  if (turn !== undefined && known.current?.has(turn) === false) began.current = performance.now();
  known.current ??= new Set();
  if (turn !== undefined) known.current.add(turn);
  return began;
}

/** The last value that was not null. */
export function useLast<Value>(value: Value | null): Value | null {
  const last = useRef<Value | null>(null);
  if (value !== null) last.current = value;
  return last.current;
}
