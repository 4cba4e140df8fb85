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

/** Output of a first start when it begins, has a cluster, has schemas, has issued its credentials. */
const MOMENTS = ["Starting Routeplane", "  postgres", "  schema of", "first start"];
/** The moment with the most that is half done. `npm run faults` tries every one. */
const HALF_DONE = ["  schema of"];
const TRIED = process.env["ROUTEPLANE_FAULTS"] === "full" ? MOMENTS : HALF_DONE;

it.each(TRIED)(
  "completes a first start that was killed at %j",
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

it.each(TRIED)(
  "stops at %j on Ctrl-C, without leaving a process",
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

// The caller of `npm start` knows only the process of npm, which forwards signals to its child; a shell in between would swallow them.
it("stops on a signal to npm alone, without leaving a process", async () => {
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
