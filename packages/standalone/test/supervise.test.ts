import { mkdir, mkdtemp, readFile, rm, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect, it } from "vitest";
import { type ProcessSpec, supervise, type SupervisedProcess } from "../src/process/supervise.ts";
import { describeFailure } from "../src/start-failure.ts";
import { waitUntil } from "../src/process/wait.ts";

const folder = await mkdtemp(join(tmpdir(), "routeplane-supervise-"));
const log = join(folder, "some.log");
const pidFile = join(folder, "some.pid");
const running: SupervisedProcess[] = [];
afterEach(async () => void (await Promise.all(running.splice(0).map((supervised) => supervised.stop()))));
afterAll(() => rm(folder, { recursive: true }));

function specOf(script: string, overrides: Partial<ProcessSpec> = {}): ProcessSpec {
  const command = { executable: "/bin/sh", args: ["-c", script], environment: {} };
  const limits = { startTimeoutMs: 5_000, stopTimeoutMs: 300 };
  return { role: "some", command, isReady: async () => true, stopSignal: "SIGTERM", ...limits, ...overrides };
}

function start(spec: ProcessSpec, onDeath?: (delayMs: number) => void): SupervisedProcess {
  const supervised = supervise(spec, { log, pidFile, onDeath: (_, delayMs) => onDeath?.(delayMs) });
  running.push(supervised);
  return supervised;
}

async function pidOnFile(): Promise<number> {
  return Number(await readFile(pidFile, "utf8"));
}

it("starts a killed process again, with its new pid on file", async () => {
  const supervised = start(specOf("exec sleep 60"));
  await supervised.started();
  const before = await pidOnFile();
  process.kill(before, "SIGKILL");
  expect(await waitUntil(async () => (await pidOnFile()) !== before, { timeoutMs: 5_000 })).toBe(true);
  expect(await pidOnFile()).toBe(supervised.pid());
});

it("doubles the delay before each restart of a process that keeps ending", async () => {
  const delays: number[] = [];
  const supervised = start(specOf("sleep 0.05; exit 3"), (delayMs) => delays.push(delayMs));
  await supervised.started();
  await waitUntil(() => delays.length >= 3, { timeoutMs: 5_000 });
  expect(delays.slice(0, 3)).toEqual([100, 200, 400]);
});

it("kills a process that does not stop at the signal, and removes its pid file", async () => {
  const supervised = start(specOf("trap '' TERM; while :; do sleep 0.05; done"));
  await supervised.started();
  const pid = await pidOnFile();
  await supervised.stop();
  expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  await expect(pidOnFile()).rejects.toThrow("ENOENT");
});

it("reports how a process that exits before it is ready has ended, and its log", async () => {
  const supervised = start(specOf("exit 7", { isReady: async () => false }));
  await expect(supervised.started()).rejects.toMatchObject({ message: "some exited with 7", log });
});

it("shows of its log only what this start wrote", async () => {
  for (const line of ["former start", "this start"]) {
    const supervised = start(specOf(`echo "${line}"; exit 7`, { isReady: async () => false }));
    const failure = await supervised.started().catch((error: unknown) => describeFailure(error));
    await supervised.stop();
    expect(failure).toContain(`\n    ${line}`);
    expect(failure).not.toContain(line === "this start" ? "former start" : "this start");
  }
});

it("restarts a process that exits before it is ready as often as is allowed", async () => {
  const marker = join(folder, "tries");
  const script = `echo >> ${marker}; [ $(wc -l < ${marker}) -ge 3 ] || exit 1; exec sleep 60`;
  const isReady = async (): Promise<boolean> => (await readFile(marker, "utf8").catch(() => "")).length >= 3;
  await start(specOf(script, { isReady, startRetries: 2 })).started();
  expect((await readFile(marker, "utf8")).length).toBe(3);
});

it("fails for a process that is not ready within its time limit", async () => {
  const supervised = start(specOf("exec sleep 60", { isReady: async () => false, startTimeoutMs: 100 }));
  await expect(supervised.started()).rejects.toThrow("some did not get ready within 0.1 s");
});

it("reports a program that cannot be run", async () => {
  const command = { executable: join(folder, "missing"), args: [], environment: {} };
  const supervised = start(specOf("", { command, isReady: async () => false }));
  await expect(supervised.started()).rejects.toThrow("some exited with 127");
});

it("starts a process again while its pid file cannot be written, and writes the file once it can", async () => {
  const blocked = join(folder, "blocked.pid");
  const supervised = supervise(specOf("exec sleep 60"), { log, pidFile: blocked });
  running.push(supervised);
  await supervised.started();
  // The draft of the pid file cannot be written over a folder.
  await mkdir(`${blocked}.new`);
  const before = supervised.pid() ?? 0;
  process.kill(before, "SIGKILL");
  expect(await waitUntil(() => ![undefined, before].includes(supervised.pid()), { timeoutMs: 5_000 })).toBe(true);
  await expect(readFile(blocked, "utf8")).rejects.toThrow("ENOENT");
  await rmdir(`${blocked}.new`);
  const isOnFile = async () => (await readFile(blocked, "utf8").catch(() => "")) === `${supervised.pid()}\n`;
  expect(await waitUntil(isOnFile, { timeoutMs: 5_000 })).toBe(true);
});

it("reports a log that cannot be opened", async () => {
  const supervised = supervise(specOf("", { isReady: async () => false }), { log: join(folder, "missing/some.log") });
  running.push(supervised);
  await expect(supervised.started()).rejects.toThrow("some exited with 127");
});
