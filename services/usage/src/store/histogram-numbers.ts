import { type RawBuilder, sql } from "kysely";
import type { LatencyHistogram } from "../domain/latency.ts";

/**
 * Histograms as whole numbers: each cell takes twelve decimal digits, cell 0 the last twelve. So Postgres adds, subtracts and aggregates
 * histograms as it does amounts. A cell holds less than 10^12 requests.
 */
const CELL_DIGITS = 12;

/** Builds the histogram of one row that has the number of its cell in a column; null if the cell is null. */
export function histogramOf(cell: RawBuilder<unknown>): RawBuilder<unknown> {
  // An exponent is parsed in a tenth of the time in which numeric `power` computes it.
  return sql`('1e' || ${cell} * ${sql.lit(CELL_DIGITS)})::numeric`;
}

/** Converts a histogram that Postgres has written as text; null is a histogram without requests. */
export function fromHistogramText(text: string | null): LatencyHistogram {
  const cells: number[] = [];
  for (let end = text?.length ?? 0; end > 0; end -= CELL_DIGITS) {
    cells.push(Number(text?.slice(Math.max(0, end - CELL_DIGITS), end)));
  }
  return cells;
}
