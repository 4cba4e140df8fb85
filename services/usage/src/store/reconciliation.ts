import type { Id } from "@routeplane/domain";
import type { Database } from "@routeplane/postgres";
import { type RawBuilder, sql } from "kysely";
import type { ReconciliationStore, UsageDifference } from "../domain/reconciliation.ts";
import type { RequestStatus } from "../domain/request.ts";
import { type UsageGroup, type UsageRange, wholeDays } from "../domain/usage.ts";
import type { UsageSchema } from "./schema.ts";

const MAX_DIFFERENCES = 1_000;

const COUNTERS = ["request_count", "prompt_tokens", "completion_tokens", "cost_nano_usd"] as const;
const IDENTITY = sql.raw("bucket, key_id, model, provider, status");

type Numbers = Record<`${"kept" | "expected"}_${(typeof COUNTERS)[number]}`, bigint>;
interface DifferenceRow extends Numbers {
  unit: "hour" | "day";
  bucket: Date;
  key_id: Id<"key">;
  model: string;
  provider: string;
  status: RequestStatus;
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

    differences: (namespaceId, range, keptFrom) =>
      database.within({ namespaceId }, async (transaction) => {
        const { rows } = await differences(namespaceId, range, keptFrom).execute(transaction);
        return rows.map((row) => fromDifferenceRow(namespaceId, row));
      }),
  };
}

/** The least that either kind of sums or the log knows. Of the log nothing but the namespace can be seen. */
function nextNamespace(range: UsageRange, after: Id<"ns"> | undefined) {
  const ofSums = (table: string, { from, to }: UsageRange) => sql`
    (select namespace_id from ${sql.table(table)}
     where namespace_id > ${after ?? ""} and bucket >= ${from} and bucket < ${to} order by namespace_id limit 1)`;
  const days = wholeDays(range);
  return sql<{ namespace_id: Id<"ns"> | null }>`
    select min(namespace_id) as namespace_id from (
      ${ofSums("rollups_hourly", range)}
      ${days === undefined ? sql`` : sql`union all ${ofSums("rollups_daily", days)}`}
      union all select next_request_namespace(${after ?? ""}, ${range.from}, ${range.to})
    ) as known`;
}

/** One statement, hence one snapshot: a writer changes rows and sums in one transaction. */
function differences(namespaceId: Id<"ns">, range: UsageRange, keptFrom: Date) {
  const inRange = (time: string, { from, to }: UsageRange) =>
    sql`namespace_id = ${namespaceId} and ${sql.ref(time)} >= ${from} and ${sql.ref(time)} < ${to}`;
  const sums = sql.join(COUNTERS.map((counter) => sql`sum(${sql.ref(counter)})::bigint as ${sql.ref(counter)}`));
  const logged = keptFrom > range.from ? { from: keptFrom, to: range.to } : range;
  const log = sql`
    select date_trunc('hour', created_at, 'UTC') as bucket, key_id, model, provider, status, count(*) as request_count,
      sum(prompt_tokens)::bigint as prompt_tokens, sum(completion_tokens)::bigint as completion_tokens,
      sum(cost_nano_usd)::bigint as cost_nano_usd
    from requests where ${inRange("created_at", logged)} group by 1, 2, 3, 4, 5`;
  const days = wholeDays(range);
  const ofDays = (part: UsageRange) => sql`
    union all ${unlike(
      "day",
      sql`select * from rollups_daily where ${inRange("bucket", part)}`,
      sql`select date_trunc('day', bucket, 'UTC') as bucket, key_id, model, provider, status, ${sums}
        from rollups_hourly where ${inRange("bucket", part)} group by 1, 2, 3, 4, 5`,
    )}`;
  return sql<DifferenceRow>`
    select * from (
      ${unlike("hour", sql`select * from rollups_hourly where ${inRange("bucket", logged)}`, log)}
      ${days === undefined ? sql`` : ofDays(days)}
    ) as difference
    order by unit desc, ${IDENTITY} limit ${MAX_DIFFERENCES}`;
}

/** The sums of which one side knows what the other does not. Zeros are as good as nothing. */
function unlike(unit: "hour" | "day", kept: RawBuilder<unknown>, expected: RawBuilder<unknown>): RawBuilder<unknown> {
  const number = (side: "kept" | "expected", counter: string) => sql`coalesce(${sql.ref(`${side}.${counter}`)}, 0)`;
  const numbers = (["kept", "expected"] as const).flatMap((side) =>
    COUNTERS.map((counter) => sql`${number(side, counter)} as ${sql.ref(`${side}_${counter}`)}`),
  );
  const differ = COUNTERS.map((counter) => sql`${number("kept", counter)} <> ${number("expected", counter)}`);
  return sql`
    select ${sql.lit(unit)} as unit, ${IDENTITY}, ${sql.join(numbers)}
    from (${kept}) as kept full join (${expected}) as expected using (${IDENTITY})
    where ${sql.join(differ, sql` or `)}`;
}

function fromDifferenceRow(namespaceId: Id<"ns">, row: DifferenceRow): UsageDifference {
  const side = (name: "kept" | "expected"): UsageGroup => ({
    namespaceId: undefined,
    keyId: row.key_id,
    model: row.model,
    provider: row.provider,
    status: row.status,
    hour: row.unit === "hour" ? row.bucket : undefined,
    day: row.unit === "day" ? row.bucket : undefined,
    requestCount: row[`${name}_request_count`],
    promptTokens: row[`${name}_prompt_tokens`],
    completionTokens: row[`${name}_completion_tokens`],
    costNanoUsd: row[`${name}_cost_nano_usd`],
  });
  return { namespaceId, kept: side("kept"), expected: side("expected") };
}
