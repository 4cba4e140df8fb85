import type { TestNode } from "../harness/node.ts";
import { newNamespace } from "../harness/policies.ts";
import { startChild } from "./children.ts";
import { keyUnderBudget } from "./cost/cases.ts";
import { startNodeWithUpstream } from "./everything-on.ts";
import { type LoadOptions, type LoadResult, runLoad } from "./load.ts";
import { load, median } from "./times.ts";

/**
 * Measures what a limit that several gateways share costs, as the rate with it divided by the rate without one, in turns: one hot budget on
 * three gateways at once, and one whose traffic moves to the next gateway every second. And the rate of one gateway of two processes, divided by
 * that of one process. All processes share the machine, so a ratio says what the same cores are good for.
 *
 * SECONDS is the length of a window (6), ROUNDS their number (5), CONCURRENCY that of requests (30), CASES those to run (shared, moving, processes).
 */

const { CASES = "shared,moving,processes" } = process.env;
const SECONDS = Number(process.env["SECONDS"] ?? 6);
const ROUNDS = Number(process.env["ROUNDS"] ?? 5);
const CONCURRENCY = Number(process.env["CONCURRENCY"] ?? 30);
const GATEWAYS = 3;
/** Time of load on each side before its windows: see `cost.ts`. */
const WARM_UP_MS = Number(process.env["WARM_UP_SECONDS"] ?? 15) * 1_000;
/** Time after which traffic moves. */
const MOVE_MS = 1_000;
/** Cost of a request: 12 tokens of input at 1 micro-USD and 2 of output at 2. */
const COST_MICRO_USD = 16;
/** Part of the budget that the requests of all windows use at the first one's rate: what is left is more than 10 %, also of faster ones. */
const USED_SHARE = 0.6;

/** Limit that is never reached. */
const NEVER_MICRO_USD = 9_000_000_000_000;

type Window = (key: string) => Promise<LoadResult>;

async function main(): Promise<void> {
  const upstream = await startChild("upstream");
  try {
    process.stdout.write(`${ROUNDS} rounds of ${SECONDS} s, ${CONCURRENCY} concurrent requests, ${load()}\n`);
    const names = CASES.split(",");
    if (names.includes("shared") || names.includes("moving")) await measureShared(upstream.url, names);
    if (names.includes("processes")) await measureProcesses(upstream.url);
    process.stdout.write(`${load()}\n`);
  } finally {
    upstream.child.kill();
  }
}

async function measureShared(upstreamUrl: string, names: readonly string[]): Promise<void> {
  const node = await startNodeWithUpstream(upstreamUrl, { gateways: GATEWAYS });
  try {
    const free = (await newNamespace(node, "free")).root.token;
    const warm = await keyUnderBudget(node, "warm", NEVER_MICRO_USD);
    for (const key of [free, warm]) await runLoad({ ...optionsOf(key, node.urls), durationMs: WARM_UP_MS });
    const windows: Readonly<Record<string, Window>> = {
      shared: (key) => runLoad({ ...optionsOf(key, node.urls), concurrency: CONCURRENCY / GATEWAYS }),
      moving: (key) => moveOver(node, key),
    };
    for (const [name, window] of Object.entries(windows)) {
      if (!names.includes(name)) continue;
      const requests = (await window(free)).perSecond * SECONDS * (ROUNDS + 1);
      const limitMicroUsd = Math.ceil((requests * COST_MICRO_USD) / USED_SHARE);
      const governed = await keyUnderBudget(node, name, limitMicroUsd);
      await window(governed);
      await printTurns(`a budget ${name === "shared" ? `on ${GATEWAYS} gateways` : "that moves between gateways"}`, {
        without: () => window(free),
        with: () => window(governed),
      });
    }
  } finally {
    await node.remove();
  }
}

async function measureProcesses(upstreamUrl: string): Promise<void> {
  const nodes: TestNode[] = [];
  try {
    const windows: (() => Promise<LoadResult>)[] = [];
    for (const processes of ["1", "2"]) {
      const environment = { ROUTEPLANE_GATEWAY_PROCESSES: processes };
      const node = await startNodeWithUpstream(upstreamUrl, { environment });
      nodes.push(node);
      const key = await keyUnderBudget(node, "processes", NEVER_MICRO_USD);
      const window = (): Promise<LoadResult> => runLoad({ ...optionsOf(key, node.urls), concurrency: CONCURRENCY });
      await window();
      windows.push(window);
    }
    const [one, two] = windows;
    if (one !== undefined && two !== undefined)
      await printTurns("2 processes of a gateway", { without: one, with: two });
  } finally {
    for (const node of nodes) await node.remove();
  }
}

/** Loads one gateway after the other, each for a while. */
async function moveOver(node: TestNode, key: string): Promise<LoadResult> {
  const results: LoadResult[] = [];
  for (let turn = 0; turn * MOVE_MS < SECONDS * 1_000; turn++) {
    const url = node.urls[turn % node.urls.length] ?? node.url;
    results.push(await runLoad({ ...optionsOf(key, [url]), concurrency: CONCURRENCY, durationMs: MOVE_MS }));
  }
  const sum = (figure: "answers" | "failed" | "perSecond"): number =>
    results.reduce((total, result) => total + result[figure], 0);
  return {
    answers: sum("answers"),
    failed: sum("failed"),
    perSecond: sum("perSecond") / results.length,
    p50Ms: median(results.map(({ p50Ms }) => p50Ms)),
    p99Ms: Math.max(...results.map(({ p99Ms }) => p99Ms)),
  };
}

/** Runs both windows in turns, and prints the median of the ratio of their rates. */
async function printTurns(
  name: string,
  windows: { readonly without: () => Promise<LoadResult>; readonly with: () => Promise<LoadResult> },
): Promise<void> {
  const results = { without: [] as LoadResult[], with: [] as LoadResult[] };
  for (let round = 0; round < ROUNDS; round++) {
    const order = round % 2 === 0 ? (["without", "with"] as const) : (["with", "without"] as const);
    for (const side of order) results[side].push(await windows[side]());
  }
  const ratios = results.with.map(({ perSecond }, round) => perSecond / (results.without[round]?.perSecond ?? 0));
  const of = (side: "without" | "with"): string => {
    const rate = median(results[side].map(({ perSecond }) => perSecond)).toFixed(0);
    return `${rate} requests/s, p99 ${median(results[side].map(({ p99Ms }) => p99Ms)).toFixed(1)} ms`;
  };
  const failed = [...results.with, ...results.without].reduce((sum, result) => sum + result.failed, 0);
  const spread = `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`;
  process.stdout.write(
    `${name}: ${median(ratios).toFixed(2)} (${spread}) of the rate without: ${of("with")}; without ${of("without")}; ${failed} failed\n`,
  );
}

function optionsOf(key: string, origins: readonly string[]): LoadOptions {
  const url = origins.map((origin) => `${origin}/v1/chat/completions`);
  return { url, key, model: "tiny", concurrency: CONCURRENCY / GATEWAYS, durationMs: SECONDS * 1_000 };
}

await main();
