import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, it } from "vitest";
import { createFleet, type Fleet } from "./fleet.ts";
import { homeLayout } from "./home.ts";
import type { ProcessSpec } from "./process/supervise.ts";

let folder: string;
let fleet: Fleet;
let given: AbortController;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "routeplane-fleet-"));
  const layout = homeLayout(folder);
  for (const each of [layout.run, layout.log]) await mkdir(each);
  given = new AbortController();
  fleet = createFleet(layout, () => {}, given.signal);
  return async () => {
    await fleet.stop();
    await rm(folder, { recursive: true });
  };
});

/** A process that is ready when `isReady` says so, and has half a second for it. */
function role(name: string, isReady: () => boolean, needs: readonly string[] = []): ProcessSpec {
  const command = { executable: "/bin/sleep", args: ["60"], environment: {} };
  const limits = { startTimeoutMs: 500, stopTimeoutMs: 300, stopSignal: "SIGTERM" as const };
  return { role: name, command, isReady: async () => isReady(), needs, ...limits };
}

/** Resolves after `ms`, three times as long as a role has to get ready. */
const SLOW_MS = 1_500;
const since = (start: number): number => performance.now() - start;

it("lets a role wait for the roles that it needs, however long those take", async () => {
  const start = performance.now();
  let hasAuth = false;
  const gateway = fleet.start(role("gateway", () => hasAuth, ["auth", "policy"]));
  const auth = { ...role("auth", () => (hasAuth = since(start) > SLOW_MS)), startTimeoutMs: 60_000 };
  await Promise.all([gateway, fleet.start(auth), fleet.start(role("policy", () => true))]);
  expect(since(start)).toBeGreaterThan(SLOW_MS);
});

it("gives up on a role that is not ready in its time after those that it needs", async () => {
  const gateway = fleet.start(role("gateway", () => false, ["auth"]));
  await fleet.start(role("auth", () => true));
  await expect(gateway).rejects.toThrow("gateway did not get ready within 0.5 s");
});

it("gives up on a role whose needs never come when the start is given up", async () => {
  const gateway = fleet.start(role("gateway", () => false, ["auth"]));
  given.abort(new Error("given up"));
  await expect(gateway).rejects.toThrow();
});
