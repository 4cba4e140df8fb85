/** Difference that is taken for none: the `Date` header has whole seconds, and an answer takes a while. Milliseconds. */
const TOLERATED_MS = 5_000;

/** Time by which the node's clock is ahead of the browser's. Milliseconds. */
let aheadMs = 0;

/**
 * The present by the node's clock, in milliseconds since 1970. Ranges, ages and expiries are of that clock: a browser whose own is
 * hours behind would leave out the newest requests.
 */
export function nodeNow(): number {
  return Date.now() + aheadMs;
}

/** Learns the node's time from the `Date` header of an answer that has just arrived. Any other text changes nothing. */
export function learnNodeTime(header: string | null): void {
  const difference = Date.parse(header ?? "") - Date.now();
  if (!Number.isNaN(difference)) aheadMs = Math.abs(difference) <= TOLERATED_MS ? 0 : difference;
}
