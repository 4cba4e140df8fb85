import { setTimeout as delay } from "node:timers/promises";
import { startChild } from "./children.ts";
import { type BenchNode, startBenchNode } from "./cost/bench-node.ts";
import { type Case, CASES, type Target } from "./cost/cases.ts";
import { measureHalfLoad } from "./cost/half-load.ts";
import { measureNearLimit } from "./cost/near-limit.ts";
import { type Memory, memoryByRole, type Role, ROLES } from "./cost/node-figures.ts";
import { printCase, printHeader, printIdle, printMemory, type Round } from "./cost/report.ts";
import { measureNode, measureProxy } from "./cost/window.ts";
import type { LoadOptions } from "./load.ts";
import { giveMeasuredCore, leaveMeasuredCore } from "./cores.ts";
import { load } from "./times.ts";

/**
 * Measures the CPU time that a request costs each process of a node, beside a bare node:http + undici proxy to the same upstream.
 *
 * Each case has rounds of a window of load on the proxy, one on the node, and one on the proxy at the node's rate, in turns, so that a
 * machine that slows down slows all; medians of the rounds are printed. A window ends when everything that its requests cause later is done: settlements, reports,
 * rows and sums. The upstream and this process are left out. Settings: see the constants.
 * CORES=separate gives the gateway and the proxy a core of their own for `half`.
 */

/** Cases to run, separated by commas: names of CASES, `near` (the last 10 % of a budget), `half` (latency at half and a quarter of the highest rate). */
const NAMES = (process.env["CASES"] ?? [...Object.keys(CASES), "near", "half"].join(",")).split(",");
/** Length of a window. */
const SECONDS = Number(process.env["SECONDS"] ?? 5);
const ROUNDS = Number(process.env["ROUNDS"] ?? 3);
/** Time from the start of a node until the memory and CPU time of its idle processes are read. */
const IDLE_SECONDS = Number(process.env["IDLE_SECONDS"] ?? 30);
const CONCURRENCY = Number(process.env["CONCURRENCY"] ?? 32);
/** Time of load before the windows of a case. V8 optimises during the first 30,000 requests, which cost a quarter more. */
const WARM_UP_MS = Number(process.env["WARM_UP_SECONDS"] ?? 15) * 1_000;
const WARM_UP_MAX_MS = 120_000;
const IDLE_WINDOW_SECONDS = 5;

interface Servers {
  readonly upstreamUrl: string;
  readonly upstreamPid: number;
  readonly proxyUrl: string;
  readonly proxyPid: number;
}

async function main(): Promise<void> {
  const unknown = NAMES.filter((name) => CASES[name] === undefined && name !== "near" && name !== "half");
  if (unknown.length > 0) throw new Error(`CASES names no case: ${unknown.join(", ")}`);
  leaveMeasuredCore();
  const upstream = await startChild("upstream");
  const proxy = await startChild("proxy", upstream.url);
  const servers = {
    upstreamUrl: upstream.url,
    upstreamPid: upstream.child.pid ?? 0,
    proxyUrl: proxy.url,
    proxyPid: proxy.child.pid ?? 0,
  };
  try {
    process.stdout.write(`${ROUNDS} rounds of ${SECONDS} s, ${CONCURRENCY} concurrent requests, ${load()}\n`);
    for (const gateways of [1, 2]) {
      const names = NAMES.filter((name) => (CASES[name]?.gateways ?? 1) === gateways);
      if (names.length > 0) await measureOn(gateways, names, servers);
    }
    process.stdout.write(`${load()}\n`);
  } finally {
    for (const { child } of [upstream, proxy]) child.kill();
  }
}

/** Runs the cases that need a given number of gateways. */
async function measureOn(gateways: number, names: readonly string[], servers: Servers): Promise<void> {
  const bench = await startBenchNode(servers.upstreamUrl, gateways);
  try {
    await delay(IDLE_SECONDS * 1_000);
    process.stdout.write(`\nnode with ${gateways} gateway${gateways === 1 ? "" : "s"}\n`);
    printHeader();
    printIdle(await bench.measureIdle(IDLE_WINDOW_SECONDS));
    printMemory("idle", await memoryByRole(bench.node));
    const loaded: Readonly<Record<Role, Memory>>[] = [];
    for (const name of names) {
      const measured = CASES[name];
      if (measured === undefined) continue;
      const target = await measured.prepare(bench.node, name);
      const rounds = await measureCase(bench, measured, target, servers);
      loaded.push(...rounds.map(({ window }) => window.memory));
      printCase(measured.name, rounds);
    }
    if (names.includes("near")) await measureNearLimit(bench, servers, { rounds: ROUNDS, concurrency: CONCURRENCY });
    if (loaded.length > 0) printMemory("under load, maximum", maximum(loaded));
    if (names.includes("half")) {
      giveMeasuredCore(await bench.node.pid("gateway"), servers.proxyPid);
      const measure = { rounds: ROUNDS, seconds: SECONDS, concurrency: CONCURRENCY, warmUpMs: WARM_UP_MS };
      await measureHalfLoad(bench, servers, measure);
    }
  } finally {
    await bench.remove();
  }
}

async function measureCase(bench: BenchNode, measured: Case, target: Target, servers: Servers) {
  const path = measured.streamed ? "/stream/v1/chat/completions" : "/v1/chat/completions";
  const onProxy = loadOf(target, measured, [`${servers.proxyUrl}${path}`], CONCURRENCY * bench.node.urls.length);
  const urls = bench.node.urls.map((url) => `${url}/v1/chat/completions`);
  const onNode = loadOf(target, measured, urls, CONCURRENCY);
  await measureProxy(servers.proxyPid, { ...onProxy, durationMs: WARM_UP_MS });
  await warmUp(bench, onNode, target.tokens.length);
  const rounds: Round[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const proxy = await measureProxy(servers.proxyPid, onProxy);
    const window = await measureNode(bench, onNode);
    const atRate = { ...onProxy, perSecond: window.result.perSecond };
    rounds.push({ proxy, window, proxyAtRate: await measureProxy(servers.proxyPid, atRate) });
  }
  return rounds;
}

/** Loads the node for a while, and until every key is used, so that caches are warm. */
async function warmUp(bench: BenchNode, load: LoadOptions, keys: number): Promise<void> {
  const until = performance.now() + WARM_UP_MS;
  let answers = 0;
  const isOver = (): boolean => ++answers >= keys && performance.now() > until;
  await measureNode(bench, { ...load, durationMs: WARM_UP_MAX_MS, isOver });
}

function loadOf(target: Target, { streamed }: Case, url: readonly string[], concurrency: number): LoadOptions {
  return { url, key: target.tokens, model: target.model, streamed, concurrency, durationMs: SECONDS * 1_000 };
}

/** Largest memory of each role over all windows. */
function maximum(all: readonly Readonly<Record<Role, Memory>>[]): Readonly<Record<Role, Memory>> {
  const largest = ROLES.map((role) => {
    const ofRole = all.map((memory) => memory[role]);
    const residentMiB = Math.max(...ofRole.map((memory) => memory.residentMiB));
    return [
      role,
      { residentMiB, proportionalMiB: Math.max(...ofRole.map((memory) => memory.proportionalMiB)) },
    ] as const;
  });
  return Object.fromEntries(largest) as Record<Role, Memory>;
}

await main();
