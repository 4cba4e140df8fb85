import { type RawBuilder, sql } from "kysely";
import type { LatencyHistogram } from "../domain/latency.ts";

/**
 * A histogram as one whole number: each cell has twelve of its decimal digits, cell 0 the last ones. So sums of histograms are sums of
 * numbers, which Postgres adds, subtracts and aggregates as it does amounts. A cell holds less than 10^12 requests.
 */
const CELL_DIGITS = 12;

/** Builds the histogram of one row that has the number of its cell in a column; null if it is null. */
export function histogramOf(cell: RawBuilder<unknown>): RawBuilder<unknown> {
  // An exponent is parsed in a tenth of the time in which numeric `power` computes it.
  return sql`('1e' || ${cell} * ${sql.lit(CELL_DIGITS)})::numeric`;
}

/** Converts a histogram that Postgres has written as text; null is one of no request. */
export function fromHistogramText(text: string | null): LatencyHistogram {
  const cells: number[] = [];
  for (let end = text?.length ?? 0; end > 0; end -= CELL_DIGITS) {
    cells.push(Number(text?.slice(Math.max(0, end - CELL_DIGITS), end)));
  }
  return cells;
}
