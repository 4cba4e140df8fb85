import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createLogger } from "@routeplane/runtime";
import { eventually } from "@routeplane/testing";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { JournalFull } from "./full.ts";
import { Journal, type JournalOptions } from "./journal.ts";
import type { Parcel } from "./sending.ts";

const MAX_BYTES = 1024 ** 2;

let root: string;
let folders: number;
let lines: string[];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "routeplane-journal-"));
  folders = 0;
  lines = [];
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

function openJournal(folder: string, options: Partial<JournalOptions> = {}): Journal {
  const log = createLogger("test", (line) => (lines.push(line), ""));
  return Journal.open({ folder, maxBytes: MAX_BYTES, log, ...options });
}

const newFolder = (): string => join(root, `${++folders}`);

/** The folder as a SIGKILL at this moment would leave it. */
function killed(folder: string): string {
  const copy = newFolder();
  cpSync(folder, copy, { recursive: true });
  rmSync(join(copy, "lock"));
  return copy;
}

const segmentsIn = (folder: string): readonly string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".journal"))
    .toSorted();

const bytesOf = (text: string): Uint8Array => Buffer.from(text);
const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

async function takeAll(journal: Journal, maxEvents = 100): Promise<readonly Parcel[]> {
  const parcels: Parcel[] = [];
  for (let next = await journal.take(maxEvents, 1e6); next; next = await journal.take(maxEvents, 1e6))
    parcels.push(next);
  return parcels;
}

const eventsOf = (parcels: readonly Parcel[]): readonly string[] =>
  parcels.flatMap(({ payloads }) => payloads.map(textOf));

describe("a kill", () => {
  test("leaves every event and debt that was recorded, in order, and none that was done", async () => {
    const folder = newFolder();
    const journal = openJournal(folder);
    for (const name of ["a", "b", "c", "d"]) journal.append({ event: bytesOf(name) });
    const owed = journal.append({ debt: bytesOf("settle a") });
    journal.append({ debt: bytesOf("settle b"), pays: owed.debt });
    const first = await journal.take(2, 1e6);
    journal.acknowledge(first!);
    journal.append({ event: bytesOf("e") });
    const next = openJournal(killed(folder));
    expect(eventsOf(await takeAll(next))).toEqual(["c", "d", "e"]);
    expect(next.debts.map(({ payload }) => textOf(payload))).toEqual(["settle b"]);
    await Promise.all([journal.close(), next.close()]);
  });

  test("leaves messages that were sent as they were, under their ids", async () => {
    const folder = newFolder();
    const journal = openJournal(folder);
    for (let index = 0; index < 7; index++) journal.append({ event: bytesOf(`${index}`) });
    const sent = [await journal.take(2, 1e6), await journal.take(3, 1e6)];
    const next = openJournal(killed(folder));
    const again = await takeAll(next);
    expect(again.map(({ id }) => id).slice(0, 2)).toEqual(sent.map((parcel) => parcel?.id));
    expect(again.map(({ payloads }) => payloads.length)).toEqual([2, 3, 2]);
    await Promise.all([journal.close(), next.close()]);
  });

  test("gives no later process an id that was used for other events", async () => {
    const folder = newFolder();
    const ids = new Set<string>();
    for (let start = 0; start < 3; start++) {
      const journal = openJournal(folder);
      journal.append({ event: bytesOf(`${start}`) });
      for (const parcel of await takeAll(journal)) {
        ids.add(parcel.id);
        journal.acknowledge(parcel);
      }
      await journal.close();
    }
    expect(ids.size).toBe(3);
  });

  test("in the middle of a write is cut off and said, and what was recorded before and after is there", async () => {
    const folder = newFolder();
    const journal = openJournal(folder);
    journal.append({ event: bytesOf("whole") });
    journal.append({ event: bytesOf("torn") });
    const copy = killed(folder);
    const segment = join(copy, segmentsIn(copy)[0]!);
    truncateSync(segment, statSync(segment).size - 1);
    const next = openJournal(copy);
    next.append({ event: bytesOf("later") });
    const last = openJournal(killed(copy));
    expect(eventsOf(await takeAll(last))).toEqual(["whole", "later"]);
    expect(lines.some((line) => line.includes("cut off"))).toBe(true);
    await Promise.all([journal.close(), next.close(), last.close()]);
  });

  test("and damage of any file are survived: what is no segment is set aside", async () => {
    const folder = newFolder();
    const journal = openJournal(folder);
    journal.append({ event: bytesOf("kept") });
    const copy = killed(folder);
    writeFileSync(join(copy, "0000000000000007.journal"), "x".repeat(500));
    writeFileSync(join(copy, "0000000000000009.journal"), "");
    const next = openJournal(copy);
    expect(eventsOf(await takeAll(next))).toEqual(["kept"]);
    expect(readdirSync(copy)).toContain("0000000000000007.journal.damaged");
    await Promise.all([journal.close(), next.close()]);
  });
});

/** Bytes of array buffers that something still refers to. */
function retainedBytes(): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  return process.memoryUsage().arrayBuffers;
}

type Step = "event" | "debt" | "take" | "ack" | "pay" | "kill";

test("whatever is recorded, sent, acknowledged, paid and killed in whatever order: nothing is lost, nothing made up", async () => {
  const steps = fc.array(
    fc.constantFrom<Step>("event", "event", "event", "debt", "take", "take", "ack", "pay", "kill"),
    { minLength: 1, maxLength: 60 },
  );
  await fc.assert(
    fc.asyncProperty(steps, async (sequence) => {
      let folder = newFolder();
      const options = { segmentBytes: 200 };
      let journal = openJournal(folder, options);
      const opened = [journal];
      const [events, acked] = [new Set<string>(), new Set<string>()];
      const [debts, paid] = [new Map<number, string>(), new Set<string>()];
      let flying: Parcel[] = [];
      for (const [index, step] of sequence.entries()) {
        if (step === "event") {
          events.add(`${index}`);
          journal.append({ event: bytesOf(`${index}`) });
        } else if (step === "debt") {
          debts.set(journal.append({ debt: bytesOf(`${index}`) }).debt, `${index}`);
        } else if (step === "take") {
          const parcel = await journal.take(3, 1e6);
          if (parcel) flying.push(parcel);
        } else if (step === "ack") {
          const parcel = flying.splice(index % Math.max(flying.length, 1), 1)[0];
          if (parcel) journal.acknowledge(parcel);
          for (const each of parcel?.payloads ?? []) acked.add(textOf(each));
        } else if (step === "pay") {
          const [open] = debts;
          if (open === undefined) continue;
          journal.pay(open[0]);
          debts.delete(open[0]);
          paid.add(open[1]);
        } else {
          folder = killed(folder);
          journal = openJournal(folder, options);
          opened.push(journal);
          flying = [];
        }
      }
      const last = openJournal(killed(folder), options);
      const left = eventsOf(await takeAll(last));
      expect(left).toEqual(left.toSorted((a, b) => Number(a) - Number(b)));
      expect(new Set(left).size).toBe(left.length);
      expect([...events].filter((each) => !acked.has(each) && !left.includes(each))).toEqual([]);
      expect(left.filter((each) => !events.has(each))).toEqual([]);
      const owed = new Set(last.debts.map(({ payload }) => textOf(payload)));
      expect([...debts.values()].filter((each) => !owed.has(each))).toEqual([]);
      expect([...owed].filter((each) => ![...debts.values()].includes(each) && !paid.has(each))).toEqual([]);
      for (const each of [...opened, last]) await each.close();
    }),
    { numRuns: 150 },
  );
});

describe("bounds", () => {
  test("a full spool refuses what is new and still takes what running requests have to record", async () => {
    const journal = openJournal(newFolder(), { maxBytes: 64 * 1024, segmentBytes: 8 * 1024 });
    const fill = (isNew: boolean): number => {
      for (let count = 0; ; count++) {
        try {
          journal.append({ event: Buffer.alloc(200), isNew });
        } catch (error) {
          expect(error).toBeInstanceOf(JournalFull);
          return count;
        }
      }
    };
    expect(fill(true)).toBeGreaterThan(200);
    expect(journal.hasRoom).toBe(false);
    expect(fill(false)).toBeGreaterThan(10);
    expect(journal.bytes).toBeLessThanOrEqual(64 * 1024);
    for (const parcel of await takeAll(journal)) journal.acknowledge(parcel);
    expect(journal.hasRoom).toBe(true);
    expect(fill(true)).toBeGreaterThan(200);
    await journal.close();
  });

  test("what is done is removed from the disk, the rest of the folder with the end of the process", async () => {
    const folder = newFolder();
    const journal = openJournal(folder, { segmentBytes: 1_000 });
    const { debt } = journal.append({ debt: bytesOf("owed") });
    for (let index = 0; index < 100; index++) journal.append({ event: Buffer.alloc(50) });
    for (const parcel of await takeAll(journal)) journal.acknowledge(parcel);
    // The oldest is kept for its debt, and those after it for the marks in them.
    expect(segmentsIn(folder).length).toBeGreaterThan(2);
    journal.pay(debt);
    expect(segmentsIn(folder).length).toBeLessThanOrEqual(1);
    await journal.close();
    expect(readdirSync(folder)).toEqual([]);
  });

  test("what waits is on the disk and not in memory", async () => {
    const journal = openJournal(newFolder(), { maxBytes: 64 * 1024 ** 2 });
    const count = 32 * 1024;
    const before = retainedBytes();
    for (let index = 0; index < count; index++) journal.append({ event: new Uint8Array(1_000) });
    expect(journal.bytes).toBeGreaterThan(32e6);
    // What is collected is given back a little later.
    await eventually(() => retainedBytes() - before < 5e6);
    expect((await takeAll(journal)).reduce((sum, { payloads }) => sum + payloads.length, 0)).toBe(count);
    await journal.close();
  });
});

describe("the folder", () => {
  test("of a living process is not touched", async () => {
    const folder = newFolder();
    const journal = openJournal(folder);
    expect(() => openJournal(folder)).toThrow(`in use by process ${process.pid}`);
    await journal.close();
    const next = openJournal(folder);
    await next.close();
  });

  test("of a dead process is taken over, even if its pid lives again", async () => {
    const folder = newFolder();
    const journal = openJournal(folder);
    journal.append({ event: bytesOf("left") });
    for (const pid of [process.pid, process.ppid, 4_000_000]) {
      const copy = killed(folder);
      writeFileSync(join(copy, "lock"), `${pid} 1 00000000-0000-0000-0000-000000000000\n`);
      const next = openJournal(copy);
      expect(eventsOf(await takeAll(next))).toEqual(["left"]);
      await next.close();
    }
    await journal.close();
  });

  test("of a killed process that nobody has waited for is taken over", async () => {
    const folder = newFolder();
    mkdirSync(folder);
    const parent = spawn("sh", ["-c", "sleep 600 & echo $!; exec sleep 600"], { stdio: ["ignore", "pipe", "ignore"] });
    const pid = Number.parseInt(String((await once(parent.stdout, "data"))[0]), 10);
    const stat = (): string[] => readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8");
    writeFileSync(join(folder, "lock"), `${pid} ${stat()[19]} ${boot}`);
    try {
      expect(() => openJournal(folder)).toThrow(`in use by process ${pid}`);
      // A shell waits for its children; what it becomes does not.
      await eventually(() => readFileSync(`/proc/${parent.pid}/comm`, "utf8") === "sleep\n");
      process.kill(pid, "SIGKILL");
      await eventually(() => stat()[0] === "Z");
      await openJournal(folder).close();
    } finally {
      parent.kill("SIGKILL");
    }
  });
});
