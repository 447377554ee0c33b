import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { settleBelow, settleRows } from './settling';

/**
 * The place of banners, which come and go by themselves: what they push away from under a pointer
 * takes no press for a moment. `below` selects what stands below them and is pushed too, and
 * `handsOverTo` is the id of what gets the focus of a banner that goes when no other follows it.
 */
export function Notices(props: {
  look: string;
  below?: string;
  handsOverTo: string;
  children: ComponentChildren;
}) {
  const { look, below } = props;
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const stops = [settleRows(element)];
    if (below !== undefined) {
      stops.push(settleBelow(element, () => document.querySelector<HTMLElement>(below)));
    }
    return () => stops.forEach((stop) => stop());
  }, [below]);
  return (
    <div class={look} ref={box} data-hands-over="following" data-hands-over-to={props.handsOverTo}>
      {props.children}
    </div>
  );
}
