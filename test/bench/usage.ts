import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { toPageToken } from "@routeplane/rpc";
import { Agent } from "undici";
import { startNode, type TestNode } from "../harness/node.ts";
import { fillRequests, requestId } from "../harness/request-rows.ts";
import { familyCpuSeconds, load, printTimes } from "./times.ts";

/**
 * Measures queries of the usage of one namespace with ROWS requests (10 million by default) in 30 days, of 100 keys and 5 models:
 * sums of 30 days, groups, and a page of the request log at any depth, through the node's public address.
 */

const ROWS = Number(process.env["ROWS"] ?? 10_000_000);
const CALLS = 500;
/** Calls before the measurement, until Node has compiled the hot code. */
const WARM_UP = 500;
/** Models that each key calls. */
const MODELS_PER_KEY = Number(process.env["MODELS_PER_KEY"] ?? 2);
const HOUR_MS = 60 * 60 * 1000;
const RANGE_MS = 30 * 24 * HOUR_MS;
/** Period over which the rows are spread: a range of 30 days may end anywhere in the last two hours. */
const SPAN_MS = RANGE_MS + 2 * HOUR_MS;

async function main(): Promise<void> {
  const node = await startNode();
  try {
    const endMs = Date.now();
    const rows = { rows: ROWS, modelsPerKey: MODELS_PER_KEY, fromMs: endMs - SPAN_MS, toMs: endMs };
    await fillRequests(node, { namespaceId: await namespaceOf(node), ...rows });
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

/** HTTP client that makes less garbage than `fetch`, whose collection would be part of the measured times. */
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

await main();
