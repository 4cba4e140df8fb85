import type { LoggedRequest } from "./request.ts";

/**
 * Latency histograms with cells that grow by a tenth, like those of DDSketch: cell 0 counts up to 1 ms, cell n up to 1.1^n ms. The middle
 * of a cell is within 5 % of every latency in it. Histograms can be added up, and quantiles of any sum of histograms are as exact as those
 * of one.
 */
const GROWTH = 1.1;
/** Last cell, up to 1.1^192 ms (a day). It also counts longer latencies. */
const LAST_CELL = 192;
/** Numbers of requests by cell; empty cells at the end may be left out. */
export type LatencyHistogram = readonly number[];

/** Latencies of a group of requests. */
export interface Latencies {
  /** Durations of requests that ended, except denied and unknown ones. */
  readonly total: LatencyHistogram;
  /** Times until the first output of streams. */
  readonly firstToken: LatencyHistogram;
}

export const NO_LATENCIES: Latencies = { total: [], firstToken: [] };

/** Quantiles of a histogram. */
export interface LatencyQuantiles {
  readonly requestCount: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
}

function cellOf(latencyMs: number): number {
  return Math.min(LAST_CELL, Math.ceil(Math.log(Math.max(1, latencyMs)) / Math.log(GROWTH)));
}

type Ended = Pick<LoggedRequest, "status" | "createdAt" | "completedAt">;

/**
 * Returns the duration of a request; undefined for a pending request, and for an unknown one, whose end is that of its reservation. Never
 * negative, even if a clock was set back.
 */
export function totalMsOf({ status, createdAt, completedAt }: Ended): number | undefined {
  if (completedAt === undefined || status === "unknown") return undefined;
  return Math.max(0, completedAt.getTime() - createdAt.getTime());
}

/** Returns the cell of a request's duration; undefined if it counts in none, e.g. because it was denied. */
export function totalCellOf(request: Ended): number | undefined {
  const totalMs = totalMsOf(request);
  return totalMs === undefined || request.status === "denied" ? undefined : cellOf(totalMs);
}

/** Returns the cell of a request's time to its first output; undefined if it has no output, or counts in no cell. */
export function firstTokenCellOf(request: Ended & Pick<LoggedRequest, "receipt">): number | undefined {
  const { timeToFirstTokenMs } = request.receipt;
  return timeToFirstTokenMs === undefined || totalCellOf(request) === undefined
    ? undefined
    : cellOf(timeToFirstTokenMs);
}

export function addLatencies(left: Latencies, right: Latencies): Latencies {
  return { total: added(left.total, right.total), firstToken: added(left.firstToken, right.firstToken) };
}

function added(left: LatencyHistogram, right: LatencyHistogram): LatencyHistogram {
  const [longer, shorter] = left.length < right.length ? [right, left] : [left, right];
  return longer.map((count, cell) => count + (shorter[cell] ?? 0));
}

/** Finds the quantiles by the nearest rank; undefined if the histogram counts no request. */
export function quantilesOf(histogram: LatencyHistogram): LatencyQuantiles | undefined {
  const requestCount = histogram.reduce((sum, count) => sum + count, 0);
  if (requestCount === 0) return undefined;
  const quantile = (share: number): number => {
    const rank = Math.ceil(share * requestCount);
    let counted = 0;
    return latencyOf(histogram.findIndex((count) => (counted += count) >= rank));
  };
  return { requestCount, p50Ms: quantile(0.5), p95Ms: quantile(0.95), p99Ms: quantile(0.99) };
}

/** Returns the latency with the same relative distance from both ends of a cell, in whole milliseconds, at least 1. */
function latencyOf(cell: number): number {
  return Math.max(1, Math.round((2 * GROWTH ** cell) / (GROWTH + 1)));
}
