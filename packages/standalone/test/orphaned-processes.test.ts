import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { endOrphanedProcesses, findOrphanedProcesses, supervisionMark } from "../src/orphaned-processes.ts";

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "routeplane-home-"));
  return () => rm(home, { recursive: true, force: true });
});

describe("orphaned processes", () => {
  async function startMarked(role: string, of: string): Promise<{ pid: number; ended: Promise<unknown> }> {
    const env = { PATH: "/usr/bin:/bin", ...supervisionMark(role, of) };
    const child = spawn("/bin/sh", ["-c", "echo up; exec sleep 60"], { env });
    onTestFinished(() => void child.kill("SIGKILL"));
    const ended = once(child, "exit");
    await once(child.stdout, "data");
    return { pid: child.pid ?? 0, ended };
  }

  it("of this home are found and ended, those of another home are left running", async () => {
    const ownProcess = await startMarked("usage", home);
    const otherProcess = await startMarked("usage", `${home}-2`);
    const orphans = await findOrphanedProcesses(home);
    expect(orphans).toContainEqual({ role: "usage", pid: ownProcess.pid });
    expect(orphans.map(({ pid }) => pid)).not.toContain(otherProcess.pid);
    await endOrphanedProcesses(home, orphans);
    await ownProcess.ended;
    expect(() => process.kill(otherProcess.pid, 0)).not.toThrow();
  });
});
