import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, it } from "vitest";
import { createNodeProcesses, type NodeProcesses } from "../src/node-processes.ts";
import { type HomeLayout, homeLayout } from "../src/home.ts";
import type { ProcessSpec } from "../src/process/supervise.ts";
import { waitUntil } from "../src/process/wait.ts";

let folder: string;
let layout: HomeLayout;
let processes: NodeProcesses;
let given: AbortController;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "routeplane-node-processes-"));
  layout = homeLayout(folder);
  for (const each of [layout.run, layout.log]) await mkdir(each);
  given = new AbortController();
  processes = createNodeProcesses(layout, () => {}, given.signal, LOGS);
  return async () => {
    await processes.stop();
    await rm(folder, { recursive: true });
  };
});

const LOGS = { maxBytes: 2_000, everyMs: 20 };

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

it("bounds the log of a process that goes on writing, and keeps the part before", async () => {
  const script = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.001; done";
  const command = { executable: "/bin/sh", args: ["-c", script], environment: {} };
  await processes.start({ ...role("chatty", () => true), command });
  const log = join(layout.log, "chatty.log");
  const numbers = async (path: string) =>
    (await readFile(path, "utf8").catch(() => "")).split("\n").filter(Boolean).map(Number);
  const isBounded = async (): Promise<boolean> => {
    const [before, now] = await Promise.all([numbers(`${log}.1`), numbers(log)]);
    return (before[0] ?? 0) > 1 && (now[0] ?? 0) > (before[0] ?? 0) && now.join().length < LOGS.maxBytes;
  };
  expect(await waitUntil(isBounded, { timeoutMs: 10_000 })).toBe(true);
});
