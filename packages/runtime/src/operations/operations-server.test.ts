import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "@routeplane/testing";
import { expect, it, onTestFinished } from "vitest";
import { createLogger } from "../log.ts";
import { Dependencies } from "./dependencies.ts";
import { counter, gauge } from "./metrics.ts";
import { startOperationsServer } from "./operations-server.ts";
import { Readiness } from "./readiness.ts";

/** Starts the server with one required and one optional dependency; those named in `away` do not answer. */
async function startServer(away = new Set<string>()) {
  const lines: string[] = [];
  const log = createLogger("test", (line) => (lines.push(line), ""));
  const readiness = new Readiness();
  const dependency = (name: string, optional: boolean) => ({
    name,
    optional,
    isReachable: async () => !away.has(name),
  });
  const dependencies = new Dependencies([dependency("postgres", false), dependency("usage", true)]);
  const server = await startOperationsServer({
    service: "test",
    operationsHost: "127.0.0.1",
    operationsPorts: [0],
    readiness,
    dependencies,
    log,
  });
  onTestFinished(() => server.stop());
  const port = /"operationsPort":(\d+)/.exec(lines.join(""))?.[1];
  const get = (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${port}${path}`, init);
  const read = async (path: string) => {
    const response = await get(path);
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  return { readiness, get, read };
}

it("is ready while every condition is met, names those that are not, and is never ready once the process is stopping", async () => {
  const { readiness, read } = await startServer();
  const schema = readiness.condition("schema");
  readiness.markStarted();
  expect(await read("/readyz")).toEqual({
    status: 503,
    body: { status: "not_ready", conditions: { started: "ok", schema: "not known yet", draining: "ok" } },
  });
  schema.pass();
  expect((await read("/readyz")).status).toBe(200);
  readiness.markDraining();
  readiness.markStarted();
  expect(await read("/readyz")).toMatchObject({
    status: 503,
    body: { conditions: { schema: "ok", draining: "the process is stopping" } },
  });
});

it("is live while its event loop turns, and not after one task has blocked it for more than 5 s", async () => {
  const { read } = await startServer();
  expect(await read("/livez")).toMatchObject({ status: 200, body: { status: "ok" } });
  const until = performance.now() + 5_600;
  while (performance.now() < until);
  expect(await read("/livez")).toMatchObject({ status: 503, body: { status: "hung" } });
}, 20_000);

it("reports the state of dependencies, and is unavailable only if a required one does not answer", async () => {
  const withoutOptional = await startServer(new Set(["usage"]));
  expect(await withoutOptional.read("/healthz")).toEqual({
    status: 200,
    body: { status: "ok", dependencies: { postgres: "ok", usage: "unreachable" } },
  });
  expect((await withoutOptional.read("/readyz")).body["conditions"]).not.toHaveProperty("usage");
  const withoutRequired = await startServer(new Set(["postgres"]));
  expect((await withoutRequired.read("/healthz")).status).toBe(503);
});

it("counts a dependency whose check does not end as unreachable", async () => {
  const silent = { name: "silent", isReachable: () => new Promise<boolean>(() => {}) };
  const body = { status: "unavailable", dependencies: { silent: "unreachable" } };
  expect(await new Dependencies([silent]).report()).toEqual({ isServing: false, body });
});

it("serves metrics in the text format, without unknown values", async () => {
  const { get, readiness } = await startServer(new Set(["usage"]));
  readiness.markStarted();
  counter({ name: "test_calls_total", help: "Calls.", labels: ["code"] }).inc({ code: "ok" }, 2);
  gauge({ name: "test_known", help: "Known.", read: () => 3 });
  gauge({ name: "test_unknown", help: "Unknown.", read: () => undefined });
  gauge({ name: "test_failing", help: "Failing.", read: () => Promise.reject(new Error("down")) });
  const response = await get("/metrics");
  expect(response.headers.get("content-type")).toMatch(/^text\/plain; version=0.0.4/);
  const lines = (await response.text()).split("\n");
  expect(lines).toContain('test_calls_total{code="ok"} 2');
  expect(lines).toContain("test_known 3");
  expect(lines.filter((line) => /^test_(unknown|failing) /.test(line))).toEqual([]);
  expect(lines).toContain("routeplane_ready 1");
  expect(lines).toContain('routeplane_dependency_up{dependency="postgres"} 1');
  expect(lines).toContain('routeplane_dependency_up{dependency="usage"} 0');
  expect(lines.some((line) => line.startsWith('routeplane_build_info{service="test",version="0.1.0'))).toBe(true);
});

it("serves the lag of the event loop since the last scrape, by the names of prom-client", async () => {
  const { get } = await startServer();
  const read = async () => {
    const lines = (await (await get("/metrics")).text()).split("\n");
    return (figure: string): number | undefined => {
      const line = lines.find((each) => each.startsWith(`nodejs_eventloop_lag_${figure}seconds `));
      return line === undefined ? undefined : Number(line.split(" ")[1]);
    };
  };
  let seconds = await read();
  await eventually(async () => {
    // The first sample after a scrape is the beginning of the next.
    await delay(150);
    const stalledUntil = performance.now() + 400;
    while (performance.now() < stalledUntil);
    await delay(1);
    seconds = await read();
    return (seconds("max_") ?? 0) > 0.25;
  });
  for (const figure of ["", "mean_", "min_", "stddev_", "p50_", "p90_", "p99_"]) {
    expect(seconds(figure), figure).toBeGreaterThanOrEqual(0);
    expect(seconds(figure), figure).toBeLessThanOrEqual(seconds("max_") ?? 0);
  }
});

it("answers nothing else", async () => {
  const { get } = await startServer();
  expect((await get("/")).status).toBe(404);
  expect((await get("/constructor")).status).toBe(404);
  expect((await get("/metrics", { method: "POST" })).status).toBe(405);
});
