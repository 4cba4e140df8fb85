import { type Id, invalidField } from "@routeplane/domain";
import type { Database, Scope } from "@routeplane/postgres";
import { type RawBuilder, sql } from "kysely";
import { type MisplacedStretch, misplacedStretches } from "../domain/local-days.ts";
import type { RequestStatus } from "../domain/request.ts";
import {
  type Dimension,
  type Largest,
  type LocalDays,
  MAX_GROUPS,
  type Measure,
  roundDays,
  splitRange,
  type RangePart,
  SUM_UNITS,
  type SumUnit,
  TIME_DIMENSIONS,
  type UsageGroup,
  type UsageQuery,
} from "../domain/usage.ts";
import { names } from "./columns.ts";
import { fromHistogramText } from "./histogram-numbers.ts";
import { startOf } from "./start-of-bucket.ts";
import type { UsageSchema } from "./schema.ts";
import {
  type Counter,
  COUNTERS,
  LATENCIES,
  DENIED_ROWS,
  HISTOGRAMS,
  ROLLUPS,
  type Source,
  TOTALS,
  UNLOGGED_DENIALS,
} from "./usage-sources.ts";

/** Expressions of the dimensions but the day, for rows whose time, or start of bucket, is in the column `time`. */
const DIMENSIONS: Readonly<Record<Exclude<Dimension, "day">, (time: string) => RawBuilder<unknown>>> = {
  namespace: () => sql`namespace_id`,
  key: () => sql`key_id`,
  model: () => sql`model`,
  provider: () => sql`provider`,
  status: () => sql`status`,
  hour: (time) => startOf("hour", time),
};

const ALL_DIMENSIONS: readonly Dimension[] = ["namespace", "key", "model", "provider", "status", "hour", "day"];

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
  denied_count: bigint;
  denied_unlogged_count: bigint;
  /** Whole number as text; null unless the query asks for it. */
  total_ms_histogram: string | null;
  first_token_ms_histogram: string | null;
  rest_count: bigint;
}

/**
 * Sums usage over a range: as much as possible from the sums of the longest unit, what is missing or in excess from shorter
 * ones, and the ends from the requests. One statement, hence one snapshot: no request is counted twice or missed because it
 * settles meanwhile. Denied requests are counted apart.
 *
 * @param namespaceId undefined: every namespace of the node
 */
export async function sumUsage(
  database: Database<UsageSchema>,
  namespaceId: Id<"ns"> | undefined,
  query: UsageQuery,
): Promise<readonly UsageGroup[]> {
  const { groupBy } = query;
  const scope: Scope = namespaceId === undefined ? { node: true } : { namespaceId };
  await requireKept(database, scope, query.range.from);
  const sums = sql`select ${sql.join([...groupBy.map((name) => sql.ref(name)), ...countersOf(query).map(summed)])}
    from (${partsFor(namespaceId, query)}) as part
    ${groupBy.length === 0 ? sql`` : sql`group by ${names(groupBy)} having sum(request_count) > 0 or sum(denied_count) > 0`}`;
  const statement = sql<SumRow>`
    ${query.largest === undefined ? everyGroup(query, sums) : largestGroups(query, sums, query.largest)}
    order by day, hour, rest_count, cost_nano_usd desc, request_count desc, denied_count desc,
      namespace, key, model, provider, status
    limit ${MAX_GROUPS + 1}`;
  const rows = await database.read(scope, (builder) => statement.compile(builder));
  if (rows.length > MAX_GROUPS) {
    const advice = "ask for less at once, or for the largest alone";
    throw invalidField("group_by", `makes more than ${MAX_GROUPS} groups of this range: ${advice}`);
  }
  return rows.map(fromSumRow);
}

const summed = (counter: Counter): RawBuilder<unknown> =>
  sql`coalesce(sum(${sql.ref(counter)}), 0) as ${sql.ref(counter)}`;

function everyGroup(query: UsageQuery, sums: RawBuilder<unknown>): RawBuilder<unknown> {
  const dimensions = dimensionColumns(query, (name) => sql.ref(name));
  const counters = counterColumns(query, (counter) => sql.ref(counter));
  return sql`select ${sql.join([...dimensions, ...counters])}, 0::int8 as rest_count from (${sums}) as sums`;
}

/** Builds the query that joins the groups of all values but the largest. Arrays compare nulls as equal, which columns do not. */
function largestGroups(query: UsageQuery, sums: RawBuilder<unknown>, { count, by }: Largest): RawBuilder<unknown> {
  const isTime = (name: Dimension): boolean => TIME_DIMENSIONS.includes(name);
  const compared = query.groupBy.filter((name) => !isTime(name));
  const value = sql`array[${sql.join(compared.map((name) => sql`${sql.ref(name)}::text collate "C"`))}]`;
  const dimensions = dimensionColumns(query, (name) =>
    isTime(name) ? sql.ref(name) : sql`case when rank <= ${count} then ${sql.ref(name)} end`,
  );
  const counters = counterColumns(query, (counter) => sql`sum(${sql.ref(counter)})`);
  return sql`
    with sums as materialized (${sums}),
    ranked as (
      select ${value} as value, count(*) over () as value_count,
        row_number() over (order by sum(${MEASURES[by]}) desc, ${value}) as rank
      from sums group by ${value})
    select ${sql.join([...dimensions, ...counters])},
      case when rank > ${count} then value_count - ${count} else 0 end as rest_count
    from sums join ranked on ranked.value = ${value}
    group by ${sql.raw(dimensions.map((_, at) => at + 1).join(", "))}, rest_count`;
}

const MEASURES: Readonly<Record<Measure, RawBuilder<unknown>>> = {
  spend: sql`cost_nano_usd`,
  requests: sql`request_count`,
  tokens: sql`prompt_tokens + completion_tokens`,
  denied: sql`denied_count`,
};

/** Builds a column of each dimension, null for those that the query does not group by. */
function dimensionColumns(
  { groupBy }: UsageQuery,
  columnOf: (name: Dimension) => RawBuilder<unknown>,
): readonly RawBuilder<unknown>[] {
  return ALL_DIMENSIONS.map((name) => sql`${groupBy.includes(name) ? columnOf(name) : sql`null`} as ${sql.ref(name)}`);
}

/** Builds a column of each counter, null for those that the query does not read. */
function counterColumns(
  query: UsageQuery,
  columnOf: (counter: Counter) => RawBuilder<unknown>,
): readonly RawBuilder<unknown>[] {
  const read = countersOf(query);
  return COUNTERS.map((counter) => {
    const type = sql.raw(HISTOGRAMS.has(counter) ? "text" : "numeric");
    return sql`${read.includes(counter) ? columnOf(counter) : sql`null`}::${type} as ${sql.ref(counter)}`;
  });
}

function countersOf(query: UsageQuery): readonly Counter[] {
  return COUNTERS.filter((counter) => readsLatencies(query) || !HISTOGRAMS.has(counter));
}

/** True if a query asks for latencies, and they are kept for what it asks. */
function readsLatencies({ withLatencies, keyId, groupBy }: UsageQuery): boolean {
  return withLatencies && keyId === undefined && !groupBy.includes("key") && !groupBy.includes("status");
}

/** Age up to which sums are always kept. */
const ALWAYS_KEPT_MS = 30 * 24 * 60 * 60 * 1000;

/** @throws DomainError INVALID_ARGUMENT if sums of after `from` were dropped: they must not be taken for zero */
async function requireKept(database: Database<UsageSchema>, scope: Scope, from: Date): Promise<void> {
  if (from.getTime() >= Date.now() - ALWAYS_KEPT_MS) return;
  const [retention] = await database.read(scope, (builder) =>
    builder.selectFrom("retention").select("sums_kept_from").compile(),
  );
  const keptFrom = retention?.sums_kept_from;
  if (keptFrom === undefined || keptFrom <= from || keptFrom <= NOTHING_DROPPED) return;
  throw invalidField("from", `usage from before ${keptFrom.toISOString()} is not kept any more`);
}

/** Start of the kept sums while none was ever dropped: no request is older. */
const NOTHING_DROPPED = new Date(Date.UTC(2000, 0, 1));

/** Dimensions that totals have. Rollups have a row for each key, model, provider and status of a day. */
const TOTALS_DIMENSIONS: ReadonlySet<Dimension> = new Set(["namespace", "hour", "day"]);

/**
 * Builds the query of all parts, each grouped by itself: two thirds of the time of grouping all rows at once.
 *
 * Days of a time zone are read from sums of days only if all begin with a day of UTC, which is then what they are. Sums that one of them
 * begins within go to the day that begins nearest; the rows between the two moments are moved to the other day.
 */
function partsFor(namespaceId: Id<"ns"> | undefined, query: UsageQuery): RawBuilder<unknown> {
  const { range, groupBy, keyId, model, provider, days } = query;
  const counters = countersOf(query);
  const isFiltered = keyId !== undefined || model !== undefined || provider !== undefined;
  const inTotals = !isFiltered && groupBy.every((name) => TOTALS_DIMENSIONS.has(name));
  const conditions: RawBuilder<unknown>[] = [];
  // Row-level security adds the same condition; this one lets Postgres use the index.
  if (namespaceId !== undefined) conditions.push(sql`namespace_id = ${namespaceId}`);
  if (keyId !== undefined) conditions.push(sql`key_id = ${keyId}`);
  if (model !== undefined) conditions.push(sql`model = ${model}`);
  if (provider !== undefined) conditions.push(sql`provider = ${provider}`);
  const grouping = { groupBy, conditions, counters };
  const latencies = readsLatencies(query) ? [LATENCIES] : [];
  const parts = [inTotals ? TOTALS : ROLLUPS, DENIED_ROWS, UNLOGGED_DENIALS, ...latencies].flatMap((sources) => {
    // Groups by hour, or by day of a time zone, cannot be read from sums of days.
    const isFiner = groupBy.includes("hour") || (groupBy.includes("day") && days !== undefined);
    const units = SUM_UNITS.filter((unit) => sources[unit] && !(unit === "day" && isFiner));
    return splitRange(range, units).flatMap((part) => {
      const source = (part.unit && sources[part.unit]) ?? sources.rest;
      const sums = sumsOf(part, source, { ...grouping, day: dayOf(source, part.unit, days) });
      if (days === undefined || part.unit === undefined || !groupBy.includes("day")) return [sums];
      const misplaced = misplacedStretches(days, roundDays(days, part.unit), part);
      return misplaced.length === 0 ? [sums] : [sums, moveRows(misplaced, sources.rest, grouping)];
    });
  });
  return sql.join(parts, sql` union all `);
}

/** Builds the start of the day that a row of a source belongs to. @param unit of its sums; undefined: it has exact times */
function dayOf({ time }: Source, unit: SumUnit | undefined, days: LocalDays | undefined): RawBuilder<unknown> {
  if (days === undefined) return startOf("day", time);
  const starts = unit === undefined ? days : roundDays(days, unit);
  return sql`(${days}::timestamptz[])[width_bucket(${sql.ref(time)}, ${starts}::timestamptz[])]`;
}

/** Dimensions and conditions of a part. */
interface Grouping {
  readonly groupBy: UsageQuery["groupBy"];
  readonly conditions: readonly RawBuilder<unknown>[];
  readonly counters: readonly Counter[];
  /** Expression of the day. */
  readonly day: RawBuilder<unknown>;
}

function sumsOf(
  { from, to, sign }: RangePart,
  source: Source,
  { groupBy, conditions, counters, day }: Grouping,
): RawBuilder<unknown> {
  const at = sql.ref(source.time);
  const sums = counters.map((counter) => {
    const counted = source.counts[counter];
    const sum = counted === undefined ? sql`0` : sql`sum(${counted})`;
    return sql`${sign === 1 ? sum : sql`-${sum}`} as ${sql.ref(counter)}`;
  });
  return sql`
    select ${sql.join([...dimensionsOf(source, groupBy, day), ...sums])} from ${sql.table(source.table)}
    where ${sql.join([source.where, ...conditions, sql`${at} >= ${from}`, sql`${at} < ${to}`], sql` and `)}
    ${groupByFirst(groupBy.length)}`;
}

function dimensionsOf(
  { time, status }: Source,
  groupBy: UsageQuery["groupBy"],
  day: RawBuilder<unknown>,
): readonly RawBuilder<unknown>[] {
  const of = (name: Dimension): RawBuilder<unknown> => {
    if (name === "day") return day;
    return name === "status" && status !== undefined
      ? sql`${sql.lit(status)}::text collate "C"`
      : DIMENSIONS[name](time);
  };
  return groupBy.map((name) => sql`${of(name)} as ${sql.ref(name)}`);
}

/** Groups by the first columns: by their numbers, because expressions with parameters never count as the same. */
function groupByFirst(count: number): RawBuilder<unknown> {
  return count === 0 ? sql`` : sql`group by ${sql.raw(Array.from({ length: count }, (_, at) => at + 1).join(", "))}`;
}

/** Builds the query that adds the rows of stretches to their days, and subtracts them from the others. */
function moveRows(
  stretches: readonly MisplacedStretch[],
  source: Source,
  { groupBy, conditions, counters }: Omit<Grouping, "day">,
): RawBuilder<unknown> {
  const at = sql.ref(source.time);
  const sums = counters.map((counter) => {
    const counted = source.counts[counter];
    return sql`${counted === undefined ? sql`0` : sql`sum(sign * ${counted})`} as ${sql.ref(counter)}`;
  });
  const columns = (["from", "to", "day", "wrongDay"] as const).map(
    (name) => sql`${stretches.map((stretch) => stretch[name])}::timestamptz[]`,
  );
  return sql`
    select ${sql.join([...dimensionsOf(source, groupBy, sql`moved.to_day`), ...sums])}
    from unnest(${sql.join(columns)}) as stretch(starts, ends, day, wrong_day)
    cross join lateral (values (stretch.day, 1), (stretch.wrong_day, -1)) as moved(to_day, sign)
    join ${sql.table(source.table)} on ${at} >= stretch.starts and ${at} < stretch.ends
    where ${sql.join([source.where, ...conditions], sql` and `)}
    ${groupByFirst(groupBy.length)}`;
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
    restCount: row.rest_count,
    requestCount: row.request_count,
    promptTokens: row.prompt_tokens,
    completionTokens: row.completion_tokens,
    costNanoUsd: row.cost_nano_usd,
    deniedCount: row.denied_count,
    deniedUnloggedCount: row.denied_unlogged_count,
    latencies: {
      total: fromHistogramText(row.total_ms_histogram),
      firstToken: fromHistogramText(row.first_token_ms_histogram),
    },
  };
}
