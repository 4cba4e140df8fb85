import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, it } from "vitest";
import { createNodeProcesses, type NodeProcesses } from "../src/node-processes.ts";
import { homeLayout } from "../src/home.ts";
import type { ProcessSpec } from "../src/process/supervise.ts";

let folder: string;
let processes: NodeProcesses;
let given: AbortController;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "routeplane-node-processes-"));
  const layout = homeLayout(folder);
  for (const each of [layout.run, layout.log]) await mkdir(each);
  given = new AbortController();
  processes = createNodeProcesses(layout, () => {}, given.signal);
  return async () => {
    await processes.stop();
    await rm(folder, { recursive: true });
  };
});

/** Specification of a process that becomes ready when `isReady` does, within half a second. */
function role(name: string, isReady: () => boolean, needs: readonly string[] = []): ProcessSpec {
  const command = { executable: "/bin/sleep", args: ["60"], environment: {} };
  const limits = { startTimeoutMs: 500, stopTimeoutMs: 300, stopSignal: "SIGTERM" as const };
  return { role: name, command, isReady: async () => isReady(), needs, ...limits };
}

/** Resolves after `ms`, three times the time limit of a role. */
const SLOW_MS = 1_500;
const since = (start: number): number => performance.now() - start;

it("begins the time limit of a role when the roles that it needs are ready", async () => {
  const start = performance.now();
  let hasAuth = false;
  const gateway = processes.start(role("gateway", () => hasAuth, ["auth", "policy"]));
  const auth = { ...role("auth", () => (hasAuth = since(start) > SLOW_MS)), startTimeoutMs: 60_000 };
  await Promise.all([gateway, processes.start(auth), processes.start(role("policy", () => true))]);
  expect(since(start)).toBeGreaterThan(SLOW_MS);
});

it("fails for a role that is not ready within its time limit after those that it needs", async () => {
  const gateway = processes.start(role("gateway", () => false, ["auth"]));
  await processes.start(role("auth", () => true));
  await expect(gateway).rejects.toThrow("gateway did not get ready within 0.5 s");
});

it("cancels the wait for roles that are never ready when the start is cancelled", async () => {
  const gateway = processes.start(role("gateway", () => false, ["auth"]));
  given.abort(new Error("given up"));
  await expect(gateway).rejects.toThrow();
});
