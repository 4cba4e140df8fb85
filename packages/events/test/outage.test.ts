import { mkdirSync, readdirSync, renameSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { DomainError } from "@routeplane/domain";
import { eventually } from "@routeplane/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { spawnPublisher } from "./publisher-process.ts";
import { toUsageRecord } from "../src/index.ts";
import { DURABLE, type Kit, names, startKit, usageEvent, STREAM } from "./kit.ts";

let kit: Kit;

beforeEach(async () => {
  kit = await startKit();
});

afterEach(() => kit.remove());

describe("with a server that fails", () => {
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

  test("under the policy spool, events commit to the disk and arrive later, each once: server down, server silent", async () => {
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
    // Not in order: a batch that is sent again can arrive after the next one.
    expect(seen.toSorted()).toEqual(ids);
  });

  test("events of a part of the spool that cannot be read for a while arrive later", async () => {
    await kit.nats.kill();
    const { record, folder } = kit.publisher();
    // Nine segments. After the first one they are on the disk alone, and not read yet.
    const ids = names(240);
    for (const id of ids) record(toUsageRecord(usageEvent(id, "n".repeat(40_000))));
    const segment = join(folder, readdirSync(folder).filter((name) => name.endsWith(".journal"))[6] ?? "");
    renameSync(segment, `${segment}.aside`);
    mkdirSync(segment);
    await kit.nats.start();
    const { distinct } = kit.collector();
    await eventually(() => kit.lines.some((line) => line.includes("reading a spool segment failed")));
    await eventually(() => distinct().includes(ids.at(-1) ?? ""));
    expect(distinct()).not.toEqual(ids);
    rmdirSync(segment);
    renameSync(`${segment}.aside`, segment);
    await eventually(() => distinct().length === ids.length);
    expect(distinct()).toEqual(ids);
  });

  test("under the policy refuse, no event commits without the server, and waits reject in bounded time: server down", async () => {
    await kit.nats.kill();
    const { publish, enqueue, acceptsNew } = kit.publisher({ timeoutMs: 300, natsOutage: "refuse" });
    const began = performance.now();
    const failure = await publish(usageEvent("nowhere")).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(DomainError);
    expect(failure).toMatchObject({ code: "unavailable", metadata: { dependency: "nats" } });
    expect(performance.now() - began).toBeLessThan(2_000);
    expect(() => enqueue(Buffer.from("something"))).toThrow("NATS does not answer");
    expect(acceptsNew()).toBe(false);
  });

  test("under the policy refuse, no event commits while the server is silent, and refused events arrive all the same", async () => {
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

  test("a full spool refuses new requests at once, records running ones, and accepts both once the server is back", async () => {
    await kit.nats.kill();
    const { record, enqueue, complete, spoolBytes, acceptsNew } = kit.publisher({ maxBytes: 32 * 1024 });
    const pending: number[] = [];
    let accepted = 0;
    const fill = (): void => {
      for (;;) {
        pending.push(enqueue(Buffer.from("a settlement")));
        record(toUsageRecord(usageEvent(`${accepted++}`)));
      }
    };
    expect(fill).toThrow("the spool is full");
    expect(accepted).toBeGreaterThan(200);
    expect(acceptsNew()).toBe(false);
    expect(record(toUsageRecord(usageEvent("under way")))).toBeDefined();
    expect(spoolBytes()).toBeLessThanOrEqual(32 * 1024);
    const { distinct } = kit.collector();
    await kit.nats.start();
    await eventually(() => distinct().length === accepted + 1);
    // Segments with pending settlements stay until these are complete.
    for (const offset of pending) complete(offset);
    await eventually(acceptsNew);
  });

  test("what a killed publisher recorded is sent by the next one on its folder, each message once", async () => {
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
    await eventually(() => [...recorded].every((id) => seen.includes(id)));
    expect(distinct().length).toBeGreaterThanOrEqual(recorded.size);
    // Within the window of duplicates the server drops a message with a known id.
    expect(seen.length).toBe(distinct().length);
  });

  test("no committed event is missing after kills of the server", async () => {
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

  test("a consumer goes on after a server that was silent", async () => {
    const { publish, isReachable } = kit.publisher();
    const { distinct, consumer } = kit.collector();
    await eventually(async () => (await isReachable()) && (await consumer.isReachable()));
    await publish(usageEvent("before"));
    kit.nats.pause();
    const published = publish(usageEvent("meanwhile"));
    await eventually(() => kit.lines.filter((line) => /connection to NATS lost|reconnecting/.test(line)).length >= 2);
    kit.nats.resume();
    await published;
    await eventually(() => distinct().length === 2);
  });

  test("a deleted consumer is declared again, and no event is skipped", async () => {
    const { publish, isReachable } = kit.publisher();
    const { distinct, consumer } = kit.collector();
    await eventually(async () => (await isReachable()) && (await consumer.isReachable()));
    await publish(usageEvent("before"));
    await eventually(() => distinct().length === 1);
    const connection = await kit.connectRaw();
    await (await connection.jetstreamManager()).consumers.delete(STREAM, `${DURABLE.durable}-0`);
    await connection.close();
    await publish(usageEvent("after"));
    await eventually(() => distinct().length === 2);
  });

  test("a consumer goes on after the server lost its files: stream and consumer are declared again", async () => {
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
