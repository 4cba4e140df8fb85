import { type RawBuilder, sql } from "kysely";
import type { RequestStatus } from "../domain/request.ts";
import type { SumUnit } from "../domain/usage.ts";
import { histogramOf } from "./histogram-numbers.ts";

/** Sums of a group. */
export const COUNTERS = [
  "request_count",
  "prompt_tokens",
  "completion_tokens",
  "cost_nano_usd",
  "denied_count",
  "denied_unlogged_count",
  "total_ms_histogram",
  "first_token_ms_histogram",
] as const;
export type Counter = (typeof COUNTERS)[number];

/** Counters that are histograms, each written as one number. */
export const HISTOGRAMS: ReadonlySet<Counter> = new Set(["total_ms_histogram", "first_token_ms_histogram"]);

/** Table from which a part of a range is summed, with its amounts and the condition on its rows. */
export interface Source {
  readonly table:
    | "totals"
    | "rollups_hourly"
    | "rollups_daily"
    | "latencies_hourly"
    | "requests"
    | "unlogged_denials"
    | "unlogged_denials_hourly";
  /** Column of the time, or of the start of the bucket. */
  readonly time: "bucket" | "created_at" | "minute";
  /** Amounts that a row adds to each counter; to absent counters it adds nothing. */
  readonly counts: Readonly<Partial<Record<Counter, RawBuilder<unknown>>>>;
  /** Condition in addition to the range and the filters of the query. */
  readonly where: RawBuilder<unknown>;
  /** Status of every row, if the table has no such column. */
  readonly status?: RequestStatus;
}

const COUNTED = sql`status <> 'denied'`;
const DENIED = sql`status = 'denied'`;
const onePerRow = sql`1`;
const requestCount = sql.ref("request_count");
const amounts = {
  prompt_tokens: sql.ref("prompt_tokens"),
  completion_tokens: sql.ref("completion_tokens"),
  cost_nano_usd: sql.ref("cost_nano_usd"),
};
const kept = (table: Source["table"], where: RawBuilder<unknown>): Source => {
  return { table, time: "bucket", counts: { request_count: requestCount, ...amounts }, where };
};
const denied = (table: Source["table"]): Source => {
  return { table, time: "bucket", counts: { denied_count: requestCount }, where: DENIED };
};
const unlogged = (table: Source["table"], time: Source["time"]): Source => {
  const count = sql.ref("denied_count");
  return {
    table,
    time,
    counts: { denied_count: count, denied_unlogged_count: count },
    where: sql`true`,
    status: "denied",
  };
};

/** Sources keyed by unit, and the source of the rest of a range. */
export type Sources = Readonly<Partial<Record<SumUnit, Source>>> & { readonly rest: Source };
const REQUESTS: Source = {
  table: "requests",
  time: "created_at",
  counts: { request_count: onePerRow, ...amounts },
  where: COUNTED,
};
export const TOTALS: Sources = {
  "five minutes": kept("totals", sql`minutes = 5`),
  day: kept("totals", sql`minutes = 1440`),
  rest: REQUESTS,
};
/** Sources of totals whose ranges are rounded to hours, like those of rollups. */
export const HOURLY_TOTALS: Sources = {
  hour: kept("totals", sql`minutes = 5`),
  day: kept("totals", sql`minutes = 1440`),
  rest: REQUESTS,
};
export const ROLLUPS: Sources = {
  hour: kept("rollups_hourly", COUNTED),
  day: kept("rollups_daily", COUNTED),
  rest: REQUESTS,
};
export const DENIED_ROWS: Sources = {
  hour: denied("rollups_hourly"),
  day: denied("rollups_daily"),
  rest: { table: "requests", time: "created_at", counts: { denied_count: onePerRow }, where: DENIED },
};
export const UNLOGGED_DENIALS: Sources = {
  hour: unlogged("unlogged_denials_hourly", "bucket"),
  rest: unlogged("unlogged_denials", "minute"),
};
/** Sources of the histograms, which have neither key nor status. */
export const LATENCIES: Sources = {
  hour: {
    table: "latencies_hourly",
    time: "bucket",
    counts: {
      total_ms_histogram: sql.ref("total_ms_histogram"),
      first_token_ms_histogram: sql.ref("first_token_ms_histogram"),
    },
    where: sql`true`,
  },
  rest: {
    table: "requests",
    time: "created_at",
    counts: {
      total_ms_histogram: histogramOf(sql.ref("total_ms_cell")),
      first_token_ms_histogram: histogramOf(sql.ref("first_token_ms_cell")),
    },
    where: sql`total_ms_cell is not null`,
  },
};
