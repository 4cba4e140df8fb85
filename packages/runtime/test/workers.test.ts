import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@routeplane/testing";
import { expect, it, onTestFinished } from "vitest";

const INDEX = new URL("../src/index.ts", import.meta.url).href;

/** Program of a replica: a supervisor and, with WORKER set, a worker that counts to 5 when it starts. */
const PROGRAM = `
import { counter, createLogger, Dependencies, endWithSupervisor, gauge, Readiness, runProcess, startOperationsServer, superviseWorkers } from ${JSON.stringify(INDEX)};
const log = createLogger("test", (line) => line);
const common = { service: "test", log, operationsHost: "127.0.0.1" };
const worker = async () => {
  if (process.env.FAULTY === process.env.WORKER) throw new Error("faulty on purpose");
  endWithSupervisor();
  counter({ name: "test_total", help: "Counted." }).inc(5);
  gauge({ name: "test_open", help: "Open.", read: () => 3 });
  const readiness = new Readiness();
  const operations = await startOperationsServer({ ...common, readiness, dependencies: new Dependencies([]), operationsPorts: [] });
  return { log, readiness, components: [operations] };
};
const supervisor = () => superviseWorkers({
  ...common, count: 2, operationsPorts: [0], drainTimeoutMs: 1_000,
  optionsOf: (index) => ({ environment: { ...process.env, WORKER: String(index) }, pidFile: process.env.PIDS + "/worker-" + index + ".pid" }),
});
await runProcess(process.env.WORKER === undefined ? supervisor : worker);
`;

async function startReplica(environment: Readonly<Record<string, string>> = {}) {
  const folder = await mkdtemp(join(tmpdir(), "routeplane-workers-"));
  const program = join(folder, "program.ts");
  await writeFile(program, PROGRAM);
  const child = spawn(process.execPath, [program], {
    env: { ...process.env, ...environment, PIDS: folder },
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  const closed = once(child, "close") as Promise<[number | null]>;
  const operations = async (path: string) => {
    const [, port] = /"operationsPort":(\d+)/.exec(output) ?? [];
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return { status: response.status, body: await response.text() };
  };
  const pidOf = async (index: number): Promise<number> =>
    Number(await readFile(join(folder, `worker-${index}.pid`), "utf8"));
  const processes = async (count: number): Promise<true> =>
    eventually(async () => (await operations("/metrics")).body.includes(`routeplane_processes ${count}\n`), 30_000);
  return { child, closed, folder, operations, pidOf, processes, output: () => output };
}

it("starts a killed worker again, and sums the counts of all workers, ended ones included", async () => {
  const { operations, pidOf, processes } = await startReplica();
  await processes(2);
  const before = (await operations("/metrics")).body;
  expect(before).toContain("test_total 10\n");
  expect(before).toContain("test_open 6\n");
  expect(before).toContain("routeplane_ready 1\n");
  const killed = await pidOf(2);
  process.kill(killed, "SIGKILL");
  await eventually(async () => (await pidOf(2)) !== killed);
  await processes(2);
  const after = (await operations("/metrics")).body;
  expect(after).toContain("test_total 15\n");
  expect(after).toContain("test_open 6\n");
});

it("starts a killed worker again while its pid file cannot be written", async () => {
  const { folder, operations, pidOf, processes } = await startReplica();
  await processes(2);
  const killed = await pidOf(2);
  // The draft of the pid file cannot be written over a folder.
  await mkdir(join(folder, "worker-2.pid.new"));
  process.kill(killed, "SIGKILL");
  await eventually(async () => (await operations("/metrics")).body.includes("test_total 15\n"), 30_000);
  await expect(pidOf(2)).rejects.toThrow("ENOENT");
});

it("is ready and live while all serve; if one is suspended, it is hung but still ready", async () => {
  const { operations, pidOf, processes } = await startReplica();
  await processes(2);
  expect(await operations("/livez")).toMatchObject({ status: 200 });
  expect((await operations("/readyz")).body).toContain('"processes":2,"ready_processes":2');
  const suspended = await pidOf(2);
  process.kill(suspended, "SIGSTOP");
  expect(await operations("/livez")).toMatchObject({ status: 503 });
  expect(await operations("/readyz")).toMatchObject({ status: 200 });
  process.kill(suspended, "SIGCONT");
  await eventually(async () => (await operations("/livez")).status === 200);
}, 60_000);

it("does not start if its first worker cannot start, and reports the reason once", async () => {
  const { closed, output } = await startReplica({ FAULTY: "1" });
  expect((await closed)[0]).toBe(1);
  expect(output().match(/faulty on purpose/g)).toHaveLength(1);
});

it("serves with the other workers while one cannot be started, and retries that one less and less often", async () => {
  const { operations, output } = await startReplica({ FAULTY: "2" });
  await eventually(() => output().includes('"restartInMs":400'), 30_000);
  expect((await operations("/readyz")).body).toContain('"processes":1,"ready_processes":1');
});

it("ends with exit code 0 on SIGTERM, after all workers", async () => {
  const { child, closed, pidOf, processes } = await startReplica();
  await processes(2);
  const pids = [await pidOf(1), await pidOf(2)];
  child.kill("SIGTERM");
  expect((await closed)[0]).toBe(0);
  for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow();
});

it("takes its workers with it when it is killed", async () => {
  const { child, pidOf, processes } = await startReplica();
  await processes(2);
  const pids = [await pidOf(1), await pidOf(2)];
  child.kill("SIGKILL");
  const isAlive = (pid: number): boolean => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };
  await eventually(() => !pids.some(isAlive), 5_000);
});
