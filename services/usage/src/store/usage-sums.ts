import { type Id, invalidField } from "@routeplane/domain";
import type { Transaction } from "@routeplane/postgres";
import { type RawBuilder, sql } from "kysely";
import type { RequestStatus } from "../domain/request.ts";
import {
  type Dimension,
  MAX_GROUPS,
  partsOf,
  type UsageGroup,
  type UsageQuery,
  type UsageRange,
} from "../domain/usage.ts";
import type { UsageSchema } from "./schema.ts";

/** Each dimension as an expression over the parts, which have `at`: the moment, or the first one of the hour or day. */
const DIMENSIONS: Readonly<Record<Dimension, RawBuilder<unknown>>> = {
  namespace: sql`namespace_id`,
  key: sql`key_id`,
  model: sql`model`,
  provider: sql`provider`,
  status: sql`status`,
  hour: sql`date_trunc('hour', at, 'UTC')`,
  day: sql`date_trunc('day', at, 'UTC')`,
};

interface SumRow {
  namespace: Id<"ns"> | null;
  key: Id<"key"> | null;
  model: string | null;
  provider: string | null;
  status: RequestStatus | null;
  hour: Date | null;
  day: Date | null;
  request_count: bigint;
  prompt_tokens: bigint;
  completion_tokens: bigint;
  cost_nano_usd: bigint;
}

/**
 * Sums over a range: whole days and hours from what is kept of them, what is left from the requests. One statement, hence one
 * snapshot: no request is counted twice or missed because it settles meanwhile. Denied requests are left out.
 *
 * @param namespaceId undefined: every namespace that the transaction sees
 */
export async function sumUsage(
  transaction: Transaction<UsageSchema>,
  namespaceId: Id<"ns"> | undefined,
  query: UsageQuery,
): Promise<readonly UsageGroup[]> {
  const dimensions = Object.entries(DIMENSIONS) as [Dimension, RawBuilder<unknown>][];
  const columns = dimensions.map(([name, expression]) =>
    query.groupBy.includes(name) ? sql`${expression} as ${sql.ref(name)}` : sql`null as ${sql.ref(name)}`,
  );
  const grouped = query.groupBy.map((name) => DIMENSIONS[name]);
  const { rows } = await sql<SumRow>`
    select ${sql.join(columns)},
      coalesce(sum(request_count), 0)::bigint as request_count,
      coalesce(sum(prompt_tokens), 0)::bigint as prompt_tokens,
      coalesce(sum(completion_tokens), 0)::bigint as completion_tokens,
      coalesce(sum(cost_nano_usd), 0)::bigint as cost_nano_usd
    from (${partsFor(namespaceId, query)}) as part
    ${grouped.length === 0 ? sql`` : sql`group by ${sql.join(grouped)} having sum(request_count) > 0`}
    order by day, hour, cost_nano_usd desc, request_count desc, namespace, key, model, provider, status
    limit ${MAX_GROUPS + 1}`.execute(transaction);
  if (rows.length > MAX_GROUPS) {
    throw invalidField("group_by", `makes more than ${MAX_GROUPS} groups of this range: ask for less at once`);
  }
  return rows.map(fromSumRow);
}

function partsFor(
  namespaceId: Id<"ns"> | undefined,
  { range, groupBy, keyId, model }: UsageQuery,
): RawBuilder<unknown> {
  const { days, hours, moments } = partsOf(range, groupBy.includes("hour"));
  const conditions = [sql`status <> 'denied'`];
  // Row-level security says so too; here it is what finds the index.
  if (namespaceId !== undefined) conditions.push(sql`namespace_id = ${namespaceId}`);
  if (keyId !== undefined) conditions.push(sql`key_id = ${keyId}`);
  if (model !== undefined) conditions.push(sql`model = ${model}`);
  const read = (table: string, time: RawBuilder<unknown>, count: RawBuilder<unknown>) => (part: UsageRange) =>
    sql`
    select ${time} as at, namespace_id, key_id, model, provider, status,
      ${count} as request_count, prompt_tokens, completion_tokens, cost_nano_usd
    from ${sql.table(table)}
    where ${sql.join([...conditions, sql`${time} >= ${part.from}`, sql`${time} < ${part.to}`], sql` and `)}`;
  const parts = [
    ...days.map(read("rollups_daily", sql`bucket`, sql`request_count`)),
    ...hours.map(read("rollups_hourly", sql`bucket`, sql`request_count`)),
    ...moments.map(read("requests", sql`created_at`, sql`1`)),
  ];
  return sql.join(parts, sql` union all `);
}

function fromSumRow(row: SumRow): UsageGroup {
  return {
    namespaceId: row.namespace ?? undefined,
    keyId: row.key ?? undefined,
    model: row.model ?? undefined,
    provider: row.provider ?? undefined,
    status: row.status ?? undefined,
    hour: row.hour ?? undefined,
    day: row.day ?? undefined,
    requestCount: row.request_count,
    promptTokens: row.prompt_tokens,
    completionTokens: row.completion_tokens,
    costNanoUsd: row.cost_nano_usd,
  };
}
