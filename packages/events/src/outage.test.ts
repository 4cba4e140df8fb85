import { setTimeout as delay } from "node:timers/promises";
import { DomainError } from "@routeplane/domain";
import { eventually } from "@routeplane/testing";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { DURABLE, type Kit, names, startKit, usageEvent } from "../test/kit.ts";
import { STREAM } from "./stream.ts";

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
    const { publishUntilDurable, isReachable } = kit.publisher();
    const published = publishUntilDurable(usageEvent("early"));
    expect(await isReachable()).toBe(false);
    await kit.nats.start();
    await published;
    await eventually(() => seen.length === 1);
    expect(await isReachable()).toBe(true);
  });

  test("publishing fails with UNAVAILABLE, naming nats, in bounded time: server gone", async () => {
    await kit.nats.kill();
    const { publish } = kit.publisher({ timeoutMs: 300 });
    const began = performance.now();
    const failure = await publish(usageEvent("nowhere")).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(DomainError);
    expect(failure).toMatchObject({ code: "unavailable", metadata: { dependency: "nats" } });
    expect(performance.now() - began).toBeLessThan(1_000);
    const again = performance.now();
    await expect(publish(usageEvent("nowhere"))).rejects.toMatchObject({ code: "unavailable" });
    expect(performance.now() - again).toBeLessThan(50);
  });

  test("publishing fails with UNAVAILABLE in bounded time: server silent, and works again after", async () => {
    const { publish, isReachable } = kit.publisher({ timeoutMs: 500 });
    await eventually(isReachable);
    kit.nats.pause();
    const began = performance.now();
    await expect(publish(usageEvent("into silence"))).rejects.toMatchObject({ code: "unavailable" });
    expect(performance.now() - began).toBeLessThan(1_500);
    expect(await isReachable()).toBe(false);
    kit.nats.resume();
    await eventually(isReachable);
    await publish(usageEvent("heard"));
  });

  test("a full backlog refuses at once instead of growing", async () => {
    await kit.nats.kill();
    const { publishUntilDurable, backlog } = kit.publisher({ maxBacklogBytes: 2_000 });
    const results = names(500).map((id) => publishUntilDurable(usageEvent(id)).catch((error: unknown) => error));
    expect(backlog().bytes).toBeLessThanOrEqual(2_000);
    const refused = await Promise.race(results);
    expect(refused).toMatchObject({ code: "unavailable" });
    expect(backlog().events).toBeGreaterThan(50);
    await kit.nats.start();
    await eventually(() => backlog().events === 0);
  });

  test("what must not be lost is published through kills of the server, and nothing acknowledged is missing", async () => {
    const { publishUntilDurable } = kit.publisher();
    const { distinct } = kit.collector();
    const ids = names(3_000);
    const published: Promise<void>[] = [];
    for (const [index, id] of ids.entries()) {
      published.push(publishUntilDurable(usageEvent(id)));
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
    const { publishUntilDurable } = kit.publisher();
    const { distinct } = kit.collector();
    await publishUntilDurable(usageEvent("before"));
    kit.nats.pause();
    const published = publishUntilDurable(usageEvent("meanwhile"));
    await eventually(() => kit.lines.filter((line) => /lost the connection|broke/.test(line)).length >= 2);
    kit.nats.resume();
    await published;
    await eventually(() => distinct().length === 2);
  });

  test("a consumer that someone deletes is declared anew, and no event is passed over", async () => {
    const { publish } = kit.publisher();
    const { distinct } = kit.collector();
    await publish(usageEvent("before"));
    await eventually(() => distinct().length === 1);
    const connection = await kit.connectRaw();
    await (await connection.jetstreamManager()).consumers.delete(STREAM, DURABLE.durable);
    await connection.close();
    await publish(usageEvent("after"));
    await eventually(() => distinct().length === 2);
  });

  test("a consumer outlives the loss of the server's files: stream and consumer are declared anew", async () => {
    const { publish } = kit.publisher();
    const { distinct } = kit.collector();
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
