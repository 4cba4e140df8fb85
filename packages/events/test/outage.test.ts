import { setTimeout as delay } from "node:timers/promises";
import { DomainError } from "@routeplane/domain";
import { eventually } from "@routeplane/testing";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { spawnPublisher } from "./publisher-process.ts";
import { DURABLE, type Kit, names, startKit, usageEvent } from "./kit.ts";
import { STREAM } from "../src/stream.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let kit: Kit;

beforeEach(async () => {
  kit = await startKit();
});

afterEach(() => kit.remove());

describe("with a server that goes away", () => {
  test("a process starts without the server, and works once it is there", async () => {
    await kit.nats.kill();
    const { seen } = kit.collector();
    const { publish, isReachable } = kit.publisher();
    await publish(usageEvent("early"));
    expect(await isReachable()).toBe(false);
    await kit.nats.start();
    await eventually(() => seen.length === 1);
    expect(await isReachable()).toBe(true);
  });

  test("with spool, events are durable on the disk without it and arrive in order later: server gone, server silent", async () => {
    const { publish, isReachable } = kit.publisher();
    await eventually(isReachable);
    const ids = names(300);
    const began = performance.now();
    kit.nats.pause();
    await Promise.all(ids.slice(0, 100).map((id) => publish(usageEvent(id))));
    expect(performance.now() - began).toBeLessThan(2_000);
    await kit.nats.kill();
    for (const id of ids.slice(100)) await publish(usageEvent(id));
    await kit.nats.start();
    const { seen } = kit.collector();
    await eventually(() => seen.length >= ids.length);
    expect(seen.slice(100)).toEqual(ids.slice(100));
    expect([...new Set(seen)]).toHaveLength(ids.length);
  });

  test("with refuse, nothing is durable without the server, which is said in bounded time: server gone", async () => {
    await kit.nats.kill();
    const { publish, enqueue: owe, acceptsNew: takesNew } = kit.publisher({ timeoutMs: 300, natsOutage: "refuse" });
    const began = performance.now();
    const failure = await publish(usageEvent("nowhere")).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(DomainError);
    expect(failure).toMatchObject({ code: "unavailable", metadata: { dependency: "nats" } });
    expect(performance.now() - began).toBeLessThan(2_000);
    expect(() => owe(Buffer.from("something"))).toThrow("NATS does not answer");
    expect(takesNew()).toBe(false);
  });

  test("with refuse, nothing is durable while the server is silent, and what was refused arrives all the same", async () => {
    const { publish, isReachable } = kit.publisher({ timeoutMs: 500, natsOutage: "refuse" });
    const { distinct } = kit.collector();
    await eventually(isReachable);
    kit.nats.pause();
    const began = performance.now();
    await expect(publish(usageEvent("into silence"))).rejects.toMatchObject({ code: "unavailable" });
    expect(performance.now() - began).toBeLessThan(3_000);
    expect(await isReachable()).toBe(false);
    kit.nats.resume();
    await eventually(isReachable);
    await publish(usageEvent("heard"));
    await eventually(() => distinct().length === 2);
  });

  test("a full spool refuses what is new at once, takes what is under way, and takes both once the server is back", async () => {
    await kit.nats.kill();
    const {
      record,
      enqueue: owe,
      complete: paid,
      spoolBytes: bytes,
      acceptsNew: takesNew,
    } = kit.publisher({ maxBytes: 32 * 1024 });
    const debts: number[] = [];
    let taken = 0;
    const fill = (): void => {
      for (;;) {
        debts.push(owe(Buffer.from("a debt")));
        record({ event: usageEvent(`${taken++}`) });
      }
    };
    expect(fill).toThrow("the spool is full");
    expect(taken).toBeGreaterThan(200);
    expect(takesNew()).toBe(false);
    expect(record({ event: usageEvent("under way") })).toBeDefined();
    expect(bytes()).toBeLessThanOrEqual(32 * 1024);
    const { distinct } = kit.collector();
    await kit.nats.start();
    await eventually(() => distinct().length === taken + 1);
    // Debts that nobody pays hold the rest.
    for (const debt of debts) paid(debt);
    await eventually(takesNew);
  });

  test("a publisher that is killed leaves what it recorded, and the next on its folder sends it, each message once", async () => {
    const folder = kit.spool();
    const { distinct, seen } = kit.collector();
    const recorded = new Set<string>();
    for (let kill = 0; kill < 5; kill++) {
      const child = spawnPublisher(kit.nats.gatewayUrl, folder, `life-${kill}`);
      await eventually(() => child.recorded.length > 200 * (kill + 1));
      if (kill === 2) kit.nats.pause();
      await delay(kill * 7);
      await child.kill();
      if (kill === 2) kit.nats.resume();
      for (const id of child.recorded) recorded.add(id);
    }
    await eventually(kit.publisher({ folder }).isReachable);
    await eventually(() => [...recorded].every((id) => seen.includes(id)), 20_000);
    expect(distinct().length).toBeGreaterThanOrEqual(recorded.size);
    // Within the window for repetitions the server knows what comes again by its id.
    expect(seen.length).toBe(distinct().length);
  });

  test("what must not be lost is published through kills of the server, and nothing acknowledged is missing", async () => {
    const { publish } = kit.publisher();
    const { distinct } = kit.collector();
    const ids = names(3_000);
    const published: Promise<void>[] = [];
    for (const [index, id] of ids.entries()) {
      published.push(publish(usageEvent(id)));
      if (index % 20 === 0) await delay(2);
      if (index % 1_000 === 500) {
        await kit.nats.kill();
        await kit.nats.start();
      }
    }
    await Promise.all(published);
    await eventually(() => distinct().length === ids.length);
    expect(distinct()).toEqual(ids);
  });

  test("a consumer outlives a server that falls silent", async () => {
    const { publish, isReachable } = kit.publisher();
    const { distinct, consumer } = kit.collector();
    await eventually(async () => (await isReachable()) && (await consumer.isReachable()));
    await publish(usageEvent("before"));
    kit.nats.pause();
    const published = publish(usageEvent("meanwhile"));
    await eventually(() => kit.lines.filter((line) => /lost the connection|broke/.test(line)).length >= 2);
    kit.nats.resume();
    await published;
    await eventually(() => distinct().length === 2);
  });

  test("a consumer that someone deletes is declared anew, and no event is passed over", async () => {
    const { publish, isReachable } = kit.publisher();
    const { distinct, consumer } = kit.collector();
    await eventually(async () => (await isReachable()) && (await consumer.isReachable()));
    await publish(usageEvent("before"));
    await eventually(() => distinct().length === 1);
    const connection = await kit.connectRaw();
    await (await connection.jetstreamManager()).consumers.delete(STREAM, DURABLE.durable);
    await connection.close();
    await publish(usageEvent("after"));
    await eventually(() => distinct().length === 2);
  });

  test("a consumer outlives the loss of the server's files: stream and consumer are declared anew", async () => {
    const { publish, isReachable } = kit.publisher();
    const { distinct, consumer } = kit.collector();
    await eventually(async () => (await isReachable()) && (await consumer.isReachable()));
    await publish(usageEvent("one"));
    await eventually(() => distinct().length === 1);
    const connection = await kit.connectRaw();
    const manager = await connection.jetstreamManager();
    await manager.streams.delete(STREAM);
    await connection.close();
    await kit.nats.kill();
    await kit.nats.start();
    await eventually(() =>
      publish(usageEvent("two")).then(
        () => true,
        () => false,
      ),
    );
    await eventually(() => distinct().length === 2);
  });
});
