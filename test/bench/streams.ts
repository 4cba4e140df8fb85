import { setTimeout as delay } from "node:timers/promises";
import { Pool } from "undici";
import { startChild } from "./children.ts";
import { keyUnderBudget } from "./cost/cases.ts";
import { type Memory, memoryByRole } from "./cost/node-figures.ts";
import { startNodeWithUpstream } from "./everything-on.ts";
import { familyCpuSeconds, load } from "./times.ts";

/**
 * Measures concurrent streams through one gateway process: the time from the upstream's write of a piece until a client has it, through a
 * bare proxy and through the node in turns, CPU time per piece, and the memory of streams that are open and silent.
 */

/** Numbers of concurrent streams, of which each has `PIECES` pieces a second. */
const STREAMS = (process.env["STREAMS"] ?? "50,100,200,300").split(",").map(Number);
const PIECES = Number(process.env["PIECES"] ?? 50);
const SECONDS = Number(process.env["SECONDS"] ?? 8);
/** Number of silent streams whose memory is measured. */
const SILENT = Number(process.env["SILENT"] ?? 1_000);
const WARM_UP_SECONDS = 3;
const NEVER_MICRO_USD = 9e12;
const NAME_WIDTH = 34;

interface Target {
  readonly url: string;
  readonly pid: number;
  readonly path: string;
  readonly token: string;
}

/** Streams that are open at a target. */
class Streams {
  /** Latency of each piece since the last reset, in milliseconds. */
  latencies: number[] = [];
  failed = 0;
  readonly #pool: Pool;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>[];

  constructor({ url, path, token }: Target, count: number) {
    this.#pool = new Pool(url, { connections: count, bodyTimeout: 0 });
    const body = JSON.stringify({
      model: "streamed",
      max_tokens: 1_000_000,
      stream: true,
      messages: [{ role: "user", content: "Count." }],
    });
    const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
    this.#running = Array.from({ length: count }, () => this.#read(path, headers, body));
  }

  async #read(path: string, headers: Record<string, string>, body: string): Promise<void> {
    try {
      const answer = await this.#pool.request({ method: "POST", path, headers, body, signal: this.#stop.signal });
      if (answer.statusCode !== 200) throw new Error(`status ${answer.statusCode}: ${await answer.body.text()}`);
      for await (const chunk of answer.body) this.#note(String(chunk));
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      if (this.failed++ === 0) process.stderr.write(`a stream failed: ${String(error)}\n`);
    }
  }

  #note(text: string): void {
    const now = process.hrtime.bigint();
    for (const [, sentAt = "0"] of text.matchAll(/"content":"(\d+) "/g))
      this.latencies.push(Number(now - BigInt(sentAt)) / 1e6);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#running);
    await this.#pool.destroy();
  }
}

async function measure(name: string, target: Target, count: number): Promise<void> {
  const streams = new Streams(target, count);
  await delay(WARM_UP_SECONDS * 1_000);
  streams.latencies = [];
  const before = await familyCpuSeconds(target.pid);
  await delay(SECONDS * 1_000);
  const cpu = (await familyCpuSeconds(target.pid)) - before;
  const sorted = streams.latencies.toSorted((left, right) => left - right);
  await streams.close();
  const at = (share: number): string => (sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(1);
  const figures = [
    count,
    (sorted.length / SECONDS).toFixed(0),
    at(0.5),
    at(0.99),
    ((cpu * 1e6) / sorted.length).toFixed(1),
    streams.failed,
  ];
  print(name, figures);
}

async function measureSilent(target: Target, memory: () => Promise<Memory>): Promise<void> {
  const before = await memory();
  const streams = new Streams(target, SILENT);
  await delay(10_000);
  const after = await memory();
  await streams.close();
  const resident = after.residentMiB - before.residentMiB;
  process.stdout.write(
    `${SILENT} silent streams: ${resident.toFixed(0)} MiB (${before.residentMiB.toFixed(0)} before), ${((resident * 1_024) / SILENT).toFixed(1)} KiB each; ${streams.failed} failed\n`,
  );
}

function print(name: string, figures: readonly (string | number)[]): void {
  process.stdout.write(`${name.padEnd(NAME_WIDTH)}${figures.map((figure) => `${figure}`.padStart(12)).join("")}\n`);
}

const upstream = await startChild("pacer", `${PIECES}`);
const silent = await startChild("pacer", "0.001");
const proxy = await startChild("proxy", upstream.url);
process.stdout.write(`${PIECES} pieces a second, windows of ${SECONDS} s, ${load()}\n`);
for (const [url, isSilent] of [
  [upstream.url, false],
  [silent.url, true],
] as const) {
  const node = await startNodeWithUpstream(url, { environment: { ROUTEPLANE_GATEWAY_PROCESSES: "1" } });
  try {
    const token = await keyUnderBudget(node, "streams", NEVER_MICRO_USD);
    const pid = (await node.pid("gateway")) ?? 0;
    const onNode = { url: node.url, pid, path: "/v1/chat/completions", token };
    if (isSilent) {
      await measureSilent(onNode, async () => (await memoryByRole(node)).gateway);
      continue;
    }
    const onProxy = { url: proxy.url, pid: proxy.child.pid ?? 0, path: "/stream/v1/chat/completions", token: "none" };
    print("", ["streams", "pieces/s", "p50 ms", "p99 ms", "us a piece", "failed"]);
    for (const count of STREAMS) {
      await measure("bare proxy", onProxy, count);
      await measure("node, a budget", onNode, count);
    }
  } finally {
    await node.remove();
  }
}
process.stdout.write(`${load()}\n`);
for (const { child } of [upstream, silent, proxy]) child.kill();
