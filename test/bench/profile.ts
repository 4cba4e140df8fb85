import { eventually } from "@routeplane/testing";
import type { TestNode } from "../harness/node.ts";
import { startChild } from "./children.ts";
import { everythingOn, startNodeWithUpstream } from "./everything-on.ts";
import { runLoad } from "./load.ts";
import { type CpuProfile, selfTimes } from "./self-times.ts";

/**
 * Prints what a process of a running node spends its CPU time on under small requests with everything on: self time by part, and the
 * functions with most of it. The profiler of Node's inspector is started by a signal, so that nothing differs from production
 * until then.
 *
 * ROLE is the role that is profiled (gateway), SECONDS the length of the profile (10), TOP the number of functions (40).
 */

const { ROLE = "gateway", SECONDS = "10", TOP = "40" } = process.env;
const CONCURRENCY = 16;
const WARM_UP_MS = 6_000;
const SAMPLE_MICROS = 250;

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
    await inspector.call("Profiler.enable");
    await inspector.call("Profiler.setSamplingInterval", { interval: SAMPLE_MICROS });
    await inspector.call("Profiler.start");
    const { perSecond, failed } = await load(Number(SECONDS) * 1_000);
    const { profile } = (await inspector.call("Profiler.stop")) as { profile: CpuProfile };
    print(profile, Math.round(perSecond * Number(SECONDS)), failed);
  } finally {
    await node.remove();
    upstream.child.kill();
  }
}

interface Inspector {
  call(method: string, params?: object): Promise<unknown>;
}

/** Starts the inspector of a process, and connects to it. */
async function openInspector(node: TestNode, role: string): Promise<Inspector> {
  const pid = await node.pid(role);
  if (pid === undefined) throw new Error(`${role} does not run`);
  process.kill(pid, "SIGUSR1");
  const address = await eventually(async () => /Debugger listening on (ws:\S+)/.exec(await node.log(role))?.[1]);
  const socket = new WebSocket(address);
  const calls = new Map<number, (result: unknown) => void>();
  socket.addEventListener("message", ({ data }) => {
    const { id, result } = JSON.parse(String(data)) as { id: number; result: unknown };
    calls.get(id)?.(result);
  });
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", reject);
  });
  let id = 0;
  return {
    call: (method, params = {}) =>
      new Promise((resolve) => {
        calls.set(++id, resolve);
        socket.send(JSON.stringify({ id, method, params }));
      }),
  };
}

function print(profile: CpuProfile, requests: number, failed: number): void {
  const { parts, functions, busyMicros } = selfTimes(profile);
  const line = (micros: number, name: string): void => {
    const share = `${((100 * micros) / busyMicros).toFixed(1).padStart(5)} %`;
    process.stdout.write(`${share} ${(micros / requests).toFixed(1).padStart(7)} us  ${name}\n`);
  };
  process.stdout.write(`${requests} requests, ${failed} failed; shares, and microseconds a request, of ${ROLE}\n`);
  line(busyMicros, "all");
  for (const [part, micros] of parts) line(micros, part);
  process.stdout.write("\n");
  for (const [name, micros] of functions.slice(0, Number(TOP))) line(micros, name);
}

await main();
