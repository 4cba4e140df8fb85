import type { GetUsageResponse, Latency } from "@routeplane/contracts/usage";

/** Maximum number of models in the list of latencies. */
const MAX_ROWS = 7;

/** Latencies of a model, or of all models. */
export interface LatencyRow {
  /** Model; absent for all models together. */
  readonly model?: string;
  readonly total: Latency;
  /** Absent if no answer was a stream. */
  readonly firstToken: Latency | undefined;
}

/**
 * Latencies of all models together, then of the models with the most requests. Quantiles cannot be added up, so there is no row for the
 * other models. Empty if no request counts.
 */
export function latencyRows({ totalLatency, firstTokenLatency, groups }: GetUsageResponse): readonly LatencyRow[] {
  if (totalLatency === undefined) return [];
  const models = groups
    .flatMap(({ model, totalLatency: total, firstTokenLatency: firstToken }): readonly Required<LatencyRow>[] =>
      total === undefined ? [] : [{ model, total, firstToken }],
    )
    .toSorted((a, b) => (a.total.requestCount > b.total.requestCount ? -1 : 1))
    .slice(0, MAX_ROWS);
  return [{ total: totalLatency, firstToken: firstTokenLatency }, ...models];
}
