import type { Id } from "@routeplane/domain";
import type { Database } from "@routeplane/postgres";
import { type RawBuilder, sql } from "kysely";
import type { ReconciliationPart, ReconciliationStore, UsageDifference } from "../domain/reconciliation.ts";
import type { RequestStatus } from "../domain/request.ts";
import { startOfDay, startOfHour, type UsageGroup, type UsageRange, wholeDays } from "../domain/usage.ts";
import { names } from "./columns.ts";
import { fromHistogramText, histogramOf } from "./histogram-numbers.ts";
import type { UsageSchema } from "./schema.ts";

const MAX_DIFFERENCES = 1_000;
const HOUR_MS = 60 * 60 * 1000;

const COUNTERS = ["request_count", "prompt_tokens", "completion_tokens", "cost_nano_usd"] as const;
const HISTOGRAMS = ["total_ms_histogram", "first_token_ms_histogram"] as const;
const IDENTITY = sql.raw("bucket, key_id, model, provider, status");

const SIDES = ["kept", "expected"] as const;
type Side = (typeof SIDES)[number];

type Numbers = Record<`${Side}_${(typeof COUNTERS)[number]}`, bigint>;
/** Whole numbers as text; null in a sum without histograms. */
type Histograms = Record<`${Side}_${(typeof HISTOGRAMS)[number]}`, string | null>;
interface DifferenceRow extends Numbers, Histograms {
  unit: "five minutes" | "hour" | "day";
  bucket: Date;
  /** Empty in a total, like the following three. */
  key_id: Id<"key"> | "";
  model: string;
  provider: string;
  status: RequestStatus | "";
}

export function createReconciliationStore(database: Database<UsageSchema>): ReconciliationStore {
  return {
    keptFrom: () =>
      database.within({ node: true }, async (transaction) => {
        const { kept_from } = await transaction.selectFrom("retention").select("kept_from").executeTakeFirstOrThrow();
        return kept_from;
      }),

    nextNamespace: (range, after) =>
      database.within({ node: true }, async (transaction) => {
        const { rows } = await nextNamespace(range, after).execute(transaction);
        return rows[0]?.namespace_id ?? undefined;
      }),

    endOfPart: (namespaceId, range, rows) =>
      database.within({ namespaceId }, async (transaction) => {
        const { rows: found } = await firstBeyond(namespaceId, range, rows).execute(transaction);
        const beyond = found[0]?.time;
        if (!beyond) return range.to;
        const starts = [startOfDay(beyond), startOfHour(beyond)];
        return starts.find((start) => start > range.from) ?? new Date(range.from.getTime() + HOUR_MS);
      }),

    findDifferences: (namespaceId, part, keptFrom) =>
      database.within({ namespaceId }, async (transaction) => {
        const { rows } = await differences(namespaceId, part, keptFrom).execute(transaction);
        return rows.map((row) => fromDifferenceRow(namespaceId, row));
      }),
  };
}

/** Builds the query for the lowest id in any sums or the log. Of the log, only the namespace is visible. */
function nextNamespace(range: UsageRange, after: Id<"ns"> | undefined) {
  const ofSums = (table: RawBuilder<unknown>, { from, to }: UsageRange) => sql`
    (select namespace_id from ${table}
     where namespace_id > ${after ?? ""} and bucket >= ${from} and bucket < ${to} order by namespace_id limit 1)`;
  const days = wholeDays(range);
  const known = [
    ofSums(sql`rollups_hourly`, range),
    ofSums(sql`(select * from totals where minutes = 5) as total`, range),
    sql`select next_request_namespace(${after ?? ""}, ${range.from}, ${range.to})`,
  ];
  if (days !== undefined) {
    known.push(ofSums(sql`rollups_daily`, days));
    known.push(ofSums(sql`(select * from totals where minutes = 1440) as total`, days));
  }
  return sql<{ namespace_id: Id<"ns"> | null }>`
    select min(namespace_id) as namespace_id from (${sql.join(known, sql` union all `)}) as known`;
}

/** Builds the query for the time of the first request, or sum of an hour, after as many others of a range; null if there are not so many. */
function firstBeyond(namespaceId: Id<"ns">, { from, to }: UsageRange, rows: number) {
  const at = (table: string, time: string) => sql`
    (select ${sql.ref(time)} as time from ${sql.table(table)}
     where namespace_id = ${namespaceId} and ${sql.ref(time)} >= ${from} and ${sql.ref(time)} < ${to}
     order by ${sql.ref(time)} limit 1 offset ${rows})`;
  return sql<{ time: Date | null }>`
    select min(time) as time from (${at("requests", "created_at")} union all ${at("rollups_hourly", "bucket")}) as beyond`;
}

const SUMS = sql.join(COUNTERS.map((counter) => sql`sum(${sql.ref(counter)})::numeric as ${sql.ref(counter)}`));

/** Builds the query for all differences. One statement, hence one snapshot: a writer changes rows and sums in one transaction. */
function differences(namespaceId: Id<"ns">, { days, ...range }: ReconciliationPart, keptFrom: Date) {
  const inRange = (time: string, { from, to }: UsageRange) =>
    sql`namespace_id = ${namespaceId} and ${sql.ref(time)} >= ${from} and ${sql.ref(time)} < ${to}`;
  const kept = (table: string, part: UsageRange) =>
    sql`select * from ${sql.table(table)} where ${inRange("bucket", part)}`;
  const totals = (minutes: 5 | 1440, part: UsageRange) =>
    sql`select bucket, ${ALL_DIMENSIONS}, ${COUNTER_NAMES} from totals where minutes = ${minutes} and ${inRange("bucket", part)}`;
  const logged = keptFrom > range.from ? { from: keptFrom, to: range.to } : range;
  const unlogged = { from: range.from, to: keptFrom < range.to ? keptFrom : range.to };
  const log = sql`
    select date_bin('5 minutes', created_at, timestamptz '2000-01-01 00:00:00Z') as bucket, key_id, model, provider, status,
      count(*) as request_count, sum(prompt_tokens)::bigint as prompt_tokens,
      sum(completion_tokens)::bigint as completion_tokens, sum(cost_nano_usd) as cost_nano_usd
    from requests where ${inRange("created_at", logged)} group by 1, 2, 3, 4, 5`;
  const checks = [
    differing("hour", kept("rollups_hourly", logged), of("hour", sql`log`)),
    differing("five minutes", totals(5, logged), totalOf("five minutes", sql`log`)),
    // Older totals are compared with the rollups, because the log of their time was dropped.
    differing(
      "hour",
      totalOf("hour", sql`(${totals(5, unlogged)}) as total`),
      totalOf("hour", sql`(${kept("rollups_hourly", unlogged)}) as sums`),
    ),
  ];
  checks.push(differingLatencies(kept("latencies_hourly", logged), inRange("created_at", logged)));
  if (days !== undefined) {
    checks.push(
      differing("day", kept("rollups_daily", days), of("day", sql`(${kept("rollups_hourly", days)}) as sums`)),
    );
    checks.push(differing("day", totals(1440, days), totalOf("day", sql`(${totals(5, days)}) as total`)));
  }
  return sql<DifferenceRow>`
    with log as materialized (${log})
    select * from (${sql.join(checks, sql` union all `)}) as difference
    order by unit desc, ${IDENTITY} limit ${MAX_DIFFERENCES}`;
}

const COUNTER_NAMES = names(COUNTERS);
/** Columns of a total for the dimensions that it sums over: empty. */
const ALL_DIMENSIONS = sql.raw(
  ["key_id", "model", "provider", "status"].map((name) => `'' collate "C" as ${name}`).join(", "),
);

type Unit = DifferenceRow["unit"];

/** Computes the start of a bucket without the code that writes sums, so that a bug in that code is found. */
const startOf = (unit: Unit, time = sql`bucket`): RawBuilder<unknown> =>
  unit === "five minutes" ? time : sql`date_trunc(${sql.lit(unit)}, ${time}, 'UTC')`;

function of(unit: Unit, finer: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`
    select ${startOf(unit)} as bucket, key_id, model, provider, status, ${SUMS} from ${finer} group by 1, 2, 3, 4, 5`;
}

function totalOf(unit: Unit, finer: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`
    select ${startOf(unit)} as bucket, ${ALL_DIMENSIONS}, ${SUMS} from ${finer} where status <> 'denied' group by 1`;
}

/** Builds the query for the sums that differ. A sum of zeros equals a missing one. */
function differing(unit: Unit, kept: RawBuilder<unknown>, expected: RawBuilder<unknown>): RawBuilder<unknown> {
  const number = (side: "kept" | "expected", counter: string) => sql`coalesce(${sql.ref(`${side}.${counter}`)}, 0)`;
  const numbers = SIDES.flatMap((side) =>
    COUNTERS.map((counter) => sql`${number(side, counter)} as ${sql.ref(`${side}_${counter}`)}`),
  );
  const histograms = SIDES.flatMap((side) => HISTOGRAMS.map((name) => sql`null as ${sql.ref(`${side}_${name}`)}`));
  const differ = COUNTERS.map((counter) => sql`${number("kept", counter)} <> ${number("expected", counter)}`);
  return sql`
    select ${sql.lit(unit)} as unit, ${IDENTITY}, ${sql.join([...numbers, ...histograms])}
    from (${kept}) as kept full join (${expected}) as expected using (${IDENTITY})
    where ${sql.join(differ, sql` or `)}`;
}

/** Builds the query for the hourly histograms that differ from those of the log. Histograms have neither key nor status. */
function differingLatencies(kept: RawBuilder<unknown>, isLogged: RawBuilder<unknown>): RawBuilder<unknown> {
  const histogram = (side: Side, name: string) => sql`coalesce(${sql.ref(`${side}.${name}`)}, 0)`;
  const numbers = SIDES.flatMap((side) => COUNTERS.map((counter) => sql`0 as ${sql.ref(`${side}_${counter}`)}`));
  const histograms = SIDES.flatMap((side) =>
    HISTOGRAMS.map((name) => sql`${histogram(side, name)}::text as ${sql.ref(`${side}_${name}`)}`),
  );
  const differ = HISTOGRAMS.map((name) => sql`${histogram("kept", name)} <> ${histogram("expected", name)}`);
  return sql`
    select 'hour', bucket, '' as key_id, model, provider, '' as status, ${sql.join([...numbers, ...histograms])}
    from (${kept}) as kept full join (
      select ${startOf("hour", sql`created_at`)} as bucket, model, provider,
        coalesce(sum(${histogramOf(sql.ref("total_ms_cell"))}), 0) as total_ms_histogram,
        coalesce(sum(${histogramOf(sql.ref("first_token_ms_cell"))}), 0) as first_token_ms_histogram
      from requests where ${isLogged} group by 1, 2, 3
    ) as expected using (bucket, model, provider)
    where ${sql.join(differ, sql` or `)}`;
}

function fromDifferenceRow(namespaceId: Id<"ns">, row: DifferenceRow): UsageDifference {
  const side = (name: Side): UsageGroup => ({
    namespaceId: undefined,
    keyId: row.key_id || undefined,
    model: row.model || undefined,
    provider: row.provider || undefined,
    status: row.status || undefined,
    hour: row.unit === "hour" ? row.bucket : undefined,
    day: row.unit === "day" ? row.bucket : undefined,
    restCount: 0n,
    requestCount: row[`${name}_request_count`],
    promptTokens: row[`${name}_prompt_tokens`],
    completionTokens: row[`${name}_completion_tokens`],
    costNanoUsd: row[`${name}_cost_nano_usd`],
    // Stored sums have a status instead.
    deniedCount: 0n,
    deniedUnloggedCount: 0n,
    latencies: {
      total: fromHistogramText(row[`${name}_total_ms_histogram`]),
      firstToken: fromHistogramText(row[`${name}_first_token_ms_histogram`]),
    },
  });
  const fiveMinutes = row.unit === "five minutes" ? row.bucket : undefined;
  return { namespaceId, fiveMinutes, kept: side("kept"), expected: side("expected") };
}
