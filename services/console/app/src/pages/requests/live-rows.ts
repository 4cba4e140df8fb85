import type { LoggedRequest } from "@routeplane/contracts/usage";

/** Maximum number of requests that a live tail keeps, because it can run for days. */
export const MAX_LIVE_ROWS = 200;

/** Requests that ended while a live tail runs. */
export interface LiveRows {
  /** Requests, the last one that ended first. */
  readonly rows: readonly LoggedRequest[];
  /** True if older requests were dropped to keep the bound. */
  readonly isCut: boolean;
}

export const NO_ROWS: LiveRows = { rows: [], isCut: false };

/** Adds requests in the order in which they ended, and drops the oldest beyond the bound. */
export function addEnded({ rows, isCut }: LiveRows, ended: readonly LoggedRequest[]): LiveRows {
  const ids = new Set(ended.map(({ id }) => id));
  const all = [...ended.toReversed(), ...rows.filter(({ id }) => !ids.has(id))];
  return { rows: all.slice(0, MAX_LIVE_ROWS), isCut: isCut || all.length > MAX_LIVE_ROWS };
}

/**
 * Rows of the log while a live tail runs: requests that ended since its start, then those that were listed at its start. Once older
 * requests were dropped, the list is left out, because requests would be missing between the two.
 */
export function withListed({ rows, isCut }: LiveRows, listed: readonly LoggedRequest[]): readonly LoggedRequest[] {
  if (isCut) return rows;
  const ids = new Set(rows.map(({ id }) => id));
  return [...rows, ...listed.filter(({ id }) => !ids.has(id))];
}
