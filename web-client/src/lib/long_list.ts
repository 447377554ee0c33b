/** Rows of a long list that are on the page at once. */
const ROWS_MAX = 500;
/** The list shows others when the current row has left this many. */
const STEP = ROWS_MAX / 2;

/** The part of a long list in which the row at a place is; the first part for no row (-1). */
export function partAround<Item>(items: readonly Item[], at: number): readonly Item[] {
  const first = Math.max(0, Math.floor(at / STEP) * STEP - STEP / 2);
  return items.slice(first, first + ROWS_MAX);
}

/** The place of the last item that has begun at a time, among items by time; -1 before the first. */
export function lastBegun(items: readonly { readonly from: string }[], atMs: number): number {
  let [begun, later] = [-1, items.length];
  while (later - begun > 1) {
    const middle = (begun + later) >> 1;
    const item = items[middle];
    if (item !== undefined && Date.parse(item.from) <= atMs) begun = middle;
    else later = middle;
  }
  return begun;
}
