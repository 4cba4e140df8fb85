import { readdirSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { eventually } from "@routeplane/testing";
import { describe, expect, test } from "vitest";
import { bytesOf, pendingIn, segmentsIn, SpoolsUnderTest, takeAll } from "../../test/spool-under-test.ts";
import { SpoolFull } from "./spool-full.ts";

/** Bounds of a spool on the disk and in memory. */

const { open: openSpool, newFolder, killed } = new SpoolsUnderTest();

/** Returns the bytes of array buffers that are still referenced. */
function retainedBytes(): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  return process.memoryUsage().arrayBuffers;
}

describe("a spool", () => {
  test("a full spool refuses new requests and still records running ones", async () => {
    const spool = openSpool(newFolder(), { maxBytes: 64 * 1024, segmentBytes: 8 * 1024 });
    const fill = (isNewRequest: boolean): number => {
      for (let count = 0; ; count++) {
        try {
          spool.append({ event: Buffer.alloc(200), isNewRequest });
        } catch (error) {
          expect(error).toBeInstanceOf(SpoolFull);
          return count;
        }
      }
    };
    expect(fill(true)).toBeGreaterThan(200);
    expect(spool.hasSpace).toBe(false);
    expect(fill(false)).toBeGreaterThan(10);
    expect(spool.bytes).toBeLessThanOrEqual(64 * 1024);
    for (const batch of await takeAll(spool)) spool.acknowledge(batch);
    expect(spool.hasSpace).toBe(true);
    expect(fill(true)).toBeGreaterThan(200);
    await spool.close();
  });

  test("finished segments are removed from the disk, the rest of the folder at the end of the process", async () => {
    const folder = newFolder();
    const spool = openSpool(folder, { segmentBytes: 1_000 });
    const { pendingSettlementOffset } = spool.append({ pendingSettlement: bytesOf("pending") });
    for (let index = 0; index < 40; index++) spool.append({ event: Buffer.alloc(50) });
    for (const batch of await takeAll(spool)) spool.acknowledge(batch);
    // The oldest is kept for its pending settlement, and those after it for the marks in them.
    expect(segmentsIn(folder).length).toBeGreaterThan(2);
    spool.complete(pendingSettlementOffset);
    expect(segmentsIn(folder).length).toBeLessThanOrEqual(1);
    await spool.close();
    expect(readdirSync(folder)).toEqual([]);
  });

  test("pending settlements keep nothing else on the disk, even while the spool is full", async () => {
    const folder = newFolder();
    const options = { maxBytes: 64 * 1024, segmentBytes: 1_000 };
    const spool = openSpool(folder, options);
    const pending = ["session", "stream"].map((name) => {
      const { pendingSettlementOffset } = spool.append({ pendingSettlement: bytesOf(name) });
      for (let index = 0; index < 40; index++) spool.append({ event: Buffer.alloc(50) });
      return pendingSettlementOffset;
    });
    for (let round = 0; round < 5; round++) {
      const fill = (): void => {
        for (;;) spool.append({ event: Buffer.alloc(200) });
      };
      expect(fill).toThrow(SpoolFull);
      for (const batch of await takeAll(spool)) spool.acknowledge(batch);
      await spool.sync();
      expect(spool.hasSpace).toBe(true);
      expect(spool.bytes).toBeLessThan(10_000);
    }
    const copy = killed(folder);
    const next = openSpool(copy, options);
    expect(pendingIn(next)).toEqual(["session", "stream"]);
    for (const offset of pending) next.complete(offset);
    for (const batch of await takeAll(next)) next.acknowledge(batch);
    await next.close();
    expect(readdirSync(copy)).toEqual([]);
    await spool.close();
  });

  test("settlements that stay pending under traffic take a small multiple of their own size, whatever ends first", async () => {
    const segmentBytes = 2_000;
    const spool = openSpool(newFolder(), { segmentBytes });
    const payload = Buffer.alloc(200);
    const streams: number[] = [];
    for (let round = 0; round < 1_000; round++) {
      streams.push(spool.append({ event: payload, pendingSettlement: payload }).pendingSettlementOffset);
      for (const batch of await takeAll(spool)) spool.acknowledge(batch);
      // Mostly completes the newest one, so that some stay pending all the time.
      if (streams.length > 40) spool.complete(streams.splice(-1 - (round % 7 === 0 ? round % 40 : 0), 1)[0] ?? 0);
      if (round % 4 === 0) await spool.sync();
      expect(spool.bytes).toBeLessThan(6 * segmentBytes + 6 * streams.length * payload.length);
    }
    await spool.close();
  });

  test("unsent events are on the disk and not in memory", async () => {
    const spool = openSpool(newFolder(), { maxBytes: 64 * 1024 ** 2 });
    const count = 32 * 1024;
    const before = retainedBytes();
    for (let index = 0; index < count; index++) spool.append({ event: new Uint8Array(1_000) });
    expect(spool.bytes).toBeGreaterThan(32e6);
    // Collected memory is released a little later.
    await eventually(() => retainedBytes() - before < 5e6);
    expect((await takeAll(spool)).reduce((sum, { events }) => sum + events.length, 0)).toBe(count);
    await spool.close();
  });
});
