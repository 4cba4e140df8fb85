import { setTimeout as delay } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { UsageEventBatchSchema } from "@routeplane/contracts/events";
import { eventually } from "@routeplane/testing";
import type { JetStreamManager, NatsConnection } from "nats";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openConnection } from "../src/connection.ts";
import { declareConsumer } from "../src/jetstream-consumer.ts";
import { keepPosition } from "../src/log-position.ts";
import { UNPARTITIONED } from "../src/stream.ts";
import { DURABLE, type Kit, PARTITIONS, startKit, STREAM, subjectOf, usageEvent } from "./kit.ts";

let kit: Kit;
let raw: NatsConnection;
let manager: JetStreamManager;

beforeEach(async () => {
  kit = await startKit();
  raw = await kit.connectRaw();
  manager = await raw.jetstreamManager();
});

afterEach(async () => {
  await raw.close();
  await kit.remove();
});

/** Store of a position that counts the calls: the mark of a round is the number of rounds that began. */
function newPosition() {
  const state = { begun: 0, passed: 0, all: new Set<number>() };
  const position = {
    begin: async () => ++state.begun,
    async end(mark: unknown) {
      state.passed = Number(mark);
      state.all.add(state.passed);
    },
  };
  return { state, options: { position, positionIntervalMs: 50 } };
}

/** Waits until a round that began after this call is over. */
async function passesFrom({ begun }: { readonly begun: number }, state: { readonly passed: number }): Promise<void> {
  await eventually(() => state.passed > begun, 30_000);
}

/** Waits for several rounds, in which nothing may pass. */
async function staysBelow(begun: number, state: { readonly passed: number }): Promise<void> {
  await delay(600);
  expect(state.passed).toBeLessThanOrEqual(begun);
}

test("passes what was in the stream once it is handled, and not before", async () => {
  const { state, options } = newPosition();
  const handled = Promise.withResolvers<void>();
  const { publish, isReachable } = kit.publisher();
  const collector = kit.collector(async (ids) => {
    if (ids.includes("slow")) await handled.promise;
  }, options);
  await eventually(isReachable);
  // An empty stream is passed as well.
  await passesFrom({ begun: 0 }, state);
  await publish(usageEvent("slow"));
  const { begun } = state;
  await staysBelow(begun + 1, state);
  expect(collector.seen).toEqual([]);
  handled.resolve();
  await passesFrom(state, state);
  expect(collector.seen).toEqual(["slow"]);
});

test("waits for messages that another process has, and for those that a killed one had", async () => {
  const replicas = kit.newReplicas();
  const { state, options } = newPosition();
  await eventually(kit.publisher().isReachable);
  const first = kit.collector(undefined, { ...options, replicas: replicas() });
  await passesFrom({ begun: 0 }, state);
  // Delivered to nobody that acknowledges it, as to a process that was killed: it comes again after the ack wait.
  const consumer = await raw.jetstream().consumers.get(STREAM, `${DURABLE.durable}-${PARTITIONS - 1}`);
  const lost = consumer.next({ expires: 20_000 });
  const taken = await publishUntil(lost);
  const { begun } = state;
  await staysBelow(begun + 1, state);
  taken?.nak();
  await passesFrom(state, state);
  expect(first.seen.length).toBeGreaterThan(0);
});

test("begins again when a stream is replaced: its numbers say nothing of the new one", async () => {
  const connection = openConnection({ ...kit.connection }, async () => {});
  const source = { stream: "REPLACED", subject: "replaced", durable: "reader", maxAckPending: 10 };
  const session = await connection.untilConnected(10_000);
  if (session === undefined) throw new Error("unreachable: the server runs");
  const add = async () => {
    await session.manager.streams.add({ name: source.stream, subjects: [source.subject] });
    await declareConsumer(session, source);
  };
  await add();
  await raw.jetstream().publish(source.subject, "not acknowledged");
  const { state, options } = newPosition();
  const stopping = new AbortController();
  const { log } = kit.connection;
  const running = keepPosition({
    marks: options.position,
    session: () => session,
    readSources: async () => [source],
    log,
    stopped: stopping.signal,
    intervalMs: 20,
  });
  await eventually(() => state.begun === 1);
  await session.manager.streams.delete(source.stream);
  await add();
  await passesFrom({ begun: 1 }, state);
  expect(state.all).not.toContain(1);
  stopping.abort();
  await running;
  await connection.stop();
});

test("counts the stream of earlier releases while there is one", async () => {
  await manager.streams.add({ name: UNPARTITIONED.stream, subjects: [UNPARTITIONED.subject] });
  const { state, options } = newPosition();
  const blocked = Promise.withResolvers<void>();
  kit.collector(async (ids) => {
    if (ids.includes("earlier")) await blocked.promise;
  }, options);
  await passesFrom({ begun: 0 }, state);
  await raw.jetstream().publish(UNPARTITIONED.subject, batchOf("earlier"));
  const { begun } = state;
  await staysBelow(begun + 1, state);
  blocked.resolve();
  await passesFrom(state, state);
});

/** Publishes to the last partition until a message is taken. */
async function publishUntil<T>(taken: Promise<T>): Promise<T> {
  const stopping = new AbortController();
  const stop = () => stopping.abort();
  taken.then(stop, stop);
  for (let nth = 0; !stopping.signal.aborted; nth++) {
    await raw.jetstream().publish(subjectOf(PARTITIONS - 1), batchOf(`request-${nth}`));
    await delay(20);
  }
  return taken;
}

function batchOf(requestId: string): Uint8Array {
  return toBinary(UsageEventBatchSchema, create(UsageEventBatchSchema, { events: [usageEvent(requestId)] }));
}
