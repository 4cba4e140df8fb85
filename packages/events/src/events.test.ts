import { create, toBinary } from "@bufbuild/protobuf";
import { type UsageEvent, UsageEventBatchSchema, UsageEventSchema } from "@routeplane/contracts/events";
import { DomainError } from "@routeplane/domain";
import { connect, type NatsConnection } from "nats";
import { createLogger } from "@routeplane/runtime";
import { eventually, startNats, type TestNats } from "@routeplane/testing";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type EventPublisher, type NatsAddress, openConsumer, openPublisher, parseNatsUrl } from "./index.ts";
import { trimDone } from "./durable.ts";
import { openLink } from "./link.ts";
import { STREAM, SUBJECT } from "./stream.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let lines: string[] = [];
const log = createLogger("test", (line) => (lines.push(line), ""), "info");

let nats: TestNats;
let opened: { stop(): Promise<void> }[];

beforeEach(async () => {
  nats = await startNats();
  opened = [];
  lines = [];
});

afterEach(async () => {
  nats.resume();
  for (const each of opened.toReversed()) await each.stop();
  await nats.remove();
});

function address(): NatsAddress {
  return parseNatsUrl(nats.url)!;
}

function connectRaw(): Promise<NatsConnection> {
  const { servers, user, password } = address();
  return connect({ servers: [...servers], user: user!, pass: password! });
}

function publisher(options: { timeoutMs?: number; maxBacklogBytes?: number } = {}): EventPublisher {
  const opening = openPublisher({ nats: address(), log, name: "test", ...options });
  opened.push(opening);
  return opening;
}

/** A consumer that keeps what it is given. `onBatch` may refuse it first. */
function collector(onBatch: (ids: readonly string[]) => void | Promise<void> = () => {}) {
  const seen: string[] = [];
  const consumer = openConsumer({
    nats: address(),
    log,
    name: "test",
    durable: "test",
    workers: 2,
    batch: 10,
    async onBatch(events) {
      const ids = events.map(idOf);
      await onBatch(ids);
      seen.push(...ids);
    },
  });
  opened.push(consumer);
  return { consumer, seen, distinct: () => [...new Set(seen)].toSorted() };
}

const event = (requestId: string): UsageEvent =>
  create(UsageEventSchema, { request: { requestId }, phase: { case: "admitted", value: { reservedNanoUsd: 7n } } });
const idOf = ({ request }: UsageEvent): string => request?.requestId ?? "";
const names = (count: number, prefix = "req"): string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}-${String(index).padStart(5, "0")}`);

async function unacknowledged(): Promise<number> {
  const connection = await connectRaw();
  const info = await (await connection.jetstreamManager()).consumers.info(STREAM, "test");
  await connection.close();
  return info.num_ack_pending;
}

async function messagesInStream(): Promise<number> {
  const connection = await connectRaw();
  const { state } = await (await connection.jetstreamManager()).streams.info(STREAM);
  await connection.close();
  return state.messages;
}

describe("with a server that stays", () => {
  test("every published event arrives once, in batches of at most 100", async () => {
    const ids = names(950);
    const { publish } = publisher();
    await Promise.all(ids.map((id) => publish(event(id))));
    expect(await messagesInStream()).toBeLessThan(60);
    const { seen } = collector();
    await eventually(() => seen.length >= ids.length);
    expect(seen.toSorted()).toEqual(ids);
  });

  test("a lone event arrives within 100 ms", async () => {
    const { seen } = collector();
    const { publish } = publisher();
    await publish(event("first"));
    await eventually(() => seen.length === 1);
    const published = performance.now();
    await publish(event("second"));
    await eventually(() => seen.length === 2);
    expect(performance.now() - published).toBeLessThan(100);
  });

  test("a batch whose handler fails comes again, until it is handled", async () => {
    let failures = 0;
    const { seen } = collector(() => {
      if (failures++ < 3) throw new Error("the database is away");
    });
    const { publish } = publisher();
    await publish(event("stubborn"));
    await eventually(() => seen.length === 1);
    expect(failures).toBe(4);
  });

  test("a failing handler is asked again ever more slowly, not in a busy loop", async () => {
    const asked: number[] = [];
    collector(() => {
      asked.push(performance.now());
      throw new Error("the database is away");
    });
    const { publish } = publisher();
    await publish(event("waits"));
    await eventually(() => asked.length === 4);
    expect(asked[3]! - asked[0]!).toBeGreaterThan(600);
  });

  test("a message that cannot be decoded is dropped alone, and not delivered again", async () => {
    const { publish } = publisher();
    await publish(event("before"));
    const connection = await connectRaw();
    await connection.jetstream().publish(SUBJECT, Buffer.from("not protobuf at all"));
    await connection.close();
    await publish(event("after"));
    const { distinct, consumer } = collector();
    await eventually(() => distinct().length === 2);
    await eventually(async () => (await unacknowledged()) === 0);
    await consumer.stop();
    expect(distinct()).toEqual(["after", "before"]);
    const again = collector();
    await publish(event("last"));
    await eventually(() => again.seen.length > 0);
    expect(again.seen).toEqual(["last"]);
    const base64 = Buffer.from("not protobuf at all").toString("base64");
    expect(lines.filter((line) => line.includes(base64) && line.includes('"sequence":2'))).toHaveLength(1);
  });

  test("stopping finishes the batch in hand, and loses none that was only fetched", async () => {
    const ids = names(300);
    const { publish } = publisher();
    for (const id of ids) await publish(event(id));
    const gate = Promise.withResolvers<void>();
    const first = collector(() => gate.promise);
    await eventually(() => first.consumer.isReachable());
    const stopped = first.consumer.stop();
    gate.resolve();
    await stopped;
    const second = collector();
    await eventually(() => first.seen.length + second.seen.length >= ids.length);
    expect([...first.seen, ...second.seen].toSorted()).toEqual(ids);
  });

  test("two workers on one consumer share the events", async () => {
    const ids = names(600);
    const { publish } = publisher();
    const one = collector();
    const two = collector();
    for (let at = 0; at < ids.length; at += 3) await Promise.all(ids.slice(at, at + 3).map((id) => publish(event(id))));
    await eventually(() => one.seen.length + two.seen.length >= ids.length);
    expect([...one.seen, ...two.seen].toSorted()).toEqual(ids);
    expect(Math.min(one.seen.length, two.seen.length)).toBeGreaterThan(0);
  });

  test("a stream that someone made otherwise is refused, not used", async () => {
    const connection = await connectRaw();
    const manager = await connection.jetstreamManager();
    await manager.streams.add({ name: STREAM, subjects: [SUBJECT], retention: "workqueue" as never });
    await connection.close();
    const { publish } = publisher({ timeoutMs: 300 });
    await expect(publish(event("refused"))).rejects.toMatchObject({ code: "unavailable" });
  });

  test("a message with two events of one request is read as two events", async () => {
    const { seen } = collector();
    await eventually(() => opened.length > 0);
    const connection = await connectRaw();
    const batch = create(UsageEventBatchSchema, { events: [event("a"), event("a")] });
    await eventually(() =>
      connection
        .jetstream()
        .publish(SUBJECT, toBinary(UsageEventBatchSchema, batch))
        .then(Boolean, () => false),
    );
    await connection.close();
    await eventually(() => seen.length === 2);
  });
});

test("the server's version and durability are said at start-up", async () => {
  const { isReachable } = publisher();
  await eventually(isReachable);
  expect(lines.find((line) => line.includes("nats server"))).toMatch(
    /"version":"\d+\.\d+.*"durability":"survives kills/,
  );
});

test("messages that are done are removed from the stream, so that it does not fill up, and others are not", async () => {
  const { publish } = publisher();
  let refusing = false;
  const { seen } = collector(() => {
    if (refusing) throw new Error("the database is away");
  });
  for (const id of names(5)) await publish(event(id));
  await eventually(() => seen.length === 5);
  refusing = true;
  await publish(event("open"));
  const link = openLink({ nats: address(), log, name: "trim" }, () => Promise.resolve());
  const stopped = new AbortController();
  const options = { durable: "test", workers: 2, batch: 10 };
  const trimming = trimDone(() => link.session(), options, stopped.signal, 50);
  await eventually(async () => (await messagesInStream()) === 1);
  refusing = false;
  await eventually(() => seen.includes("open"));
  stopped.abort();
  await trimming;
  await link.stop();
});

describe("with a server that goes away", () => {
  test("a process starts without the server, and works once it is there", async () => {
    await nats.kill();
    const { seen } = collector();
    const { publishUntilDurable, isReachable } = publisher();
    const published = publishUntilDurable(event("early"));
    expect(await isReachable()).toBe(false);
    await nats.start();
    await published;
    await eventually(() => seen.length === 1);
    expect(await isReachable()).toBe(true);
  });

  test("publishing fails with UNAVAILABLE, naming nats, in bounded time: server gone", async () => {
    await nats.kill();
    const { publish } = publisher({ timeoutMs: 300 });
    const began = performance.now();
    const failure = await publish(event("nowhere")).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(DomainError);
    expect(failure).toMatchObject({ code: "unavailable", metadata: { dependency: "nats" } });
    expect(performance.now() - began).toBeLessThan(1_000);
    const again = performance.now();
    await expect(publish(event("nowhere"))).rejects.toMatchObject({ code: "unavailable" });
    expect(performance.now() - again).toBeLessThan(50);
  });

  test("publishing fails with UNAVAILABLE in bounded time: server silent, and works again after", async () => {
    const { publish, isReachable } = publisher({ timeoutMs: 500 });
    await eventually(isReachable);
    nats.pause();
    const began = performance.now();
    await expect(publish(event("into silence"))).rejects.toMatchObject({ code: "unavailable" });
    expect(performance.now() - began).toBeLessThan(1_500);
    expect(await isReachable()).toBe(false);
    nats.resume();
    await eventually(isReachable);
    await publish(event("heard"));
  });

  test("a full backlog refuses at once instead of growing", async () => {
    await nats.kill();
    const { publishUntilDurable, backlog } = publisher({ maxBacklogBytes: 2_000 });
    const results = names(500).map((id) => publishUntilDurable(event(id)).catch((error: unknown) => error));
    expect(backlog().bytes).toBeLessThanOrEqual(2_000);
    const refused = await Promise.race(results);
    expect(refused).toMatchObject({ code: "unavailable" });
    expect(backlog().events).toBeGreaterThan(50);
    await nats.start();
    await eventually(() => backlog().events === 0);
  });

  test("what must not be lost is published through kills of the server, and nothing acknowledged is missing", async () => {
    const { publishUntilDurable } = publisher();
    const { distinct } = collector();
    const ids = names(3_000);
    const published: Promise<void>[] = [];
    for (const [index, id] of ids.entries()) {
      published.push(publishUntilDurable(event(id)));
      if (index % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
      if (index % 1_000 === 500) {
        await nats.kill();
        await nats.start();
      }
    }
    await Promise.all(published);
    await eventually(() => distinct().length === ids.length);
    expect(distinct()).toEqual(ids);
  });

  test("a consumer outlives a server that falls silent", async () => {
    const { publishUntilDurable } = publisher();
    const { distinct } = collector();
    await publishUntilDurable(event("before"));
    nats.pause();
    const published = publishUntilDurable(event("meanwhile"));
    await eventually(() => lines.filter((line) => /lost the connection|broke/.test(line)).length >= 2);
    nats.resume();
    await published;
    await eventually(() => distinct().length === 2);
  });

  test("a consumer outlives the loss of the server's files: stream and consumer are declared anew", async () => {
    const { publish } = publisher();
    const { distinct } = collector();
    await publish(event("one"));
    await eventually(() => distinct().length === 1);
    const connection = await connectRaw();
    const manager = await connection.jetstreamManager();
    await manager.streams.delete(STREAM);
    await connection.close();
    await nats.kill();
    await nats.start();
    await eventually(() =>
      publish(event("two")).then(
        () => true,
        () => false,
      ),
    );
    await eventually(() => distinct().length === 2);
  });
});
