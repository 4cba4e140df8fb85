import {
  cpSync,
  fdatasyncSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { basename, join } from "node:path";
import { eventually } from "@routeplane/testing";
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { bytesOf, pendingIn, segmentsIn, SpoolsUnderTest, takeAll, textOf } from "../../test/spool-under-test.ts";
import type { EventBatch } from "./event-batch.ts";
import type { SpoolOptions } from "./spool.ts";

const spools = new SpoolsUnderTest();
const { open: openSpool, newFolder, killed } = spools;

const eventsOf = (batches: readonly EventBatch[]): readonly string[] =>
  batches.flatMap(({ events }) => events.map(({ payload }) => textOf(payload)));

describe("a kill", () => {
  test("leaves every recorded event and pending settlement, in order, and no finished one", async () => {
    const folder = newFolder();
    const spool = openSpool(folder);
    for (const name of ["a", "b", "c", "d"]) spool.append({ event: bytesOf(name) });
    const settlement = spool.append({ pendingSettlement: bytesOf("settle a") });
    spool.append({ pendingSettlement: bytesOf("settle b"), completes: settlement.pendingSettlementOffset });
    const first = await spool.nextBatch(2, 1e6);
    spool.acknowledge(first!);
    spool.append({ event: bytesOf("e") });
    const next = openSpool(killed(folder));
    expect(eventsOf(await takeAll(next))).toEqual(["c", "d", "e"]);
    expect(next.previousRun.pendingSettlements.map(({ payload }) => textOf(payload))).toEqual(["settle b"]);
    await Promise.all([spool.close(), next.close()]);
  });

  test("keeps sent batches as they were, under their ids", async () => {
    const folder = newFolder();
    const spool = openSpool(folder);
    for (let index = 0; index < 5; index++) spool.append({ event: bytesOf(`${index}`) });
    const sent = [await spool.nextBatch(2, 1e6), await spool.nextBatch(3, 1e6)];
    for (let index = 5; index < 7; index++) spool.append({ event: bytesOf(`${index}`) });
    const next = openSpool(killed(folder));
    const again = await takeAll(next);
    expect(again.map(({ id }) => id).slice(0, 2)).toEqual(sent.map((batch) => batch?.id));
    expect(again.map(({ events }) => events.length)).toEqual([2, 3, 2]);
    await Promise.all([spool.close(), next.close()]);
  });

  test("never reuses the id of a batch for other events", async () => {
    const folder = newFolder();
    const ids = new Set<string>();
    for (let start = 0; start < 3; start++) {
      const spool = openSpool(folder);
      spool.append({ event: bytesOf(`${start}`) });
      for (const batch of await takeAll(spool)) {
        ids.add(batch.id);
        spool.acknowledge(batch);
      }
      await spool.close();
    }
    expect(ids.size).toBe(3);
  });

  test("in the middle of a write is truncated and logged; records before and after it are kept", async () => {
    const folder = newFolder();
    const spool = openSpool(folder);
    spool.append({ event: bytesOf("whole") });
    spool.append({ event: bytesOf("torn") });
    const copy = killed(folder);
    const segment = join(copy, segmentsIn(copy)[0]!);
    truncateSync(segment, statSync(segment).size - 1);
    const next = openSpool(copy);
    next.append({ event: bytesOf("later") });
    const last = openSpool(killed(copy));
    expect(eventsOf(await takeAll(last))).toEqual(["whole", "later"]);
    expect(spools.lines.some((line) => line.includes("unfinished record"))).toBe(true);
    await Promise.all([spool.close(), next.close(), last.close()]);
  });

  test("is survived with damaged files: a file that is no segment is set aside", async () => {
    const folder = newFolder();
    const spool = openSpool(folder);
    spool.append({ event: bytesOf("kept") });
    const copy = killed(folder);
    writeFileSync(join(copy, "0000000000000007.journal"), "x".repeat(500));
    writeFileSync(join(copy, "0000000000000009.journal"), "");
    const next = openSpool(copy);
    expect(eventsOf(await takeAll(next))).toEqual(["kept"]);
    expect(readdirSync(copy)).toContain("0000000000000007.journal.damaged");
    await Promise.all([spool.close(), next.close()]);
  });
});

type Step = "event" | "enqueue" | "send" | "acknowledge" | "complete" | "kill";

/** Notes the id of the batch that each event was sent in, and fails if it was sent in another one before. */
function requireSameIds(ids: Map<string, string>, batch: EventBatch | undefined): void {
  for (const { payload } of batch?.events ?? []) {
    const event = textOf(payload);
    expect(ids.get(event) ?? batch?.id).toBe(batch?.id);
    ids.set(event, batch?.id ?? "");
  }
}

test("in any order of records, batches, acknowledgements, completions and kills, nothing is lost or invented, and a batch keeps its id", async () => {
  const steps = fc.array(
    fc.constantFrom<Step>("event", "event", "event", "enqueue", "send", "send", "acknowledge", "complete", "kill"),
    { minLength: 1, maxLength: 60 },
  );
  await fc.assert(
    fc.asyncProperty(steps, async (sequence) => {
      let folder = newFolder();
      const options = { segmentBytes: 200 };
      let spool = openSpool(folder, options);
      const opened = [spool];
      const [events, acknowledged] = [new Set<string>(), new Set<string>()];
      const batchIds = new Map<string, string>();
      const [pending, completed] = [new Map<number, string>(), new Set<string>()];
      let inFlight: EventBatch[] = [];
      for (const [index, step] of sequence.entries()) {
        if (step === "event") {
          events.add(`${index}`);
          spool.append({ event: bytesOf(`${index}`) });
        } else if (step === "enqueue") {
          const entry = { pendingSettlement: bytesOf(`${index}`) };
          pending.set(spool.append(entry).pendingSettlementOffset, `${index}`);
        } else if (step === "send") {
          const batch = await spool.nextBatch(3, 1e6);
          if (batch) inFlight.push(batch);
          requireSameIds(batchIds, batch);
        } else if (step === "acknowledge") {
          const batch = inFlight.splice(index % Math.max(inFlight.length, 1), 1)[0];
          if (batch) spool.acknowledge(batch);
          for (const { payload } of batch?.events ?? []) acknowledged.add(textOf(payload));
        } else if (step === "complete") {
          const [first] = pending;
          if (first === undefined) continue;
          spool.complete(first[0]);
          pending.delete(first[0]);
          completed.add(first[1]);
        } else {
          folder = killed(folder);
          spool = openSpool(folder, options);
          opened.push(spool);
          inFlight = [];
        }
      }
      const last = openSpool(killed(folder), options);
      const left = await takeAll(last, 3);
      for (const batch of left) requireSameIds(batchIds, batch);
      const unsent = eventsOf(left);
      expect(unsent).toEqual(unsent.toSorted((a, b) => Number(a) - Number(b)));
      expect(new Set(unsent).size).toBe(unsent.length);
      expect([...events].filter((event) => !acknowledged.has(event) && !unsent.includes(event))).toEqual([]);
      expect(unsent.filter((event) => !events.has(event))).toEqual([]);
      const recovered = new Set(last.previousRun.pendingSettlements.map(({ payload }) => textOf(payload)));
      expect([...pending.values()].filter((each) => !recovered.has(each))).toEqual([]);
      expect([...recovered].filter((each) => ![...pending.values()].includes(each) && !completed.has(each))).toEqual(
        [],
      );
      for (const each of [...opened, last]) await each.close();
    }),
    { numRuns: 150 },
  );
});

/** Runs `work` and calls `onSync` with the path before each sync of a file or folder. If `onSync` throws, the sync fails. */
async function whileSyncing(onSync: (path: string) => void, work: () => Promise<void>): Promise<void> {
  const handle = await open(spools.root, "r");
  const prototype = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  const spy = vi.spyOn(prototype, "datasync").mockImplementation(async function (this: FileHandle) {
    onSync(readlinkSync(`/proc/self/fd/${this.fd}`));
    fdatasyncSync(this.fd);
  });
  try {
    await work();
  } finally {
    spy.mockRestore();
  }
}

/** Spool of small segments. The oldest one has pending settlements, which are synced, and events after them. */
async function spoolWithPending(folder: string, options: Partial<SpoolOptions>) {
  const spool = openSpool(folder, options);
  const pending = ["session", "stream a", "stream b"];
  for (const name of pending) spool.append({ pendingSettlement: bytesOf(name), event: bytesOf(`event of ${name}`) });
  await spool.sync();
  for (let n = 0; n < 40; n++) spool.append({ event: Buffer.alloc(50) });
  return { spool, pending };
}

test("a loss of power at any moment while pending settlements are moved loses none of them", async () => {
  const folder = newFolder();
  /** Content that each file certainly has: that at the beginning of its last sync. */
  const durable = new Map<string, Buffer>();
  let moves = 0;
  const noteSync = (path: string): void => {
    if (path.endsWith(".journal")) durable.set(basename(path), readFileSync(path));
  };
  await whileSyncing(noteSync, async () => {
    const { spool, pending } = await spoolWithPending(folder, { segmentBytes: 300 });
    const requireAll = async (): Promise<void> => {
      const copy = newFolder();
      mkdirSync(copy);
      // Removals reach the disk at once, at worst.
      for (const name of segmentsIn(folder)) writeFileSync(join(copy, name), durable.get(name) ?? "");
      const next = openSpool(copy);
      expect(pendingIn(next)).toEqual(pending);
      await next.close();
    };
    for (const batch of await takeAll(spool, 2)) {
      const [oldest] = segmentsIn(folder);
      spool.acknowledge(batch);
      await requireAll();
      await spool.sync();
      await requireAll();
      if (segmentsIn(folder)[0] !== oldest) moves++;
    }
    await spool.close();
  });
  expect(moves).toBeGreaterThan(1);
});

test("settlements moved to a segment that cannot be synced stay in the old one, and are moved again", async () => {
  const folder = newFolder();
  let isFailing = true;
  const fail = (): void => {
    if (isFailing && segmentsIn(folder).length > 5) throw new Error("EIO: i/o error, fdatasync");
  };
  await whileSyncing(fail, async () => {
    const { spool, pending } = await spoolWithPending(folder, { segmentBytes: 300 });
    const [oldest] = segmentsIn(folder);
    const batches = await takeAll(spool, 2);
    for (const batch of batches.slice(0, -2)) spool.acknowledge(batch);
    for (const batch of batches.slice(-2)) {
      await expect(spool.sync()).rejects.toThrow("EIO");
      expect(segmentsIn(folder)[0]).toBe(oldest);
      spool.acknowledge(batch);
    }
    await eventually(() => spools.lines.some((line) => line.includes("their old segment is kept")));
    isFailing = false;
    spool.append({ event: bytesOf("later") });
    for (const batch of await takeAll(spool)) spool.acknowledge(batch);
    await spool.sync();
    expect(segmentsIn(folder)[0]).not.toBe(oldest);
    const next = openSpool(killed(folder));
    expect(pendingIn(next)).toEqual(pending);
    await Promise.all([spool.close(), next.close()]);
  });
});

test("a sync that waits for a running one fails with it, because the running one has its entries", async () => {
  const folder = newFolder();
  const fail = (path: string): void => {
    if (path.endsWith(".journal")) throw new Error("EIO: i/o error, fdatasync");
  };
  const spool = openSpool(folder);
  spool.append({ event: bytesOf("a") });
  await whileSyncing(fail, async () => {
    const results = await Promise.allSettled([spool.sync(), spool.sync()]);
    expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  });
  await spool.sync();
  await spool.close();
});

test("a kill at any byte while pending settlements are moved loses none, and restores no completed one", async () => {
  const folder = newFolder();
  const options = { segmentBytes: 300 };
  const spool = openSpool(folder, options);
  const pending = ["session", "stream a", "stream b"];
  for (const name of pending) spool.append({ pendingSettlement: bytesOf(name), event: bytesOf(`event of ${name}`) });
  for (let n = 0; n < 40; n++) spool.append({ event: Buffer.alloc(50) });
  let moves = 0;
  for (const batch of await takeAll(spool, 2)) {
    const before = killed(folder);
    spool.acknowledge(batch);
    await spool.sync();
    const [newest = ""] = segmentsIn(folder).slice(-1);
    if (segmentsIn(folder)[0] === segmentsIn(before)[0]) continue;
    moves++;
    const sizeBefore = segmentsIn(before).includes(newest) ? statSync(join(before, newest)).size : 0;
    for (let size = sizeBefore; size <= statSync(join(folder, newest)).size; size += 29) {
      const copy = newFolder();
      cpSync(before, copy, { recursive: true });
      cpSync(join(folder, newest), join(copy, newest));
      truncateSync(join(copy, newest), size);
      const next = openSpool(copy, options);
      const { pendingSettlements } = next.previousRun;
      expect(pendingSettlements.map(({ payload }) => textOf(payload))).toEqual(pending);
      next.complete(pendingSettlements[0]?.offset ?? 0);
      // Marks are written with the next entry.
      next.append({ event: bytesOf("later") });
      const last = openSpool(killed(copy), options);
      expect(last.previousRun.pendingSettlements.map(({ payload }) => textOf(payload))).toEqual(pending.slice(1));
      await Promise.all([next.close(), last.close()]);
    }
  }
  expect(moves).toBeGreaterThan(0);
  await spool.close();
});
