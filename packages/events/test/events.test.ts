import { create, toBinary } from "@bufbuild/protobuf";
import { type UsageEvent, UsageEventBatchSchema, UsageEventSchema } from "@routeplane/contracts/events";
import { eventually } from "@routeplane/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Kit, names, startKit, STREAM, subjectOf, usageEvent } from "./kit.ts";

let kit: Kit;

beforeEach(async () => {
  kit = await startKit();
});

afterEach(() => kit.remove());

describe("with a server that runs", () => {
  test("every published event arrives once, in batches of at most 100", async () => {
    const ids = names(950);
    const { publish, isReachable } = kit.publisher();
    await eventually(isReachable);
    await Promise.all(ids.map((id) => publish(usageEvent(id))));
    expect((await kit.counts()).messages).toBeLessThan(60);
    const { seen } = kit.collector();
    await eventually(() => seen.length >= ids.length);
    expect(seen.toSorted()).toEqual(ids);
  });

  test("a lone event waits for no other", async () => {
    const { seen } = kit.collector();
    const { publish } = kit.publisher();
    await publish(usageEvent("first"));
    await eventually(() => seen.length === 1);
    await publish(usageEvent("second"));
    await eventually(() => seen.length === 2);
  });

  test("messages that arrive one after the other are handled together, in batches that begin 100 ms apart", async () => {
    const begun: number[] = [];
    const { seen } = kit.collector(() => void begun.push(performance.now()));
    const { publish } = kit.publisher();
    await publish(usageEvent("first"));
    await eventually(() => seen.length === 1);
    // Fewer than a whole batch, which would begin at once.
    for (const id of names(9)) await publish(usageEvent(id));
    await eventually(() => seen.length === 10);
    const tookMs = (begun.at(-1) ?? 0) - (begun[0] ?? 0);
    // A timer of Node.js may be early by less than a millisecond.
    expect(begun.length).toBeLessThanOrEqual(2 + tookMs / 99);
  });

  describe("the first event of a request", () => {
    const placeOf = ({ request, phase }: UsageEvent) =>
      ({ request: request?.requestId ?? "", place: phase.case === "admitted" ? "first" : "last" }) as const;
    const settled = (requestId: string): UsageEvent => {
      const { request } = usageEvent(requestId);
      return create(UsageEventSchema, { request: request ?? {}, phase: { case: "settled", value: {} } });
    };

    test("is handled with the last one that comes after it, and alone when none comes", async () => {
      const batches: (readonly string[])[] = [];
      const arrived: string[] = [];
      const { seen } = kit.collector((ids) => void batches.push(ids), {
        placeOf: (event) => (arrived.push(event.request?.requestId ?? ""), placeOf(event)),
      });
      const { publish } = kit.publisher();
      let pairs = 0;
      // A busy machine may take longer for the second event than the first one waits.
      await eventually(async () => {
        const id = `both-${++pairs}`;
        await publish(usageEvent(id));
        await eventually(() => arrived.includes(id));
        await publish(settled(id));
        await eventually(() => seen.length === 2 * pairs);
        return batches.some((ids) => ids.filter((each) => each === id).length === 2);
      });
      await publish(usageEvent("alone"));
      await eventually(() => seen.includes("alone"));
      await eventually(async () => (await kit.counts()).unacknowledged === 0);
    });

    test("is handled before the consumer stops, and again if that fails", async () => {
      const arrived: string[] = [];
      const first = kit.collector(() => {}, { placeOf: (event) => (arrived.push("one"), placeOf(event)) });
      const { publish } = kit.publisher();
      await publish(usageEvent("stopped"));
      await eventually(() => arrived.length === 1);
      await first.consumer.stop();
      expect(first.seen).toEqual(["stopped"]);
      let failures = 0;
      const fail = (): void => {
        if (failures++ < 2) throw new Error("the database is down");
      };
      const second = kit.collector(fail, { placeOf });
      await publish(usageEvent("refused"));
      await publish(settled("refused"));
      await eventually(() => second.seen.length === 2);
      expect(second.distinct()).toEqual(["refused"]);
      await eventually(async () => (await kit.counts()).unacknowledged === 0);
    });
  });

  test("a batch whose handler fails is delivered again until it is handled", async () => {
    let failures = 0;
    const { seen } = kit.collector(() => {
      if (failures++ < 3) throw new Error("the database is down");
    });
    const { publish } = kit.publisher();
    await publish(usageEvent("stubborn"));
    await eventually(() => seen.length === 1);
    expect(failures).toBe(4);
  });

  test("a failing handler is retried with growing delays, not in a busy loop", async () => {
    const attemptedAt: number[] = [];
    kit.collector(() => {
      attemptedAt.push(performance.now());
      throw new Error("the database is down");
    });
    const { publish } = kit.publisher();
    // More messages than four batches hold: the delay must not depend on their redelivery.
    for (const id of names(60)) await publish(usageEvent(id));
    // The first two can be made at once.
    await eventually(() => attemptedAt.length >= 5);
    expect(attemptedAt[4]! - attemptedAt[0]!).toBeGreaterThan(600);
  });

  test("a message that cannot be decoded is handed over alone, once, and not delivered again", async () => {
    const { publish, isReachable } = kit.publisher();
    await eventually(isReachable);
    await publish(usageEvent("before"));
    const connection = await kit.connectRaw();
    await connection.jetstream().publish(subjectOf(0), Buffer.from("not protobuf at all"));
    await connection.close();
    await publish(usageEvent("after"));
    const { distinct, consumer, unreadable } = kit.collector();
    await eventually(() => distinct().length === 2);
    await eventually(async () => (await kit.counts()).unacknowledged === 0);
    await consumer.stop();
    expect(distinct()).toEqual(["after", "before"]);
    const again = kit.collector();
    await publish(usageEvent("last"));
    await eventually(() => again.seen.length > 0);
    expect(again.seen).toEqual(["last"]);
    expect([...unreadable, ...again.unreadable]).toEqual(["not protobuf at all"]);
  });

  test("stopping finishes the batch that is being handled, and returns messages that were only fetched", async () => {
    const ids = names(300);
    const { publish } = kit.publisher();
    for (const id of ids) await publish(usageEvent(id));
    const gate = Promise.withResolvers<void>();
    const first = kit.collector(() => gate.promise);
    await eventually(() => first.consumer.isReachable());
    const stopped = first.consumer.stop();
    gate.resolve();
    await stopped;
    const second = kit.collector();
    await eventually(() => first.seen.length + second.seen.length >= ids.length);
    expect([...first.seen, ...second.seen].toSorted()).toEqual(ids);
  });

  test("a stream with other settings than declared is not used", async () => {
    const connection = await kit.connectRaw();
    const manager = await connection.jetstreamManager();
    await manager.streams.add({ name: STREAM, subjects: [subjectOf(0)], retention: "workqueue" as never });
    await connection.close();
    const { publish } = kit.publisher({ timeoutMs: 300, natsOutage: "refuse" });
    await expect(publish(usageEvent("refused"))).rejects.toMatchObject({ code: "unavailable" });
  });

  test("a message with two events of one request is read as two events", async () => {
    const { seen } = kit.collector();
    const connection = await kit.connectRaw();
    const batch = create(UsageEventBatchSchema, { events: [usageEvent("a"), usageEvent("a")] });
    await eventually(() =>
      connection
        .jetstream()
        .publish(subjectOf(0), toBinary(UsageEventBatchSchema, batch))
        .then(Boolean, () => false),
    );
    await connection.close();
    await eventually(() => seen.length === 2);
  });
});

test("the log names the server's version and durability at start-up", async () => {
  const { isReachable } = kit.publisher();
  await eventually(isReachable);
  expect(kit.lines.find((line) => line.includes("connected to NATS"))).toMatch(
    /"version":"\d+\.\d+.*"durability":"survives kills/,
  );
});
