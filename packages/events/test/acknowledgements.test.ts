import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "@routeplane/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { toUsageRecord } from "../src/index.ts";
import { type Kit, startKit, usageEvent } from "./kit.ts";

let kit: Kit;

beforeEach(async () => {
  kit = await startKit();
});

afterEach(() => kit.remove());

describe("the acknowledgement of an event", () => {
  test("is told once NATS has the event, and not when it is only synced to the disk", async () => {
    const publisher = kit.publisher();
    await eventually(publisher.isReachable);
    const told: string[] = [];
    const record = (name: string) =>
      publisher.record({ ...toUsageRecord(usageEvent(name)), onAcknowledged: () => void told.push(name) });
    await record("first").committed();
    expect(told).toEqual(["first"]);
    kit.nats.pause();
    await record("second").committed();
    expect(told).toEqual(["first"]);
    kit.nats.resume();
    await eventually(() => told.length === 2);
  });

  test("of all events of an earlier process is told, and not before", async () => {
    await kit.nats.kill();
    const folder = kit.spool();
    const publisher = kit.publisher({ folder });
    await publisher.record(toUsageRecord(usageEvent("left"))).committed();
    // Its stop waits 5 s for NATS.
    await publisher.stop();
    const next = kit.publisher({ folder });
    let isTold = false;
    void next.previousRunAcknowledged.then(() => (isTold = true));
    await delay(300);
    expect(isTold).toBe(false);
    await kit.nats.start();
    const { seen } = kit.collector();
    await eventually(() => isTold);
    await eventually(() => seen.includes("left"));
  });

  test("has nothing to wait for on a new spool", async () => {
    const publisher = kit.publisher();
    await publisher.previousRunAcknowledged;
    expect(publisher.isDamaged).toBe(false);
  });
});
