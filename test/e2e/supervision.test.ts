import { existsSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { reservePorts } from "@routeplane/standalone";
import { eventually, suspendProcess } from "@routeplane/testing";
import { WITH_CONSOLE } from "../harness/console.ts";
import { isAlive, killAll, newHome, processesOf, runUp, startNode, type TestNode } from "../harness/index.ts";

const ROLES = ["postgres", "nats", "auth", "policy", "usage", "aggregator", "gateway", "gateway-2", "console"];

let node: TestNode;
beforeAll(async () => {
  node = await startNode({ gateways: 2, environment: WITH_CONSOLE });
});
afterAll(() => node?.remove());

describe("supervision", () => {
  it.each(ROLES)("restarts %s after kill -9, under a new pid, and serves as before", async (role) => {
    await node.kill(role);
    await node.healthy();
    await eventually(async () => (await node.cli(["cloud", "keys", "list"])).exitCode === 0);
    expect(node.stderr()).toContain(`${role} was ended by SIGKILL: starting it again`);
  });

  it("refuses a second supervisor of the same home, with the pid of the first", async () => {
    const second = await runUp(node.home, [], { environment: { ROUTEPLANE_PORT: "1" } }).ended;
    expect(second.exitCode).toBe(1);
    expect(second.stderr).toMatch(new RegExp(`a node is already running on ${node.home} \\(process \\d+\\)`));
    await node.healthy();
  });

  it("does not prevent the next start when it is killed itself", async () => {
    const supervisor = await supervisorOf(node);
    process.kill(supervisor, "SIGKILL");
    await eventually(() => !isAlive(supervisor));
    node = await startNode({ home: node.home, port: node.port, gateways: 2 });
    expect((await node.cli(["cloud", "keys", "list"])).exitCode).toBe(0);
  });

  it("loses no pending event or settlement of a gateway when all is killed and the next start has fewer gateways", async () => {
    const nats = await node.pid("nats");
    suspendProcess(nats ?? 0);
    const answer = await requestEcho(node.urls[1] ?? "", await node.apiKey());
    expect([answer.status, await answer.text()]).toMatchObject([200, expect.any(String)]);
    await killAll(node.home);
    node = await startNode({ home: node.home, port: node.port });
    const id = answer.headers.get("x-request-id") ?? "";
    await eventually(async () => (await node.cli(["cloud", "request", "get", id])).exitCode === 0);
    expect((await node.stop("SIGTERM")).exitCode).toBe(0);
    expect(await processesOf(node.home)).toEqual([]);
    expect(await readdir(join(node.home, "spool/gateway-2"))).toEqual([]);
  });
});

it("starts and runs on when nobody reads its output", async () => {
  const home = await newHome();
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  const { ports, release } = await reservePorts(1);
  onTestFinished(release);
  const running = runUp(home, [], { environment: { ROUTEPLANE_PORT: `${ports[0]}` } });
  running.child.stdout?.destroy();
  // The address is saved once all is ready, before anything is written to stdout.
  await eventually(() => existsSync(join(home, "url")), 120_000);
  running.child.kill("SIGTERM");
  const { exitCode, stderr } = await running.ended;
  expect([exitCode, stderr]).toEqual([0, expect.stringMatching(/^ {2}stop +\d/m)]);
  expect(await readdir(join(home, "run"))).toEqual([]);
});

function requestEcho(url: string, token: string): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ model: "echo", messages: [{ role: "user", content: "hello" }] }),
  });
}

/** Process id of the supervisor, the child of the bootstrap: the parent of postgres. */
async function supervisorOf({ pid }: TestNode): Promise<number> {
  const status = await readFile(`/proc/${await pid("postgres")}/status`, "utf8");
  return Number(/^PPid:\s+(\d+)$/m.exec(status)?.[1]);
}
