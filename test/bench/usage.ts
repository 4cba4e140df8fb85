import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { newId } from "@routeplane/domain";
import { toPageToken } from "@routeplane/rpc";
import pg from "pg";
import { Agent } from "undici";
import { superuserUrl } from "../harness/database.ts";
import { startNode, type TestNode } from "../harness/node.ts";
import { familyCpuSeconds, load, printTimes } from "./times.ts";

/**
 * Measures queries of the usage of one namespace with ROWS requests (10 million by default) in 30 days, of 100 keys and 5 models:
 * sums of 30 days, groups, and a page of the request log at any depth, through the node's public address.
 */

const ROWS = Number(process.env["ROWS"] ?? 10_000_000);
const CALLS = 500;
/** Calls before the measurement, until Node has compiled the hot code. */
const WARM_UP = 500;
const KEYS = 100;
const MODELS = 5;
/** Models that each key calls. A day has keys × models × 2 sums, because some requests of each fail. */
const MODELS_PER_KEY = Number(process.env["MODELS_PER_KEY"] ?? 2);
const CHUNK = 250_000;
const HOUR_MS = 60 * 60 * 1000;
const RANGE_MS = 30 * 24 * HOUR_MS;
/** Period over which the rows are spread: a range of 30 days may end anywhere in the last two hours. */
const SPAN_MS = RANGE_MS + 2 * HOUR_MS;
/** Months with a partition: slightly more than the default retention of 400 days. */
const MONTHS_KEPT = 14;

async function main(): Promise<void> {
  const node = await startNode();
  try {
    const postgres = new pg.Client({ connectionString: await superuserUrl(node.home) });
    await postgres.connect();
    const endMs = Date.now();
    await fill(postgres, await namespaceOf(node), endMs - SPAN_MS);
    await postgres.end();
    const range = (): object => {
      const toMs = Math.floor(endMs - Math.random() * 2 * HOUR_MS);
      return { from: new Date(toMs - RANGE_MS).toISOString(), to: new Date(toMs).toISOString() };
    };
    const postgresPid = (await node.pid("postgres")) ?? 0;
    const measure = (name: string, read: () => Promise<void>) => timed(name, postgresPid, read);
    await measure("usage of 30 days", () => call(node, "GetUsage", range()));
    await measure("by day and model", () => call(node, "GetUsage", { ...range(), groupBy: [DAY, MODEL] }));
    await measure("by key", () => call(node, "GetUsage", { ...range(), groupBy: ["USAGE_DIMENSION_KEY"] }));
    await measure("a page at any depth", () => {
      const nth = Math.floor(Math.random() * ROWS);
      const atMs = Math.floor(endMs - SPAN_MS + (nth / ROWS) * SPAN_MS);
      return call(node, "ListRequests", { pageToken: toPageToken("requests", `${atMs}.${requestId(nth)}`) });
    });
  } finally {
    await node.remove();
  }
}

const [DAY, MODEL] = ["USAGE_DIMENSION_DAY", "USAGE_DIMENSION_MODEL"] as const;
const requestId = (nth: number): string => `req_${String(nth).padStart(26, "0")}`;

async function timed(name: string, postgresPid: number, read: () => Promise<void>): Promise<void> {
  for (let warm = 0; warm < WARM_UP; warm++) await read();
  const times: number[] = [];
  const before = await familyCpuSeconds(postgresPid);
  for (let count = 0; count < CALLS; count++) {
    const began = performance.now();
    await read();
    times.push(performance.now() - began);
  }
  const cpuMs = (((await familyCpuSeconds(postgresPid)) - before) / CALLS) * 1000;
  printTimes(`${name}, ${load()}, CPU of Postgres ${cpuMs.toFixed(1)} ms`, times);
}

/** Client that leaves less garbage than `fetch`, which would be collected during the measurement. */
const callers = new Agent();

async function call(node: TestNode, method: string, request: object): Promise<void> {
  const { statusCode, body } = await callers.request({
    origin: node.url,
    path: `/routeplane.usage.v1.UsageService/${method}`,
    method: "POST",
    headers: { authorization: `Bearer ${await apiKey(node)}`, "content-type": "application/json" },
    body: JSON.stringify(request),
  });
  if (statusCode !== 200) throw new Error(`${method}: ${await body.text()}`);
  await body.dump();
}

const apiKeys = new WeakMap<TestNode, Promise<string>>();
/** Token of the login that the first start saved. */
function apiKey(node: TestNode): Promise<string> {
  const known = apiKeys.get(node) ?? readFile(join(node.home, "api-key"), "utf8").then((text) => text.trim());
  apiKeys.set(node, known);
  return known;
}

async function namespaceOf(node: TestNode): Promise<string> {
  const { stdout } = await node.cli(["cloud", "whoami", "--json"]);
  return (JSON.parse(stdout) as { namespace: { id: string } }).namespace.id;
}

/** Inserts rows as the aggregator writes them, evenly over the period, and their sums. */
async function fill(postgres: pg.Client, namespaceId: string, fromMs: number): Promise<void> {
  await postgres.query("set synchronous_commit = off; set maintenance_work_mem = '512MB'; set work_mem = '256MB'");
  await makeMonths(postgres);
  const indexes = await dropIndexes(postgres);
  const keys = Array.from({ length: KEYS }, () => newId("key"));
  for (let first = 0; first < ROWS; first += CHUNK) {
    await postgres.query(
      `insert into usage.requests (namespace_id, id, created_at, key_id, status, endpoint, model, provider, streamed,
         reserved_nano_usd, prompt_tokens, completion_tokens, cost_nano_usd, estimated, http_status, error_code,
         denied_by_policy_id, completed_at)
       select $1, 'req_' || lpad(nth::text, 26, '0'), at, ($2::text[])[1 + nth % ${KEYS}],
         case when nth % 53 = 0 then 'failed' else 'succeeded' end, '/v1/chat/completions', 'model-' || (nth % ${KEYS} + nth / ${KEYS} % ${MODELS_PER_KEY}) % ${MODELS}, 'bench',
         false, 5000000, 12, 34, 1234000, false, 200, '', '', at + interval '1 second'
       from (
         select nth, to_timestamp(($3::bigint + floor(nth::float8 / ${ROWS} * ${SPAN_MS})) / 1000.0) as at
         from generate_series($4::bigint, $5::bigint) as nth
       ) as made`,
      [namespaceId, keys, fromMs, first, Math.min(first + CHUNK, ROWS) - 1],
    );
    process.stderr.write(`\r${first} rows`);
  }
  for (const statement of indexes) await postgres.query(statement);
  await postgres.query(SUMS);
  for (const table of ["requests", "rollups_hourly", "rollups_daily", "totals"])
    await postgres.query(`vacuum analyze usage.${table}`);
  await postgres.query("checkpoint");
  process.stderr.write("\r");
}

const SUMS = `
  insert into usage.rollups_hourly (namespace_id, bucket, key_id, model, provider, status, request_count, prompt_tokens,
    completion_tokens, cost_nano_usd)
  select namespace_id, date_bin('1 hour', created_at, '2000-01-01Z'), key_id, model, provider, status, count(*),
    sum(prompt_tokens), sum(completion_tokens), sum(cost_nano_usd)
  from usage.requests group by 1, 2, 3, 4, 5, 6;
  insert into usage.rollups_daily (namespace_id, bucket, key_id, model, provider, status, request_count, prompt_tokens,
    completion_tokens, cost_nano_usd)
  select namespace_id, date_bin('1 day', bucket, '2000-01-01Z'), key_id, model, provider, status, sum(request_count),
    sum(prompt_tokens), sum(completion_tokens), sum(cost_nano_usd)
  from usage.rollups_hourly group by 1, 2, 3, 4, 5, 6;
  insert into usage.totals (namespace_id, minutes, bucket, request_count, prompt_tokens, completion_tokens, cost_nano_usd)
  select namespace_id, 5, date_bin('5 minutes', created_at, '2000-01-01Z'), count(*), sum(prompt_tokens),
    sum(completion_tokens), sum(cost_nano_usd)
  from usage.requests group by 1, 3;
  insert into usage.totals (namespace_id, minutes, bucket, request_count, prompt_tokens, completion_tokens, cost_nano_usd)
  select namespace_id, 1440, date_bin('1 day', bucket, '2000-01-01Z'), sum(request_count), sum(prompt_tokens),
    sum(completion_tokens), sum(cost_nano_usd)
  from usage.totals where minutes = 5 group by 1, 3`;

/** Creates the partitions of a node that is older than its retention: each adds to the planning of a query. */
async function makeMonths(postgres: pg.Client): Promise<void> {
  for (let ago = 1; ago <= MONTHS_KEPT; ago++) {
    await postgres.query(`
      do $$
      declare
        month timestamptz := date_trunc('month', now()) - interval '${ago} months';
        name text := to_char(month, '"requests_y"YYYY"m"MM');
      begin
        execute format('create table usage.%I partition of usage.requests for values from (%L) to (%L)',
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

await main();
