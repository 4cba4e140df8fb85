/** Difference between the clocks that is ignored: the `Date` header has whole seconds, and a response takes a while. Milliseconds. */
const TOLERATED_MS = 5_000;

/** Time by which the node's clock is ahead of the browser's clock. Milliseconds. */
let aheadMs = 0;

/**
 * Current time of the node's clock, in milliseconds since 1970. Ranges, ages and expiries use it: a browser whose clock is hours behind
 * would leave out the newest requests.
 */
export function nodeNow(): number {
  return Date.now() + aheadMs;
}

/** Sets the node's time from the `Date` header of a response that has just arrived. Any other text is ignored. */
export function learnNodeTime(header: string | null): void {
  const difference = Date.parse(header ?? "") - Date.now();
  if (!Number.isNaN(difference)) aheadMs = Math.abs(difference) <= TOLERATED_MS ? 0 : difference;
}
