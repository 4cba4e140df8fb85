import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@routeplane/testing";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Kit, startKit, usageEvent } from "./kit.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

/** A real file system of 12 MiB, which only root may mount. */
const disk = mkdtempSync(join(tmpdir(), "routeplane-disk-"));
let mounted = false;
let kit: Kit;

beforeEach(async () => {
  kit = await startKit();
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=12m", "tmpfs", disk], { stdio: "ignore" });
    mounted = true;
  } catch {
    mounted = false;
  }
});

afterEach(async () => {
  await kit.remove();
  if (mounted) execFileSync("umount", [disk]);
  rmSync(disk, { recursive: true, force: true });
});

test("a full disk (ENOSPC) refuses what is new, takes what is under way, and loses nothing", async ({ skip }) => {
  if (!mounted) skip("file systems cannot be mounted here");
  const folder = join(disk, "spool");
  mkdirSync(folder);
  const { enqueue: owe, record, acceptsNew: takesNew, isReachable } = kit.publisher({ folder, maxBytes: 1024 ** 3 });
  const { seen } = kit.collector();
  await eventually(isReachable);
  await kit.nats.kill();
  // Somebody else fills the disk.
  const { bavail, bsize } = statfsSync(disk);
  writeFileSync(join(disk, "others"), Buffer.alloc(bavail * bsize - 64 * 1024));
  const recorded: string[] = [];
  const recordOne = (): void => {
    const id = `event-${recorded.length}`;
    record({ event: usageEvent(id) });
    recorded.push(id);
  };
  const fill = (): void => {
    for (;;) {
      owe(Buffer.from("a debt"));
      recordOne();
    }
  };
  expect(fill).toThrow(/spool/);
  expect(takesNew()).toBe(false);
  // The ballast made room for requests that are under way.
  for (let count = 0; count < 1_000; count++) recordOne();
  expect(takesNew()).toBe(false);
  rmSync(join(disk, "others"));
  await eventually(takesNew);
  recordOne();
  await kit.nats.start();
  await eventually(() => new Set(seen).size === recorded.length, 20_000);
  expect([...new Set(seen)].toSorted()).toEqual(recorded.toSorted());
});
