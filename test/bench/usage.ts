import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { newId } from "@routeplane/domain";
import { toPageToken } from "@routeplane/rpc";
import pg from "pg";
import { startNode, type TestNode } from "../harness/node.ts";
import { printTimes } from "./times.ts";

/**
 * What it takes to read the usage of one namespace with many requests (ROWS, 10 million unless set) in 30 days, of 100 keys and 5
 * models: totals of 30 days, groups, and a page of the request log at any depth. Through the node's public address.
 */

const ROWS = Number(process.env["ROWS"] ?? 10_000_000);
const CALLS = 300;
const KEYS = 100;
const CHUNK = 250_000;
const SPAN_MS = 30 * 24 * 60 * 60 * 1000;

async function main(): Promise<void> {
  const node = await startNode();
  try {
    const postgres = await backDoor(node);
    const endMs = Date.now();
    await fill(postgres, await namespaceOf(node), endMs - SPAN_MS, endMs);
    await postgres.end();
    await measure("usage of 30 days", () => call(node, "GetUsage", {}));
    await measure("by day and model", () => call(node, "GetUsage", { groupBy: [DAY, MODEL] }));
    await measure("by key", () => call(node, "GetUsage", { groupBy: ["USAGE_DIMENSION_KEY"] }));
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

async function measure(name: string, read: () => Promise<void>): Promise<void> {
  for (let warm = 0; warm < 20; warm++) await read();
  const times: number[] = [];
  for (let count = 0; count < CALLS; count++) {
    const began = performance.now();
    await read();
    times.push(performance.now() - began);
  }
  printTimes(name, times);
}

async function call(node: TestNode, method: string, request: object): Promise<void> {
  const response = await fetch(`${node.url}/routeplane.usage.v1.UsageService/${method}`, {
    method: "POST",
    headers: { authorization: `Bearer ${await apiKey(node)}`, "content-type": "application/json" },
    body: JSON.stringify(request),
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${method}: ${text}`);
}

const apiKeys = new WeakMap<TestNode, Promise<string>>();
/** The login that the first start saved. */
function apiKey(node: TestNode): Promise<string> {
  const known = apiKeys.get(node) ?? readFile(join(node.home, "api-key"), "utf8").then((text) => text.trim());
  apiKeys.set(node, known);
  return known;
}

async function namespaceOf(node: TestNode): Promise<string> {
  const { stdout } = await node.cli(["cloud", "whoami", "--json"]);
  return (JSON.parse(stdout) as { namespace: { id: string } }).namespace.id;
}

async function backDoor(node: TestNode): Promise<pg.Client> {
  const { superuserPassword } = JSON.parse(await readFile(join(node.home, "secrets.json"), "utf8")) as {
    readonly superuserPassword: string;
  };
  const port = Number((await readFile(join(node.home, "postgres/data/postmaster.pid"), "utf8")).split("\n")[3]);
  const login = { user: "postgres", database: "routeplane", password: superuserPassword };
  const postgres = new pg.Client({ host: "127.0.0.1", port, ...login });
  await postgres.connect();
  return postgres;
}

/** Rows as the aggregator would have left them, evenly over the time, and the sums of them. */
async function fill(postgres: pg.Client, namespaceId: string, fromMs: number, toMs: number): Promise<void> {
  await postgres.query("set synchronous_commit = off; set timezone = 'UTC'");
  for (let month = new Date(fromMs); month.getTime() < toMs - SPAN_MS + 1; month = new Date(toMs)) {
    const name = `usage.requests_y${month.toISOString().slice(0, 7).replace("-", "m")}`;
    await postgres.query(`
      do $$ begin
        if to_regclass('${name}') is null then
          create table ${name} partition of usage.requests
            for values from (date_trunc('month', '${month.toISOString()}'::timestamptz))
            to (date_trunc('month', '${month.toISOString()}'::timestamptz) + interval '1 month');
        end if;
      end $$`);
  }
  const keys = Array.from({ length: KEYS }, () => newId("key"));
  for (let first = 0; first < ROWS; first += CHUNK) {
    await postgres.query(
      `insert into usage.requests (namespace_id, id, created_at, key_id, status, endpoint, model, provider, streamed,
         reserved_nano_usd, prompt_tokens, completion_tokens, cost_nano_usd, estimated, http_status, error_code,
         denied_by_policy_id, completed_at)
       select $1, 'req_' || lpad(nth::text, 26, '0'), at, ($2::text[])[1 + nth % ${KEYS}],
         case when nth % 50 = 0 then 'failed' else 'succeeded' end, '/v1/chat/completions', 'model-' || nth % 5, 'bench',
         false, 5000000, 12, 34, 1234000, false, 200, '', '', at + interval '1 second'
       from (
         select nth, to_timestamp(($3::bigint + floor(nth::float8 / ${ROWS} * ${SPAN_MS})) / 1000) as at
         from generate_series($4::bigint, $5::bigint) as nth
       ) as made`,
      [namespaceId, keys, fromMs, first, Math.min(first + CHUNK, ROWS) - 1],
    );
    process.stderr.write(`\r${first} rows`);
  }
  for (const [table, unit] of [
    ["rollups_hourly", "hour"],
    ["rollups_daily", "day"],
  ]) {
    await postgres.query(`
      insert into usage.${table} (namespace_id, bucket, key_id, model, provider, status, request_count, prompt_tokens,
        completion_tokens, cost_nano_usd)
      select namespace_id, date_trunc('${unit}', created_at, 'UTC'), key_id, model, provider, status, count(*),
        sum(prompt_tokens), sum(completion_tokens), sum(cost_nano_usd)
      from usage.requests group by 1, 2, 3, 4, 5, 6`);
  }
  await postgres.query("vacuum analyze usage.requests");
  await postgres.query("vacuum analyze usage.rollups_hourly");
  await postgres.query("vacuum analyze usage.rollups_daily");
  process.stderr.write("\r");
}

await main();
