import { rm } from "node:fs/promises";
import { eventually } from "@routeplane/testing";
import { reservePorts } from "@routeplane/standalone";
import { expect, it, onTestFinished } from "vitest";
import { killAll, newHome, processesOf, runNpmStart, runUp, startNode } from "../harness/index.ts";

async function firstStart() {
  const home = await newHome();
  const { ports, release } = await reservePorts(1);
  const command = runUp(home, [], { environment: { ROUTEPLANE_PORT: `${ports[0]}` } });
  onTestFinished(async () => {
    command.child.kill("SIGINT");
    await command.ended;
    release();
    await rm(home, { recursive: true, force: true });
  });
  return { home, command };
}

/** What a first start says when it begins, has a cluster, has schemas, has handed out its credentials. */
const MOMENTS = ["Starting Routeplane", "  postgres", "  schema of", "first start"];

it.each(MOMENTS)(
  "finishes a first start that was killed at %j",
  async (moment) => {
    const { home, command } = await firstStart();
    await eventually(() => command.stderr().includes(moment), 60_000);
    await killAll(home);
    await command.ended;
    const node = await startNode({ home });
    onTestFinished(async () => void (await node.stop()));
    const { exitCode, stdout } = await node.cli(["cloud", "namespace", "list"]);
    expect(exitCode).toBe(0);
    expect(stdout.trim().split("\n")).toHaveLength(1);
  },
  120_000,
);

it.each(MOMENTS)(
  "stops at %j on Ctrl-C, leaving no process",
  async (moment) => {
    const { home, command } = await firstStart();
    await eventually(() => command.stderr().includes(moment), 60_000);
    command.child.kill("SIGINT");
    const { exitCode, stderr } = await command.ended;
    expect(exitCode, stderr).toBe(0);
    expect(stderr).not.toContain("routeplane: ");
    expect(await processesOf(home)).toEqual([]);
  },
  120_000,
);

// Who runs `npm start` knows npm's process alone. npm passes a signal on to what it runs, and a shell there would keep it.
it("stops at a signal to npm alone, leaving no process", async () => {
  const home = await newHome();
  const { ports, release } = await reservePorts(1);
  const command = runNpmStart(home, { ROUTEPLANE_PORT: `${ports[0]}` });
  onTestFinished(async () => {
    await killAll(home);
    release();
    await rm(home, { recursive: true, force: true });
  });
  await eventually(() => command.stderr().includes("  postgres"), 60_000);
  command.child.kill("SIGTERM");
  await eventually(async () => (await processesOf(home)).length === 0, 30_000);
}, 120_000);
