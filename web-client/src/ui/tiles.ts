/** Least size of a tile in the grid, in pixels: a face is still recognised. */
const TILE_WIDTH_MIN = 104;
const TILE_HEIGHT_MIN = 70;

/** A size in pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** How many tiles of the least size there is room for. */
export function roomFor({ width, height }: Size): number {
  const across = Math.max(1, Math.floor(width / TILE_WIDTH_MIN));
  const down = Math.max(1, Math.floor(height / TILE_HEIGHT_MIN));
  return Math.max(2, across * down);
}

/** The number of columns with which pictures of 16:9 are largest. */
export function columnsFor(count: number, { width, height }: Size): number {
  let best = 1;
  let widest = 0;
  for (let columns = 1; columns <= Math.max(1, count); columns += 1) {
    const rows = Math.ceil(count / columns);
    const shown = Math.min(width / columns, ((height / rows) * 16) / 9);
    if (shown > widest + 0.5) {
      widest = shown;
      best = columns;
    }
  }
  return best;
}

/** The first letter of the first two words that begin with one. */
export function initialsOf(name: string): string {
  const letters = name
    .split(/\s+/)
    .flatMap((word) => /^\p{L}\p{M}*/u.exec(word)?.[0] ?? [])
    .slice(0, 2)
    .map((letter) => letter.toLocaleUpperCase());
  return letters.length > 0 ? letters.join('') : '?';
}
