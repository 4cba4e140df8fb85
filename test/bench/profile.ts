import { startChild } from "./children.ts";
import { everythingOn, startNodeWithUpstream } from "./everything-on.ts";
import { runLoad } from "./load.ts";
import { openInspector } from "./inspector.ts";
import { printSelfTimes } from "./self-times.ts";

/**
 * Prints what a process of a running node spends its CPU time on under small requests with everything on: self time by part, and the
 * functions with most of it. A signal starts the profiler of Node's inspector; until then the process is as
 * in production.
 *
 * ROLE is the role that is profiled (gateway), SECONDS the length of the profile (10), TOP the number of functions (40).
 */

const { ROLE = "gateway", SECONDS = "10", TOP = "40" } = process.env;
const CONCURRENCY = 16;
const WARM_UP_MS = 6_000;

async function main(): Promise<void> {
  const upstream = await startChild("upstream");
  // The inspector of the gateway takes a free port; other roles do not get the environment, and take the default one.
  const node = await startNodeWithUpstream(upstream.url, {
    environment: { NODE_OPTIONS: "--inspect-port=0", ROUTEPLANE_RUN: "source" },
  });
  try {
    const key = await everythingOn(node, "profiled");
    const load = (durationMs: number) =>
      runLoad({ url: `${node.url}/v1/chat/completions`, key, concurrency: CONCURRENCY, durationMs, model: "tiny" });
    await load(WARM_UP_MS);
    const inspector = await openInspector(node, ROLE);
    await inspector.startProfile();
    const { perSecond, failed } = await load(Number(SECONDS) * 1_000);
    const requests = Math.round(perSecond * Number(SECONDS));
    process.stdout.write(`${requests} requests, ${failed} failed; shares, and microseconds a request, of ${ROLE}\n`);
    printSelfTimes(await inspector.stopProfile(), requests, Number(TOP));
  } finally {
    await node.remove();
    upstream.child.kill();
  }
}

await main();
