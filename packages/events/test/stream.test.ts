import { setTimeout as delay } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { UsageEventBatchSchema } from "@routeplane/contracts/events";
import { eventually } from "@routeplane/testing";
import type { JetStreamManager, NatsConnection } from "nats";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openConnection } from "../src/connection.ts";
import { declareConsumer, sourcesOf } from "../src/jetstream-consumer.ts";
import { UNPARTITIONED } from "../src/stream.ts";
import { trimAcknowledged } from "../src/trim.ts";
import { DURABLE, INSTALLATION, type Kit, names, startKit, STREAM, subjectOf, usageEvent } from "./kit.ts";

const OTHER_INSTALLATION = "00000000-0000-4000-8000-000000000002";
const MEBIBYTE = 1024 ** 2;
const settings = { maxBytes: 16 * MEBIBYTE };

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

describe("the owner of a stream", () => {
  test("is its installation: gateways and aggregators of another one refuse it, name it, and leave it as it is", async () => {
    const { publish, isReachable } = kit.publisher();
    // Until then events commit to the spool, and there is no stream.
    await eventually(isReachable);
    await publish(usageEvent("own"));
    const before = await manager.streams.info(STREAM);
    expect(before.config.description).toContain(INSTALLATION);
    const foreign = { installation: async () => OTHER_INSTALLATION };
    const gateway = kit.publisher({ ...foreign, natsOutage: "refuse", timeoutMs: 300 });
    const aggregator = kit.collector(undefined, foreign);
    await expect(gateway.publish(usageEvent("foreign"))).rejects.toMatchObject({ code: "unavailable" });
    const refusal = `stream ${STREAM} belongs to another installation (${INSTALLATION}; this one is ${OTHER_INSTALLATION}): set ROUTEPLANE_NATS_STREAM`;
    await eventually(() => kit.lines.filter((line) => line.includes(refusal)).length >= 2);
    expect(await aggregator.consumer.isReachable()).toBe(false);
    expect(aggregator.seen).toEqual([]);
    expect(await manager.streams.info(STREAM)).toMatchObject({ config: before.config, state: { messages: 1 } });
  });

  test("is refused by the name of its subjects too", async () => {
    await eventually(kit.publisher().isReachable);
    kit.publisher({ nats: kit.connection.nats, settings: { stream: "ANOTHER" } });
    await eventually(() => kit.lines.some((line) => line.includes("set ROUTEPLANE_NATS_SUBJECT_PREFIX")));
  });

  test("does not meet an installation with names of its own, in one account of NATS", async () => {
    const { nats } = kit.connection;
    const other = {
      nats,
      settings: { stream: "ACME", subjectPrefix: "acme" },
      installation: async () => OTHER_INSTALLATION,
    };
    const [one, two] = [kit.collector(), kit.collector(undefined, { ...other, replicas: kit.newReplicas()() })];
    await Promise.all([
      kit.publisher().publish(usageEvent("of one")),
      kit.publisher(other).publish(usageEvent("of two")),
    ]);
    await eventually(() => one.seen.length === 1 && two.seen.length === 1);
    expect([one.seen, two.seen]).toEqual([["of one"], ["of two"]]);
  });

  test("is the first installation that consumes it, if it has no mark", async () => {
    const subjects = Array.from({ length: 8 }, (_, partition) => subjectOf(partition));
    await manager.streams.add({ name: STREAM, subjects, discard: "new" as never });
    await kit.publisher().publish(usageEvent("early"));
    const { seen } = kit.collector();
    await eventually(() => seen.length === 1);
    expect((await manager.streams.info(STREAM)).config.description).toContain(INSTALLATION);
  });
});

describe("the stream of a release before partitions", () => {
  const publishEarlier = async (...ids: readonly string[]): Promise<void> => {
    await manager.streams.add({ name: UNPARTITIONED.stream, subjects: [UNPARTITIONED.subject] });
    const payload = toBinary(
      UsageEventBatchSchema,
      create(UsageEventBatchSchema, { events: ids.map((id) => usageEvent(id)) }),
    );
    await raw.jetstream().publish(UNPARTITIONED.subject, payload);
  };

  test("is drained after an upgrade, and its consumer goes on where it was", async () => {
    await publishEarlier("acknowledged by the earlier release");
    await manager.consumers.add(UNPARTITIONED.stream, {
      durable_name: DURABLE.durable,
      filter_subject: UNPARTITIONED.subject,
      ack_policy: "explicit" as never,
      ack_wait: 10_000_000_000,
      max_ack_pending: 3_200,
    });
    const consumer = await raw.jetstream().consumers.get(UNPARTITIONED.stream, DURABLE.durable);
    (await consumer.next())?.ack();
    await raw.flush();
    await publishEarlier("waiting");
    const { seen } = kit.collector();
    await kit.publisher().publish(usageEvent("of now"));
    await eventually(() => seen.length === 2);
    expect(seen.toSorted()).toEqual(["of now", "waiting"]);
  });

  test("is drained too if a gateway of that release creates it later", async () => {
    const { seen, consumer } = kit.collector();
    await eventually(() => consumer.isReachable());
    await publishEarlier("late");
    await eventually(() => seen.length === 1);
  });

  test("is not another installation's to drain", async () => {
    await publishEarlier("waiting");
    const own = { nats: kit.connection.nats, settings: { stream: "ACME", subjectPrefix: "acme" } };
    const { seen } = kit.collector(undefined, own);
    await kit.publisher(own).publish(usageEvent("own"));
    await eventually(() => seen.length > 0);
    expect(seen).toEqual(["own"]);
    expect(await manager.consumers.list(UNPARTITIONED.stream).next()).toEqual([]);
  });
});

describe("the bounds of a stream", () => {
  test("follow the settings of the aggregator, and partitions are only ever added", async () => {
    await kit.publisher().publish(usageEvent("one"));
    const one = kit.collector(undefined, {
      nats: kit.connection.nats,
      settings: { ...settings, partitions: 12, maxAgeMs: 3_600_000 },
    });
    await eventually(() => one.seen.length === 1);
    const { config } = await manager.streams.info(STREAM);
    expect(config).toMatchObject({ max_bytes: settings.maxBytes, max_age: 3_600_000_000_000 });
    expect(config.subjects).toEqual(Array.from({ length: 12 }, (_, partition) => subjectOf(partition)));
    await one.consumer.stop();
    const two = kit.collector(undefined, { nats: kit.connection.nats });
    await kit.publisher().publish(usageEvent("two"));
    await eventually(() => two.seen.length === 1);
    expect((await manager.streams.info(STREAM)).config.subjects).toHaveLength(12);
  });

  test("are not lowered below what waits in it", async () => {
    const { publish, isReachable } = kit.publisher();
    await eventually(isReachable);
    await publish(usageEvent("small"));
    for (let count = 0; count < 20; count++)
      await raw.jetstream().publish(subjectOf(1), new Uint8Array(MEBIBYTE - 1_000));
    kit.collector(() => Promise.reject(new Error("the database is down")), { settings });
    await eventually(() => kit.lines.some((line) => line.includes("stream bounds not changed")));
    const { config, state } = await manager.streams.info(STREAM);
    expect({ maxBytes: config.max_bytes, messages: state.messages }).toEqual({
      maxBytes: 1024 * MEBIBYTE,
      messages: 21,
    });
  });
});

describe("acknowledged messages", () => {
  test("are removed from a stream that fills, and no others: also behind an idle partition", async () => {
    let refusing = false;
    const { seen, unreadable } = kit.collector(
      () => {
        if (refusing) throw new Error("the database is down");
      },
      { settings },
    );
    const { publish } = kit.publisher();
    for (const id of names(5)) await publish(usageEvent(id, `ns_${id}`));
    await eventually(() => seen.length === 5);
    // More than a sixteenth of the stream, all of which is acknowledged.
    for (let count = 0; count < 2; count++)
      await raw.jetstream().publish(subjectOf(1), new Uint8Array(MEBIBYTE - 1_000));
    // Delivered, and then acknowledged.
    await eventually(() => unreadable.length === 2);
    await eventually(async () => (await kit.counts()).unacknowledged === 0);
    refusing = true;
    await publish(usageEvent("open", "ns_open"));
    const connection = openConnection(kit.connection, () => Promise.resolve());
    const stopped = new AbortController();
    const subjects = Array.from({ length: 8 }, (_, partition) => subjectOf(partition));
    const sources = sourcesOf({ stream: STREAM, subjects }, DURABLE.durable, DURABLE.batch);
    const trimming = trimAcknowledged({
      session: () => connection.session(),
      readSources: async () => sources,
      stopped: stopped.signal,
      intervalMs: 50,
    });
    await eventually(async () => (await kit.counts()).messages === 1);
    for (let round = 0; round < 5; round++) {
      await delay(50);
      expect((await kit.counts()).messages).toBe(1);
    }
    refusing = false;
    await eventually(() => seen.includes("open"));
    stopped.abort();
    await trimming;
    await connection.stop();
  });

  test("are removed up to their number in this stream, not in the one that was lost before it", async () => {
    const { seen, consumer } = kit.collector(undefined, { settings });
    const { publish } = kit.publisher();
    for (const id of names(5)) await publish(usageEvent(id));
    await eventually(() => seen.length === 5);
    await eventually(async () => (await kit.counts()).unacknowledged === 0);
    await consumer.stop();
    const { config } = await manager.streams.info(STREAM);
    const sources = sourcesOf({ stream: STREAM, subjects: config.subjects }, DURABLE.durable, DURABLE.batch);
    const connection = openConnection(kit.connection, () => Promise.resolve());
    const stopped = new AbortController();
    const isReplaced = Promise.withResolvers<void>();
    let rounds = 0;
    const trimming = trimAcknowledged({
      session: () => connection.session(),
      async readSources() {
        if (++rounds === 2) await isReplaced.promise;
        return sources;
      },
      stopped: stopped.signal,
      intervalMs: 50,
      keptMs: 0,
    });
    await eventually(() => rounds === 2);
    await manager.streams.delete(STREAM);
    await manager.streams.add(config);
    for (const source of sources) await declareConsumer({ manager }, source);
    await raw.jetstream().publish(subjectOf(1), new Uint8Array(1));
    isReplaced.resolve();
    await eventually(() => rounds === 4);
    expect((await manager.streams.info(STREAM)).state.messages).toBe(1);
    stopped.abort();
    await trimming;
    await connection.stop();
  });

  test("are removed without messages of partitions that another process has added, which nobody has read", async () => {
    const { seen, unreadable } = kit.collector(undefined, { settings });
    await kit.publisher().publish(usageEvent("known"));
    await eventually(() => seen.length === 1);
    const subjects = Array.from({ length: 12 }, (_, partition) => subjectOf(partition));
    await manager.streams.update(STREAM, { subjects });
    const added = sourcesOf({ stream: STREAM, subjects }, DURABLE.durable, DURABLE.batch).slice(8);
    for (const source of added) await declareConsumer({ manager }, source);
    await raw.jetstream().publish(subjectOf(9), new Uint8Array(1));
    // More than a sixteenth of the stream, all of which is acknowledged.
    for (let count = 0; count < 2; count++)
      await raw.jetstream().publish(subjectOf(1), new Uint8Array(MEBIBYTE - 1_000));
    await eventually(() => unreadable.length === 2);
    await eventually(async () => (await kit.counts()).messages < 4);
    expect((await manager.streams.getMessage(STREAM, { last_by_subj: subjectOf(9) })).seq).toBe(2);
  });

  test("do not fill a stream through which many times its size flows", async () => {
    const { seen, unreadable } = kit.collector(undefined, { settings });
    await kit.publisher().publish(usageEvent("first"));
    await eventually(() => seen.length === 1);
    for (let count = 0; count < 48; count++) {
      const sent = (): Promise<boolean> =>
        raw
          .jetstream()
          .publish(subjectOf(count % 8), new Uint8Array(MEBIBYTE - 1_000))
          .then(
            () => true,
            () => false,
          );
      await eventually(sent, 30_000);
    }
    await eventually(() => unreadable.length === 48);
  });
});
