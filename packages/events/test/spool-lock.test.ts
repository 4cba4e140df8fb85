import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "@routeplane/runtime";
import { eventually } from "@routeplane/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Spool } from "../src/spool/spool.ts";

let root: string;
let folders: number;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "routeplane-spool-"));
  folders = 0;
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

const newFolder = (): string => join(root, `${++folders}`);
const openSpool = (folder: string): Spool =>
  Spool.open({ folder, maxBytes: 1024 ** 2, log: createLogger("test", (line) => line, "silent") });

/** Copies the folder as a SIGKILL at this moment would leave it. */
function killed(folder: string): string {
  const copy = newFolder();
  cpSync(folder, copy, { recursive: true });
  rmSync(join(copy, "lock"));
  return copy;
}

describe("the folder", () => {
  test("of a running process is refused", async () => {
    const folder = newFolder();
    const spool = openSpool(folder);
    expect(() => openSpool(folder)).toThrow(`in use by process ${process.pid}`);
    await spool.close();
    const next = openSpool(folder);
    await next.close();
  });

  test("of a dead process is taken over, even if another process has its pid", async () => {
    const folder = newFolder();
    const spool = openSpool(folder);
    spool.append({ event: Buffer.from("left") });
    for (const pid of [process.pid, process.ppid, 4_000_000]) {
      const copy = killed(folder);
      writeFileSync(join(copy, "lock"), `${pid} 1 00000000-0000-0000-0000-000000000000\n`);
      const next = openSpool(copy);
      const batch = await next.nextBatch(100, 1e6);
      expect(batch?.events.map(({ payload }) => Buffer.from(payload).toString())).toEqual(["left"]);
      expect(await next.nextBatch(100, 1e6)).toBeUndefined();
      await next.close();
    }
    await spool.close();
  });

  test("of a killed process that its parent has not waited for is taken over", async () => {
    const folder = newFolder();
    mkdirSync(folder);
    const parent = spawn("sh", ["-c", "sleep 600 & echo $!; exec sleep 600"], { stdio: ["ignore", "pipe", "ignore"] });
    const pid = Number.parseInt(String((await once(parent.stdout, "data"))[0]), 10);
    const stat = (): string[] => readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8");
    writeFileSync(join(folder, "lock"), `${pid} ${stat()[19]} ${boot}`);
    try {
      expect(() => openSpool(folder)).toThrow(`in use by process ${pid}`);
      // A shell waits for its children; the sleep that replaces it does not.
      await eventually(() => readFileSync(`/proc/${parent.pid}/comm`, "utf8") === "sleep\n");
      process.kill(pid, "SIGKILL");
      await eventually(() => stat()[0] === "Z");
      await openSpool(folder).close();
    } finally {
      parent.kill("SIGKILL");
    }
  });
});
