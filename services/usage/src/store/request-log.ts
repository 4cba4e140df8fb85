import { type Database, isDataFault, type Transaction } from "@routeplane/postgres";
import { type RawBuilder, sql } from "kysely";
import { type RequestLog, UnstorableError } from "../domain/ports.ts";
import { names, statementOver } from "./columns.ts";
import { REQUEST_COLUMNS, type RequestRow, SETTLED_COLUMNS } from "./request-columns.ts";
import { lowerRollups, RAISE_ROLLUPS, WRITTEN } from "./rollups.ts";
import { insertDenials } from "./unlogged-denials.ts";
import type { RollupRow, UsageSchema } from "./schema.ts";

/** Number of months with partitions: this month and the next ones. */
const PARTITION_MONTHS = 4;

/** Tables that are partitioned by month. */
const PARTITIONED = [
  "requests",
  "rollups_hourly",
  "rollups_daily",
  "totals",
  "unlogged_denials_hourly",
  "latencies_hourly",
] as const;

/** Time within which a settlement that was sent before the reservation expired arrives. */
const EXPIRY_MARGIN_SECS = 60;

/** Creates the request log of the aggregator, its only writer, over all namespaces. */
export function createRequestLog(database: Database<UsageSchema>): RequestLog {
  const write = async (work: (transaction: Transaction<UsageSchema>) => Promise<unknown>): Promise<void> => {
    try {
      await database.within({}, work);
    } catch (error) {
      if (!isDataFault(error)) throw error;
      throw new UnstorableError("the database refuses a value", { cause: error });
    }
  };
  /**
   * Calls a function that returns names, in a transaction of the whole node, so that the function sees the rows that it searches or
   * deletes.
   */
  const callFunction = (call: RawBuilder<unknown>): Promise<readonly string[]> =>
    database.within({ node: true }, async (transaction) => {
      const { rows } = await sql<{ name: string }>`select ${call} as name`.execute(transaction);
      return rows.map(({ name }) => name);
    });
  return {
    record: (requests) =>
      write(async (transaction) => {
        await lowerRollups(transaction, await upsert(transaction, requests));
      }),

    recordDenials: (denials) => write((transaction) => insertDenials(transaction, denials)),

    async expireRequests(max) {
      return database.within({}, async (transaction) => {
        const { rows } = await expireRequests(max).execute(transaction);
        await lowerRollups(transaction, rows);
        return rows.reduce(
          (charged, { status, request_count }) => charged + (status === "unknown" ? request_count : 0n),
          0n,
        );
      });
    },

    async createPartitions(dailyFromBytes) {
      const created: string[] = [];
      const faults: unknown[] = [];
      // Each table in its own transaction: a failure does not affect the partitions of other tables.
      for (const table of PARTITIONED) {
        try {
          created.push(...(await callFunction(sql`ensure_partitions(${table}, ${PARTITION_MONTHS})`)));
        } catch (error) {
          faults.push(error);
        }
      }
      if (faults.length > 0) throw new AggregateError(faults, "partitions of the next months could not be made");
      if (dailyFromBytes !== undefined)
        created.push(...(await callFunction(sql`ensure_request_days(${dailyFromBytes})`)));
      return created;
    },

    keptFrom: () =>
      database.within({}, async (transaction) => {
        const { kept_from } = await transaction.selectFrom("retention").select("kept_from").executeTakeFirstOrThrow();
        return kept_from;
      }),

    dropExpiredPartitions: (retentionDays) => callFunction(sql`drop_request_partitions(${retentionDays})`),

    dropExpiredSums: (retentionDays) => callFunction(sql`drop_sum_partitions(${retentionDays})`),
  };
}

/**
 * Builds the precedence of an observation as a comparable value, by the rule of `supersedes` in domain/deduplication.ts. Two pending
 * observations are equal, and the first stays.
 */
function precedenceOf(row: "excluded" | "logged") {
  const of = (column: keyof RequestRow) => sql.ref(`${row}.${column}`);
  return sql`(
    case ${of("status")} when 'pending' then 0 when 'unknown' then 1 else case when ${of("estimated")} then 2 else 3 end end,
    ${of("cost_nano_usd")}, ${of("completed_at")}, ${of("prompt_tokens")}, ${of("completion_tokens")}, ${of("status")})`;
}

/**
 * Builds the statement that makes expired requests `unknown`. It never waits for a row: rows that another transaction has locked are left
 * for the next call. Rows that this statement has locked cannot move, so they are found by ctid.
 */
function expireRequests(max: number) {
  return sql<RollupRow>`
    with overdue as materialized (
      select tableoid, ctid from requests
      where status = 'pending' and expires_at < now() - make_interval(secs => ${EXPIRY_MARGIN_SECS})
      order by expires_at limit ${max} for update skip locked
    ), written as (
      update requests as logged
      set status = 'unknown', cost_nano_usd = reserved_nano_usd, estimated = true, completed_at = expires_at, expires_at = null,
        ended_tx = pg_current_xact_id()
      from overdue where logged.tableoid = overdue.tableoid and logged.ctid = overdue.ctid
      returning ${WRITTEN}
    ) ${RAISE_ROLLUPS}`;
}

/**
 * Writes observations, raises the sums, and returns the changes if some lower a sum. The conflict clause on the primary key makes one row
 * of the events of a request, however often they arrive. Rows are written, and locked, in the given order.
 */
const upsert = statementOver(REQUEST_COLUMNS, (rows) => {
  const columns = names(Object.keys(REQUEST_COLUMNS));
  const settle = SETTLED_COLUMNS.map((column) => sql`${sql.ref(column)} = excluded.${sql.ref(column)}`);
  return sql<RollupRow>`
    with written as (
      insert into requests as logged (${columns}, ended_tx)
      select ${columns}, case when status <> 'pending' then pg_current_xact_id() end
      from (${rows}) as event
      on conflict (namespace_id, id, created_at) do update set ${sql.join(settle)}, ended_tx = coalesce(logged.ended_tx, excluded.ended_tx)
      where ${precedenceOf("excluded")} > ${precedenceOf("logged")}
      returning ${WRITTEN}
    ) ${RAISE_ROLLUPS}`;
});
