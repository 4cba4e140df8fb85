import { fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { newNamespace } from "../harness/policies.ts";
import { startChild } from "./children.ts";
import { giveMeasuredCore, leaveMeasuredCore, loseTimingPreference, preferTiming } from "./cores.ts";
import { startNodeWithUpstream } from "./everything-on.ts";
import { type LoadOptions, type LoadResult, runLoad } from "./load.ts";
import { load, median } from "./times.ts";

/**
 * Measures what a flood from one namespace does to another one: the latency of a steady trickle of requests without and with the flood, in
 * turns. A process of its own sends the flood: the next request on each connection once the last is answered.
 *
 * FLOOD is the number of its connections (256), RATE that of the trickle's requests a second (20), SECONDS the length of a window (6),
 * ROUNDS their number (5), MODEL late, which answers after 200 ms as models take, tiny, which answers at once, or streamed. ONSET_MS is how long a flood has run when its window begins
 * (1,000); 0 for what its beginning does. CORES=separate gives the gateway a core of its own.
 */

const { MODEL = "late" } = process.env;
const FLOOD = Number(process.env["FLOOD"] ?? 256);
const RATE = Number(process.env["RATE"] ?? 20);
const SECONDS = Number(process.env["SECONDS"] ?? 6);
const ROUNDS = Number(process.env["ROUNDS"] ?? 5);
const ONSET_MS = Number(process.env["ONSET_MS"] ?? 1_000);
const WARM_UP_MS = 5_000;

/** Loads from another process, so that the trickle's client does not wait for that of the flood. */
async function flood(options: LoadOptions): Promise<LoadResult> {
  const child = fork(import.meta.filename, ["flood", JSON.stringify(options)]);
  const [result] = (await once(child, "message")) as [LoadResult];
  return result;
}

async function main(): Promise<void> {
  leaveMeasuredCore();
  const upstream = await startChild("upstream");
  const environment = { ROUTEPLANE_GATEWAY_PROCESSES: "1" };
  const node = await startNodeWithUpstream(upstream.url, { environment });
  giveMeasuredCore(await node.pid("gateway"));
  preferTiming(upstream.child.pid);
  try {
    const [first, second] = [await newNamespace(node, "flooding"), await newNamespace(node, "steady")];
    const url = `${node.url}/v1/chat/completions`;
    const common = { url, model: MODEL, streamed: MODEL === "streamed" };
    const flooding: LoadOptions = { ...common, key: first.root.token, concurrency: FLOOD, durationMs: 0 };
    const steady: LoadOptions = { ...common, key: second.root.token, concurrency: 64, perSecond: RATE, durationMs: 0 };
    const durationMs = SECONDS * 1_000;
    await Promise.all([flood({ ...flooding, durationMs: WARM_UP_MS }), runLoad({ ...steady, durationMs: WARM_UP_MS })]);

    process.stdout.write(
      `${ROUNDS} rounds of ${SECONDS} s, ${RATE} requests/s beside ${FLOOD} connections, ${load()}\n`,
    );
    const results = { without: [] as LoadResult[], with: [] as LoadResult[], flood: [] as LoadResult[] };
    for (let round = 0; round < ROUNDS; round++) {
      results.without.push(await runLoad({ ...steady, durationMs }));
      const [ownFlood, withFlood] = await Promise.all([
        flood({ ...flooding, durationMs: ONSET_MS + durationMs + 1_000 }),
        delay(ONSET_MS).then(() => runLoad({ ...steady, durationMs })),
      ]);
      results.with.push(withFlood);
      results.flood.push(ownFlood);
    }
    for (const [name, windows] of Object.entries(results)) {
      const of = (figure: "p50Ms" | "p99Ms" | "perSecond"): string =>
        median(windows.map((window) => window[figure])).toFixed(1);
      const failed = windows.reduce((sum, window) => sum + window.failed, 0);
      process.stdout.write(
        `${name.padEnd(10)} p50 ${of("p50Ms")} ms, p99 ${of("p99Ms")} ms, ${of("perSecond")} requests/s, ${failed} failed\n`,
      );
    }
    process.stdout.write(`${load()}\n`);
  } finally {
    await node.remove();
    upstream.child.kill();
  }
}

const [role, options = "{}"] = process.argv.slice(2);
if (role === "flood") {
  loseTimingPreference();
  process.send?.(await runLoad(JSON.parse(options) as LoadOptions));
} else await main();
