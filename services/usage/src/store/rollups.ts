import type { Transaction } from "@routeplane/postgres";
import { type RawBuilder, sql } from "kysely";
import type { SumUnit } from "../domain/usage.ts";
import { columnOf, names, statementOver } from "./columns.ts";
import { ADD_LATENCIES, LATENCY_CELLS } from "./latencies.ts";
import { startOf } from "./start-of-bucket.ts";
import type { RollupRow, UsageSchema } from "./schema.ts";

const column = columnOf<RollupRow>();

const IDENTITY = {
  namespace_id: column("text", (row) => row.namespace_id),
  bucket: column("timestamptz", (row) => row.bucket),
  key_id: column("text", (row) => row.key_id),
  model: column("text", (row) => row.model),
  provider: column("text", (row) => row.provider),
  status: column("text", (row) => row.status),
};

const COUNTERS = {
  request_count: column("bigint", (row) => row.request_count),
  prompt_tokens: column("bigint", (row) => row.prompt_tokens),
  completion_tokens: column("bigint", (row) => row.completion_tokens),
  cost_nano_usd: column("numeric", (row) => row.cost_nano_usd),
};

const COLUMNS = { ...IDENTITY, ...COUNTERS };
const identity = Object.keys(IDENTITY);
const totalIdentity = ["namespace_id", "minutes", "bucket"];
const counters = Object.keys(COUNTERS);
const COUNTER_SUMS = sql.join(
  Object.entries(COUNTERS).map(([name, { type }]) => sql`sum(${sql.ref(name)})::${sql.raw(type)} as ${sql.ref(name)}`),
);
/** Columns of the identity that a settlement may change: the model that answered may differ from the requested one. */
const movable = ["model", "provider", "status"] as const;
/** Columns that a settlement leaves as they are. */
const fixedIdentity = ["namespace_id", "bucket", "key_id"];
/** Counters that are columns of a request. */
const summed = counters.filter((counter) => counter !== "request_count");
const sides = ["new", "old"] as const;
/** Movable columns of `written`, as they are and as they were. */
const moves = sides.flatMap((side) => movable.map((column) => `${side}_${column}`));

/**
 * Changes of the sums by five minutes, from `written`, which has `old` and `new` of each row. A row whose model, provider or status changed
 * is subtracted under the old values and added under the new ones. Rows with the same change are summed first, because a batch has few
 * different changes.
 */
const DELTAS = sql`
  moved as materialized (
    select ${names([...fixedIdentity, ...moves])}, count(*) as request_count,
      ${sql.join(sides.flatMap((side) => summed.map((counter) => sql`sum(${sql.ref(`${side}_${counter}`)}) as ${sql.ref(`${side}_${counter}`)}`)))}
    from written group by ${names([...fixedIdentity, ...moves])}
  ),
  delta as materialized (
    select ${names(identity)}, ${COUNTER_SUMS}
    from (
      select ${names(fixedIdentity)}, new_model as model, new_provider as provider, new_status as status, request_count,
        ${sql.join(summed.map((counter) => sql`${sql.ref(`new_${counter}`)} as ${sql.ref(counter)}`))}
      from moved
      union all
      select ${names(fixedIdentity)}, old_model, old_provider, old_status, -request_count, ${sql.join(summed.map((counter) => sql`-${sql.ref(`old_${counter}`)}`))}
      from moved where old_status is not null
    ) as change
    group by ${names(identity)}
    having ${sql.join(
      counters.map((counter) => sql`sum(${sql.ref(counter)}) <> 0`),
      sql` or `,
    )}
  )`;

/** Columns of `written` that `RAISE_ROLLUPS` reads. */
export const WRITTEN = sql`
  new.namespace_id, ${startOf("five minutes", "new.created_at")} as bucket, new.key_id,
  ${sql.join(sides.flatMap((side) => movable.map((column) => sql`${sql.raw(side)}.${sql.ref(column)} as ${sql.ref(`${side}_${column}`)}`)))},
  ${sql.join(
    summed.map(
      (counter) =>
        sql`new.${sql.ref(counter)} as ${sql.ref(`new_${counter}`)}, old.${sql.ref(counter)} as ${sql.ref(`old_${counter}`)}`,
    ),
  )},
  ${LATENCY_CELLS}`;

/** Builds a statement that changes the sums of `table`, with primary key `key`, by the rows of `deltas`. */
type Change = (table: string, key: readonly string[], deltas: string) => RawBuilder<unknown>;

function coarser(unit: SumUnit, deltas: string): RawBuilder<unknown> {
  return sql`
    select namespace_id, ${startOf(unit, "bucket")} as bucket, key_id, model, provider, status, ${COUNTER_SUMS}
    from ${sql.table(deltas)} group by 1, 2, 3, 4, 5, 6`;
}

/**
 * Changes of the totals: a few rows, mostly two, for a batch of any size. A change of model, or of status other than to or from `denied`
 * leaves the request count as it is.
 */
const TOTAL_DELTAS = sql`
  select namespace_id, minutes, bucket, ${COUNTER_SUMS}
  from (
    select namespace_id, 5 as minutes, bucket, status, ${names(counters)} from delta
    union all select namespace_id, 1440, bucket, status, ${names(counters)} from daily_delta
  ) as timed
  where status <> 'denied' group by 1, 2, 3`;

function raise(...[table, key, deltas]: Parameters<Change>): RawBuilder<unknown> {
  const additions = counters.map((counter) => sql`greatest(${sql.ref(counter)}, 0)`);
  const sums = counters.map(
    (counter) => sql`${sql.ref(counter)} = kept.${sql.ref(counter)} + excluded.${sql.ref(counter)}`,
  );
  return sql`
    insert into ${sql.table(table)} as kept (${names([...key, ...counters])})
    select ${names(key)}, ${sql.join(additions)} from ${sql.table(deltas)}
    order by ${names(key)}
    on conflict (${names(key)}) do update set ${sql.join(sums)} where greatest(${names(counters.map((counter) => `excluded.${counter}`))}) > 0`;
}

/**
 * Builds an upsert that subtracts, although every row exists by then: an upsert finds each row by its key in its partition. An update with
 * a join is planned for all partitions, and a plan from a time when they were small scans them.
 */
function lower(...[table, key, deltas]: Parameters<Change>): RawBuilder<unknown> {
  const rests = counters.map((counter) => sql`-least(${sql.ref(counter)}, 0)`);
  const sums = counters.map(
    (counter) => sql`${sql.ref(counter)} = kept.${sql.ref(counter)} - excluded.${sql.ref(counter)}`,
  );
  return sql`
    insert into ${sql.table(table)} as kept (${names([...key, ...counters])})
    select ${names(key)}, ${sql.join(rests)} from ${sql.table(deltas)}
    where least(${names(counters)}) < 0 order by ${names(key)}
    on conflict (${names(key)}) do update set ${sql.join(sums)}`;
}

/** Builds the parts of a statement that changes all sums by `delta`. They run from last to first: hours, totals, days. */
function changeAll(change: Change): RawBuilder<unknown> {
  return sql`
    hourly_delta as materialized (${coarser("hour", "delta")}),
    daily_delta as materialized (${coarser("day", "hourly_delta")}),
    total_delta as materialized (${TOTAL_DELTAS}),
    daily as (${change("rollups_daily", identity, "daily_delta")}),
    total as (${change("totals", totalIdentity, "total_delta")}),
    hourly as (${change("rollups_hourly", identity, "hourly_delta")})`;
}

/**
 * End of a statement that writes rows of the request log as `written`: adds the increases to the sums, and returns the changes if some of
 * them lower a sum, otherwise nothing. `lowerRollups` then subtracts the decreases. There are two statements because an inserted row must
 * not be negative: the first creates and locks every row in order of key, even if it adds nothing; the second changes rows that are already
 * locked. So writers cannot deadlock. A batch with both events of its requests lowers nothing.
 */
export const RAISE_ROLLUPS = sql`
  , ${DELTAS}, ${ADD_LATENCIES}, ${changeAll(raise)}
  select ${names(identity)}, ${names(counters)} from delta
  where exists (select from delta where least(${names(counters)}) < 0)`;

const lowerBy = statementOver(COLUMNS, (rows) => sql`with delta as materialized (${rows}), ${changeAll(lower)} select`);

/** Applies to all sums the decreases among the changes that `RAISE_ROLLUPS` returned. */
export async function lowerRollups(transaction: Transaction<UsageSchema>, deltas: readonly RollupRow[]): Promise<void> {
  if (deltas.length > 0) await lowerBy(transaction, deltas);
}
