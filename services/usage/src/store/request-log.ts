import { type Database, isDataFault, type Transaction } from "@routeplane/postgres";
import { sql } from "kysely";
import { type RequestLog, UnstorableError } from "../domain/ports.ts";
import type { LoggedRequest } from "../domain/request.ts";
import { type Columns, names, unnest } from "./columns.ts";
import { addToRollups, ROLLUP_DELTAS, WRITTEN } from "./rollups.ts";
import { toRequestRow } from "./request-columns.ts";
import { insertDenials } from "./unlogged-denials.ts";
import type { RequestRow, RollupRow, UsageSchema } from "./schema.ts";

const COLUMNS = {
  namespace_id: "text",
  id: "text",
  created_at: "timestamptz",
  key_id: "text",
  status: "text",
  endpoint: "text",
  model: "text",
  provider: "text",
  streamed: "boolean",
  reserved_nano_usd: "bigint",
  prompt_tokens: "bigint",
  completion_tokens: "bigint",
  cost_nano_usd: "bigint",
  estimated: "boolean",
  http_status: "integer",
  error_code: "text",
  denied_by_policy_id: "text",
  denied_by_binding_id: "text",
  denied_rule: "text",
  shadow_denials: "jsonb",
  completed_at: "timestamptz",
  expires_at: "timestamptz",
  price_version: "text",
  input_price_pico_usd: "bigint",
  output_price_pico_usd: "bigint",
  request_price_pico_usd: "bigint",
  billed_model: "text",
  cached_prompt_tokens: "bigint",
  reasoning_tokens: "bigint",
  admitted_at: "timestamptz",
  first_token_ms: "integer",
  upstream_ms: "integer",
  guardrail_decisions: "jsonb",
} as const satisfies Columns<RequestRow>;

/** What a settlement replaces in the row that an admission wrote. */
const SETTLED = [
  "status",
  "reserved_nano_usd",
  "prompt_tokens",
  "completion_tokens",
  "cost_nano_usd",
  "estimated",
  "http_status",
  "error_code",
  "denied_by_policy_id",
  "denied_by_binding_id",
  "denied_rule",
  "shadow_denials",
  "completed_at",
  "expires_at",
  "price_version",
  "input_price_pico_usd",
  "output_price_pico_usd",
  "request_price_pico_usd",
  "billed_model",
  "cached_prompt_tokens",
  "reasoning_tokens",
  "admitted_at",
  "first_token_ms",
  "upstream_ms",
  "guardrail_decisions",
] as const satisfies readonly (keyof RequestRow)[];

const MONTHS_AHEAD = 4;

/** A settlement that was on its way when the reservation ended has arrived by then. */
const MARGIN_SECS = 60;

export function createRequestLog(database: Database<UsageSchema>): RequestLog {
  const write = async (work: (transaction: Transaction<UsageSchema>) => Promise<unknown>): Promise<void> => {
    try {
      await database.within({}, work);
    } catch (error) {
      if (!isDataFault(error)) throw error;
      throw new UnstorableError("the database refuses a value", { cause: error });
    }
  };
  return {
    record: (requests) =>
      write(async (transaction) => {
        const { rows } = await upsert(requests).execute(transaction);
        await addToRollups(transaction, rows);
      }),

    recordDenials: (denials) => write((transaction) => insertDenials(denials).execute(transaction)),

    async expireRequests(max) {
      return database.within({}, async (transaction) => {
        const { rows } = await expireRequests(max).execute(transaction);
        await addToRollups(transaction, rows);
        return rows.reduce(
          (charged, { status, request_count }) => charged + (status === "unknown" ? request_count : 0n),
          0n,
        );
      });
    },

    createPartitions: () =>
      database.within({}, async (transaction) => {
        const made = sql<{ name: string }>`select ensure_request_partitions(${MONTHS_AHEAD}) as name`;
        return (await made.execute(transaction)).rows.map(({ name }) => name);
      }),

    // Of the whole node, so that the function sees what it is to prune.
    dropExpiredPartitions: (keepDays) =>
      database.within({ node: true }, async (transaction) => {
        const dropped = sql<{ name: string }>`select drop_request_partitions(${keepDays}) as name`;
        return (await dropped.execute(transaction)).rows.map(({ name }) => name);
      }),
  };
}

/** The rule of `supersedes` as a value to compare by. Of two that are pending it is not known, and the first stays. */
function precedenceOf(row: "excluded" | "logged") {
  const of = (column: keyof RequestRow) => sql.ref(`${row}.${column}`);
  return sql`(
    case ${of("status")} when 'pending' then 0 when 'unknown' then 1 else case when ${of("estimated")} then 2 else 3 end end,
    ${of("cost_nano_usd")}, ${of("completed_at")}, ${of("prompt_tokens")}, ${of("completion_tokens")}, ${of("status")})`;
}

/**
 * Rows that someone else is writing are left for the next time: this waits for no row, so it is in nobody's way. What it has
 * locked cannot move, so it is found again by its place.
 */
function expireRequests(max: number) {
  return sql<RollupRow>`
    with overdue as materialized (
      select tableoid, ctid from requests
      where status = 'pending' and expires_at < now() - make_interval(secs => ${MARGIN_SECS})
      order by expires_at limit ${max} for update skip locked
    ), written as (
      update requests as logged
      set status = 'unknown', cost_nano_usd = reserved_nano_usd, estimated = true, completed_at = expires_at, expires_at = null,
        ended_tx = pg_current_xact_id()
      from overdue where logged.tableoid = overdue.tableoid and logged.ctid = overdue.ctid
      returning ${WRITTEN}
    ) ${ROLLUP_DELTAS}`;
}

/**
 * The conflict with the row's key is where a request becomes one row, however often its events arrive. Rows are written, and
 * locked, in the order in which they are given. Returns what that changed in the sums.
 */
function upsert(requests: readonly LoggedRequest[]) {
  const columns = names(Object.keys(COLUMNS));
  const settle = SETTLED.map((column) => sql`${sql.ref(column)} = excluded.${sql.ref(column)}`);
  return sql<RollupRow>`
    with written as (
      insert into requests as logged (${columns}, ended_tx)
      select ${columns}, case when status <> 'pending' then pg_current_xact_id() end
      from (${unnest(COLUMNS, requests.map(toRequestRow))}) as event
      on conflict (namespace_id, id, created_at) do update set ${sql.join(settle)}, ended_tx = coalesce(logged.ended_tx, excluded.ended_tx)
      where ${precedenceOf("excluded")} > ${precedenceOf("logged")}
      returning ${WRITTEN}
    ) ${ROLLUP_DELTAS}`;
}
