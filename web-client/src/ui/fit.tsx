import { useLayoutEffect, useRef } from 'preact/hooks';

/** Halvings of the range of sizes: to within a pixel on any projector. */
const STEPS = 10;

/**
 * A text as large as its box allows, whatever its length: the box has its size from
 * the layout, never from the text. Below `min` pixels the end is cut and the tooltip
 * has it whole.
 */
export function Fit(props: { text: string; min: number; max: number; look?: string }) {
  const { text, min, max } = props;
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const element = box.current;
    const inner = element?.firstElementChild;
    if (!(inner instanceof HTMLElement) || element === null) return undefined;
    const fit = () => {
      const fits = (size: number) => {
        inner.style.fontSize = `${size}px`;
        return (
          inner.scrollHeight <= element.clientHeight && inner.scrollWidth <= element.clientWidth
        );
      };
      let low = min;
      let high = Math.max(min, Math.min(max, element.clientHeight));
      if (fits(high)) return;
      for (let step = 0; step < STEPS; step += 1) {
        const middle = (low + high) / 2;
        if (fits(middle)) low = middle;
        else high = middle;
      }
      inner.style.fontSize = `${Math.floor(low)}px`;
    };
    fit();
    const sizes = new ResizeObserver(fit);
    sizes.observe(element);
    return () => sizes.disconnect();
  }, [text, min, max]);
  return (
    <div ref={box} class={`fit ${props.look ?? ''}`} title={text}>
      <span>{text}</span>
    </div>
  );
}
