import { newId } from "@routeplane/domain";
import pg from "pg";
import { superuserUrl } from "./database.ts";
import type { TestNode } from "./node.ts";

const MODELS = Array.from({ length: 5 }, (_, nth) => `model-${nth}`);
const CHUNK = 250_000;
/** Months with a partition: slightly more than the default retention of 400 days. */
const MONTHS_KEPT = 14;

export interface RequestRows {
  readonly namespaceId: string;
  readonly rows: number;
  /** Period over which they are spread evenly. */
  readonly fromMs: number;
  readonly toMs: number;
  /** Keys in turn. 100 that do not exist by default. */
  readonly keyIds?: readonly string[];
  /** Models in turn. `model-0` to `model-4` by default. */
  readonly models?: readonly string[];
  /** Models that each key calls. 2 by default. A day has keys × models × 2 sums, because some requests of each fail. */
  readonly modelsPerKey?: number;
}

/** Id of the nth row that `fillRequests` makes. */
export const requestId = (nth: number): string => `req_${String(nth).padStart(26, "0")}`;

/**
 * Fills the log of a namespace that has no requests yet, one in 53 failed, and their sums. 10 million rows take 3 to 6 minutes and
 * 10 GB. Calls for one node wait for each other.
 */
export async function fillRequests(node: Pick<TestNode, "home">, rows: RequestRows): Promise<void> {
  const postgres = new pg.Client({ connectionString: await superuserUrl(node.home) });
  await postgres.connect();
  try {
    await fill(postgres, rows);
  } finally {
    await postgres.end();
  }
}

/** Inserts rows as the aggregator writes them, evenly over the period, and their sums. */
async function fill(postgres: pg.Client, options: RequestRows): Promise<void> {
  const { namespaceId, rows, fromMs, toMs, models = MODELS, modelsPerKey = 2 } = options;
  const { keyIds = Array.from({ length: 100 }, () => newId("key")) } = options;
  await postgres.query("set synchronous_commit = off; set maintenance_work_mem = '512MB'; set work_mem = '256MB'");
  await postgres.query("select pg_advisory_lock($1)", [FILL_LOCK]);
  await makeMonths(postgres);
  const indexes = rows > CHUNK ? await dropIndexes(postgres) : [];
  for (let first = 0; first < rows; first += CHUNK) {
    await postgres.query(
      `insert into usage.requests (namespace_id, id, created_at, key_id, status, endpoint, model, provider, streamed,
         reserved_nano_usd, prompt_tokens, completion_tokens, cost_nano_usd, estimated, http_status, error_code,
         denied_by_policy_id, completed_at)
       select $1, 'req_' || lpad(nth::text, 26, '0'), at, ($2::text[])[1 + nth % $7],
         case when nth % 53 = 0 then 'failed' else 'succeeded' end, '/v1/chat/completions', 
         ($6::text[])[1 + (nth % $7 + nth / $7 % $8) % $9], 'bench',
         false, 5000000, 12, 34, 1234000, false, 200, '', '', at + interval '1 second'
       from (
         select nth, to_timestamp(($3::bigint + floor(nth::float8 / ${rows} * ${toMs - fromMs})) / 1000.0) as at
         from generate_series($4::bigint, $5::bigint) as nth
       ) as made`,
      [
        namespaceId,
        keyIds,
        fromMs,
        first,
        Math.min(first + CHUNK, rows) - 1,
        models,
        keyIds.length,
        modelsPerKey,
        models.length,
      ],
    );
    if (rows > CHUNK) process.stderr.write(`\r${first} rows`);
  }
  for (const statement of indexes) await postgres.query(statement);
  for (const statement of SUMS) await postgres.query(statement, [namespaceId]);
  for (const table of ["requests", "rollups_hourly", "rollups_daily", "totals"])
    await postgres.query(`vacuum analyze usage.${table}`);
  await postgres.query("checkpoint");
}

/** Lock of the session that fills a log. */
const FILL_LOCK = 7_120_031;

/** Statements that add the requests of a namespace up. */
const SUMS = [
  `insert into usage.rollups_hourly (namespace_id, bucket, key_id, model, provider, status, request_count, prompt_tokens,
    completion_tokens, cost_nano_usd)
  select namespace_id, date_bin('1 hour', created_at, '2000-01-01Z'), key_id, model, provider, status, count(*),
    sum(prompt_tokens), sum(completion_tokens), sum(cost_nano_usd)
  from usage.requests where namespace_id = $1 group by 1, 2, 3, 4, 5, 6`,
  `insert into usage.rollups_daily (namespace_id, bucket, key_id, model, provider, status, request_count, prompt_tokens,
    completion_tokens, cost_nano_usd)
  select namespace_id, date_bin('1 day', bucket, '2000-01-01Z'), key_id, model, provider, status, sum(request_count),
    sum(prompt_tokens), sum(completion_tokens), sum(cost_nano_usd)
  from usage.rollups_hourly where namespace_id = $1 group by 1, 2, 3, 4, 5, 6`,
  `insert into usage.totals (namespace_id, minutes, bucket, request_count, prompt_tokens, completion_tokens, cost_nano_usd)
  select namespace_id, 5, date_bin('5 minutes', created_at, '2000-01-01Z'), count(*), sum(prompt_tokens),
    sum(completion_tokens), sum(cost_nano_usd)
  from usage.requests where namespace_id = $1 group by 1, 3`,
  `insert into usage.totals (namespace_id, minutes, bucket, request_count, prompt_tokens, completion_tokens, cost_nano_usd)
  select namespace_id, 1440, date_bin('1 day', bucket, '2000-01-01Z'), sum(request_count), sum(prompt_tokens),
    sum(completion_tokens), sum(cost_nano_usd)
  from usage.totals where namespace_id = $1 and minutes = 5 group by 1, 3`,
];

/** Creates the partitions of a node that is older than its retention: each adds to the planning time of a query. */
async function makeMonths(postgres: pg.Client): Promise<void> {
  for (let ago = 1; ago <= MONTHS_KEPT; ago++) {
    await postgres.query(`
      do $$
      declare
        month timestamptz := date_trunc('month', now()) - interval '${ago} months';
        name text := to_char(month, '"requests_y"YYYY"m"MM');
      begin
        execute format('create table if not exists usage.%I partition of usage.requests for values from (%L) to (%L)',
          name, month, month + interval '1 month');
        execute format('alter table usage.%I owner to routeplane_usage_owner', name);
        execute format('alter table usage.%I enable row level security, force row level security', name);
      end $$`);
  }
}

/** Drops all indexes but the primary key, so that filling takes half the time. @returns statements that create them again */
async function dropIndexes(postgres: pg.Client): Promise<readonly string[]> {
  const { rows } = await postgres.query<{ name: string; statement: string }>(`
    select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as statement
    from pg_index where indrelid = 'usage.requests'::regclass and not indisprimary`);
  for (const { name } of rows) await postgres.query(`drop index ${name}`);
  // For a partitioned table the definition says ONLY, which would leave the partitions without the index.
  return rows.map(({ statement }) => statement.replace(" ON ONLY ", " ON "));
}
