import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { CHECKOUT, nodeHome } from "./home.ts";
import { endOrphanedProcesses, findOrphanedProcesses, supervisionMark } from "./orphaned-processes.ts";
import { lockHome } from "./lock.ts";
import { readSaved, removeSaved, writeSaved } from "./saved-files.ts";
import { loadSecrets } from "./secrets.ts";

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "routeplane-home-"));
  return () => rm(home, { recursive: true, force: true });
});

describe("nodeHome", () => {
  it("is what ROUTEPLANE_HOME names, else .routeplane in the checkout", () => {
    expect(nodeHome({ ROUTEPLANE_HOME: "/somewhere/else" })).toBe("/somewhere/else");
    expect(nodeHome({ ROUTEPLANE_HOME: " " })).toBe(join(CHECKOUT, ".routeplane"));
  });
});

describe("saved files", () => {
  it("keep a secret to its owner, also when they replace one that everybody could read", async () => {
    await writeFile(join(home, "api-key"), "old");
    await chmod(join(home, "api-key"), 0o644);
    await writeSaved(home, "api-key", "new");
    expect((await stat(join(home, "api-key"))).mode & 0o777).toBe(0o600);
    expect(await readSaved(home, "api-key")).toBe("new");
  });

  it("read as nothing when they are missing, empty or removed", async () => {
    expect(await readSaved(home, "url")).toBeUndefined();
    await writeSaved(home, "url", "");
    expect(await readSaved(home, "url")).toBeUndefined();
    await removeSaved(home, "url");
    await removeSaved(home, "url");
  });
});

describe("secrets", () => {
  it("stay as they are, and what is missing is added", async () => {
    const path = join(home, "secrets.json");
    // As a node had them before each caller had a credential of its own.
    const { natsPasswords: _, serviceTokens: __, ...rest } = await loadSecrets(path);
    await writeFile(path, JSON.stringify(rest));
    const completed = await loadSecrets(path);
    expect(completed).toMatchObject(rest);
    const tokens = [completed.serviceToken, ...Object.values(completed.serviceTokens)];
    expect(tokens).toEqual(tokens.map(() => expect.stringMatching(/^rps_\w{43}$/)));
    const passwords = [completed.natsPassword, ...Object.values(completed.natsPasswords)];
    expect(passwords).toEqual(passwords.map(() => expect.stringMatching(/^[0-9a-f]{48}$/)));
    expect(new Set([...tokens, ...passwords]).size).toBe(8);
    expect(await loadSecrets(path)).toEqual(completed);
  });

  it("that are damaged are neither replaced nor quoted", async () => {
    const path = join(home, "secrets.json");
    await writeFile(path, '{"natsPassword": "hunter2"');
    const failure = await loadSecrets(path).catch((error: unknown) => String(error));
    expect(failure).toContain(`${path} is damaged`);
    expect(failure).not.toContain("hunter2");
    expect(await readFile(path, "utf8")).toContain("hunter2");
  });
});

describe("the lock", () => {
  /** Another process that takes the lock and, told so by its name, prints that and stays. */
  async function holder(): Promise<{ readonly pid: number; readonly isHolder: boolean; kill(): Promise<void> }> {
    const script = `
      import { lockHome } from ${JSON.stringify(join(import.meta.dirname, "lock.ts"))};
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

  it("belongs to one supervisor until it lets go, and names it", async () => {
    const lock = await lockHome(home);
    await expect(lockHome(home)).rejects.toThrow(`already running on ${home} (process ${process.pid})`);
    lock.release();
    (await lockHome(home)).release();
  });

  it("belongs to one of five that want it at once, and to the next one after that is killed", async () => {
    const first = await Promise.all(Array.from({ length: 5 }, holder));
    expect(first.filter(({ isHolder }) => isHolder)).toHaveLength(1);
    await expect(lockHome(home)).rejects.toThrow(`(process ${first.find(({ isHolder }) => isHolder)?.pid})`);
    await Promise.all(first.map((each) => each.kill()));
    expect(await holder()).toMatchObject({ isHolder: true });
  });

  it("cannot be taken by another user of the machine, who may name any abstract socket", async () => {
    const digest = createHash("sha256").update(home).digest("hex").slice(0, 32);
    const squatter = createServer().listen(`\0routeplane-home-${digest}`);
    onTestFinished(() => void squatter.close());
    await once(squatter, "listening");
    (await lockHome(home)).release();
    expect((await stat(join(home, "lock"))).mode & 0o777).toBe(0o600);
  });
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

  it("of this home are found and ended, those of another are left alone", async () => {
    const ours = await startMarked("usage", home);
    const theirs = await startMarked("usage", `${home}-2`);
    const orphans = await findOrphanedProcesses(home);
    expect(orphans).toContainEqual({ role: "usage", pid: ours.pid });
    expect(orphans.map(({ pid }) => pid)).not.toContain(theirs.pid);
    await endOrphanedProcesses(home, orphans);
    await ours.ended;
    expect(() => process.kill(theirs.pid, 0)).not.toThrow();
  });
});
