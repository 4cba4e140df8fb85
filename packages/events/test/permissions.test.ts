import { toBinary } from "@bufbuild/protobuf";
import { UsageEventSchema } from "@routeplane/contracts/events";
import { eventually } from "@routeplane/testing";
import { type NatsConnection, StringCodec } from "nats";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DURABLE, type Kit, PARTITIONS, startKit, STREAM, subjectOf, usageEvent } from "./kit.ts";

/** Permissions of the users of NATS, which bound the harm of stolen credentials. */

const SUBJECT = subjectOf(0);
const durable = `${DURABLE.durable}-0`;
const DURABLES = Array.from({ length: PARTITIONS }, (_, partition) => `${DURABLE.durable}-${partition}`);
const OTHER = "OTHER";
const text = StringCodec();
const json = (value: object): Uint8Array => text.encode(JSON.stringify(value));
const consumerOf = (name: string): Uint8Array => {
  const config = { durable_name: name, ack_policy: "explicit", filter_subject: SUBJECT };
  return json({ stream_name: STREAM, config });
};

let kit: Kit;
let admin: NatsConnection;
let gate: PromiseWithResolvers<void>;
const opened: NatsConnection[] = [];

beforeEach(async () => {
  kit = await startKit();
  admin = await connectAs(kit.nats.url);
  // One event is delivered and not acknowledged, and another stream has another owner.
  gate = Promise.withResolvers();
  kit.collector(() => gate.promise);
  await kit.publisher().publish(usageEvent("kept"));
  await eventually(async () => (await kit.counts()).unacknowledged === 1);
  await (await admin.jetstreamManager()).streams.add({ name: OTHER, subjects: ["other"] });
});

afterEach(async () => {
  gate.resolve();
  await Promise.all(opened.splice(0).map((connection) => connection.close()));
  await kit.remove();
});

async function connectAs(url: string): Promise<NatsConnection> {
  const connection = await kit.connectRaw(url);
  opened.push(connection);
  return connection;
}

/** State of NATS that a permission protects. */
async function state() {
  const manager = await admin.jetstreamManager();
  const { config, state } = await manager.streams.info(STREAM);
  const consumers = await manager.consumers.list(STREAM).next();
  const { num_ack_pending, num_pending } = await manager.consumers.info(STREAM, durable);
  const streams = await manager.streams.names().next();
  return {
    config,
    messages: state.messages,
    names: consumers.map(({ name }) => name),
    num_ack_pending,
    num_pending,
    streams,
  };
}

/** Sends a request to each subject, expects no answer, and waits until NATS has processed all of them. */
async function attempt(connection: NatsConnection, requests: Readonly<Record<string, Uint8Array>>): Promise<void> {
  for (const [subject, payload] of Object.entries(requests)) {
    const answer = await connection.request(subject, payload, { timeout: 300 }).then(
      (message) => text.decode(message.data),
      () => "no answer",
    );
    expect([subject, answer]).toEqual([subject, "no answer"]);
  }
  await connection.flush();
}

const EVENT = toBinary(UsageEventSchema, usageEvent("forged"));

const DESTRUCTIVE: Readonly<Record<string, Uint8Array>> = {
  [`$JS.API.STREAM.DELETE.${STREAM}`]: json({}),
  [`$JS.API.STREAM.MSG.DELETE.${STREAM}`]: json({ seq: 1 }),
  [`$JS.API.STREAM.SNAPSHOT.${STREAM}`]: json({ deliver_subject: "elsewhere" }),
  [`$JS.API.CONSUMER.DELETE.${STREAM}.${durable}`]: json({}),
  [`$JS.API.CONSUMER.DURABLE.CREATE.${STREAM}.spy`]: consumerOf("spy"),
  [`$JS.API.CONSUMER.CREATE.${STREAM}.spy.${SUBJECT}`]: consumerOf("spy"),
  [`$JS.API.CONSUMER.CREATE.${STREAM}`]: json({ stream_name: STREAM, config: { ack_policy: "none" } }),
  [`$JS.API.STREAM.CREATE.SPY`]: json({ name: "SPY", subjects: ["spy"], sources: [{ name: STREAM }] }),
  [`$JS.API.STREAM.PURGE.${OTHER}`]: json({}),
  [`$JS.API.STREAM.DELETE.${OTHER}`]: json({}),
};

describe("the user of gateways", () => {
  it("cannot consume, change, purge or delete the stream of usage events, nor touch another", async () => {
    const before = await state();
    const gateway = await connectAs(kit.nats.gatewayUrl);
    await attempt(gateway, {
      ...DESTRUCTIVE,
      [`$JS.API.STREAM.PURGE.${STREAM}`]: json({}),
      [`$JS.API.STREAM.UPDATE.${STREAM}`]: json({ ...before.config, max_msgs: 1 }),
      [`$JS.API.STREAM.MSG.GET.${STREAM}`]: json({ seq: 1 }),
      [`$JS.API.CONSUMER.CREATE.${STREAM}.${durable}.${SUBJECT}`]: consumerOf(durable),
      [`$JS.API.CONSUMER.MSG.NEXT.${STREAM}.${durable}`]: json({ batch: 1 }),
      [`$JS.ACK.${STREAM}.${durable}.1.1.1.1.0`]: text.encode("+ACK"),
      other: EVENT,
    });
    expect(await state()).toEqual(before);
    expect(before).toMatchObject({ messages: 1, num_ack_pending: 1, names: DURABLES, streams: [OTHER, STREAM] });
  });

  it("publishes usage events, and receives no event and no answer to another user", async () => {
    const gateway = await connectAs(kit.nats.gatewayUrl);
    const received = listen(gateway, [">", SUBJECT, "_INBOX.>", "_INBOX.aggregator.>", "$JS.>"]);
    await gateway.jetstream().publish(SUBJECT, EVENT);
    expect(await state()).toMatchObject({ messages: 2 });
    admin.publish("_INBOX.aggregator.x", text.encode("an answer"));
    await admin.flush();
    await gateway.flush();
    expect(received).toEqual([]);
  });
});

describe("the user of aggregators", () => {
  it("cannot publish usage events, nor delete the stream or touch another", async () => {
    const before = await state();
    const aggregator = await connectAs(kit.nats.aggregatorUrl);
    await attempt(aggregator, { ...DESTRUCTIVE, [SUBJECT]: EVENT, other: EVENT });
    aggregator.publish(SUBJECT, EVENT);
    await aggregator.flush();
    expect(await state()).toEqual(before);
  });

  it("receives no answer to another user", async () => {
    const aggregator = await connectAs(kit.nats.aggregatorUrl);
    const received = listen(aggregator, [">", SUBJECT, "_INBOX.>", "_INBOX.gateway.>", "$JS.>"]);
    admin.publish("_INBOX.gateway.x", text.encode("an answer"));
    await kit.publisher().publish(usageEvent("another"));
    await admin.flush();
    await aggregator.flush();
    expect(received).toEqual([]);
  });
});

/** Subjects of the messages that a subscription to each of these brings. */
function listen(connection: NatsConnection, subjects: readonly string[]): readonly string[] {
  const received: string[] = [];
  for (const subject of subjects) {
    connection.subscribe(subject, {
      callback: (error, message) => {
        if (error === null) received.push(message.subject);
      },
    });
  }
  return received;
}
