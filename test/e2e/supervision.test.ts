import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "@routeplane/testing";
import { isAlive, processesOf, runUp, startNode, type TestNode } from "../harness/index.ts";

const ROLES = ["postgres", "nats", "auth", "policy", "usage", "aggregator", "gateway", "gateway-2"];

let node: TestNode;
beforeAll(async () => {
  node = await startNode({ gateways: 2 });
});
afterAll(() => node?.remove());

describe("supervision", () => {
  it.each(ROLES)("starts %s again after kill -9, under a new pid, and serves as before", async (role) => {
    await node.kill(role);
    await node.healthy();
    await eventually(async () => (await node.cli(["cloud", "keys", "list"])).exitCode === 0, 20_000);
    expect(node.stderr()).toContain(`${role} was ended by SIGKILL: starting it again`);
  });

  it("refuses a second supervisor of the same home, and says who has it", async () => {
    const second = await runUp(node.home, [], { environment: { ROUTEPLANE_PORT: "1" } }).ended;
    expect(second.exitCode).toBe(1);
    expect(second.stderr).toMatch(new RegExp(`a node is already running on ${node.home} \\(process \\d+\\)`));
    await node.healthy();
  });

  it("leaves nothing in the way of the next start when it is killed itself", async () => {
    const supervisor = await supervisorOf(node);
    process.kill(supervisor, "SIGKILL");
    await eventually(() => !isAlive(supervisor));
    const next = await startNode({ home: node.home, port: node.port, gateways: 2 });
    const { exitCode } = await next.cli(["cloud", "keys", "list"]);
    expect(exitCode).toBe(0);
    await next.stop("SIGTERM");
    expect(await processesOf(node.home)).toEqual([]);
  });
});

/** The process below the bootstrap: it started postgres. */
async function supervisorOf({ pid }: TestNode): Promise<number> {
  const status = await readFile(`/proc/${await pid("postgres")}/status`, "utf8");
  return Number(/^PPid:\s+(\d+)$/m.exec(status)?.[1]);
}
