import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { lockHome } from "../src/lock.ts";

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "routeplane-home-"));
  return () => rm(home, { recursive: true, force: true });
});

describe("the lock of a home", () => {
  /** Starts another process that tries to lock the home, prints the result and stays. */
  async function holder(): Promise<{ readonly pid: number; readonly isHolder: boolean; kill(): Promise<void> }> {
    const script = `
      import { lockHome } from ${JSON.stringify(join(import.meta.dirname, "../src/lock.ts"))};
      await lockHome(${JSON.stringify(home)}).then(() => console.log("held"), ({ message }) => console.log(message));
      setInterval(() => {}, 1_000);`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", script]);
    onTestFinished(() => void child.kill("SIGKILL"));
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    return {
      pid: child.pid ?? 0,
      isHolder: line.toString() === "held\n",
      async kill() {
        const ended = once(child, "exit");
        child.kill("SIGKILL");
        await ended;
      },
    };
  }

  it("is held by one process until it releases it, which the error names", async () => {
    const lock = await lockHome(home);
    await expect(lockHome(home)).rejects.toThrow(`already running on ${home} (process ${process.pid})`);
    lock.release();
    (await lockHome(home)).release();
  });

  it("is taken by one of five processes that try at once, and can be taken again after that one is killed", async () => {
    const first = await Promise.all(Array.from({ length: 5 }, holder));
    expect(first.filter(({ isHolder }) => isHolder)).toHaveLength(1);
    await expect(lockHome(home)).rejects.toThrow(`(process ${first.find(({ isHolder }) => isHolder)?.pid})`);
    await Promise.all(first.map((process) => process.kill()));
    expect(await holder()).toMatchObject({ isHolder: true });
  });

  it("cannot be taken by another user of the machine, who can name any abstract socket", async () => {
    const digest = createHash("sha256").update(home).digest("hex").slice(0, 32);
    const squatter = createServer().listen(`\0routeplane-home-${digest}`);
    onTestFinished(() => void squatter.close());
    await once(squatter, "listening");
    (await lockHome(home)).release();
    expect((await stat(join(home, "lock"))).mode & 0o777).toBe(0o600);
  });
});
