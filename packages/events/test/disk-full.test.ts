import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "@routeplane/runtime";
import { eventually } from "@routeplane/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { toUsageRecord } from "../src/index.ts";
import { Spool } from "../src/spool/spool.ts";
import { type Kit, startKit, usageEvent } from "./kit.ts";

/** Mount point of a real file system of 12 MiB. Only root can mount one. */
let disk: string;
let mounted = false;
let kit: Kit;

beforeEach(async () => {
  kit = await startKit();
  disk = mkdtempSync(join(tmpdir(), "routeplane-disk-"));
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

test("a full disk (ENOSPC) refuses new requests, records running ones, and loses nothing", async ({ skip }) => {
  if (!mounted) skip("file systems cannot be mounted here");
  const folder = join(disk, "spool");
  mkdirSync(folder);
  const { enqueue, record, acceptsNew, isReachable } = kit.publisher({ folder, maxBytes: 1024 ** 3 });
  const { seen } = kit.collector();
  await eventually(isReachable);
  await kit.nats.kill();
  // Another program fills the disk.
  const { bavail, bsize } = statfsSync(disk);
  writeFileSync(join(disk, "others"), Buffer.alloc(bavail * bsize - 64 * 1024));
  const recorded: string[] = [];
  const recordOne = (): void => {
    const id = `event-${recorded.length}`;
    record(toUsageRecord(usageEvent(id)));
    recorded.push(id);
  };
  const fill = (): void => {
    for (;;) {
      enqueue(Buffer.from("a settlement"));
      recordOne();
    }
  };
  expect(fill).toThrow(/spool/);
  expect(acceptsNew()).toBe(false);
  // The reserved disk space was released for running requests.
  for (let count = 0; count < 1_000; count++) recordOne();
  expect(acceptsNew()).toBe(false);
  rmSync(join(disk, "others"));
  await eventually(acceptsNew);
  recordOne();
  await kit.nats.start();
  await eventually(() => new Set(seen).size === recorded.length);
  expect([...new Set(seen)].toSorted()).toEqual(recorded.toSorted());
});

test("a full disk (ENOSPC) does not keep what is pending from being moved: the spool gives space back", async ({
  skip,
}) => {
  if (!mounted) skip("file systems cannot be mounted here");
  const folder = join(disk, "spool");
  const lines: string[] = [];
  const log = createLogger("test", (line) => (lines.push(line), ""));
  const spool = Spool.open({ folder, maxBytes: 64 * 1024 ** 2, segmentBytes: 64 * 1024, log });
  // Larger than a page of the disk: there is no space for it.
  spool.append({ pendingSettlement: Buffer.alloc(10_000) });
  for (let n = 0; n < 100; n++) spool.append({ event: Buffer.alloc(10_000) });
  const batches = [];
  for (let next = await spool.nextBatch(10, 1e6); next; next = await spool.nextBatch(10, 1e6)) batches.push(next);
  await spool.sync();
  // Another program fills the disk.
  const { bavail, bsize } = statfsSync(disk);
  writeFileSync(join(disk, "others"), Buffer.alloc(bavail * bsize));
  for (const batch of batches) spool.acknowledge(batch);
  await spool.sync();
  expect(lines.filter((line) => line.includes("moving pending settlements"))).toEqual([]);
  expect(spool.bytes).toBeLessThan(3 * 64 * 1024);
  await spool.close();
});
