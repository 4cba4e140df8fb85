import { create, toBinary } from "@bufbuild/protobuf";
import { type UsageEvent, UsageEventSchema } from "@routeplane/contracts/events";
import { expect, test } from "vitest";
import { byPartition, partitionOf } from "./partitions.ts";

const encode = (event: UsageEvent): Uint8Array => toBinary(UsageEventSchema, event);
const admitted = (namespaceId: string): Uint8Array =>
  encode(
    create(UsageEventSchema, {
      request: { requestId: "req_1", namespaceId, keyId: "key_1" },
      phase: { case: "admitted", value: { reservedNanoUsd: 7n } },
    }),
  );
const denials = (namespaceId: string): Uint8Array =>
  encode(create(UsageEventSchema, { phase: { case: "unloggedDenials", value: { id: "den_1", namespaceId } } }));

test("all events of a namespace are in the partition of its id", () => {
  for (let nth = 0; nth < 100; nth++) {
    const namespaceId = `ns_${nth}`;
    const payloads = [admitted(namespaceId), denials(namespaceId)];
    const groups = byPartition(
      payloads.flatMap((payload) => [{ payload }, { payload, namespaceId }]),
      8,
    );
    expect([...groups.keys()]).toEqual([partitionOf(namespaceId, 8)]);
  }
});

test("namespaces spread evenly over partitions", () => {
  const events = Array.from({ length: 8_000 }, (_, nth) => ({ payload: admitted(`ns_01k${nth}`) }));
  const sizes = [...byPartition(events, 8).values()].map(({ length }) => length);
  expect(sizes).toHaveLength(8);
  expect(Math.max(...sizes)).toBeLessThan(1_300);
});

test("bytes that are not an event have a partition too", () => {
  const groups = byPartition([{ payload: Buffer.from("not protobuf at all") }, { payload: new Uint8Array() }], 8);
  expect([...groups.values()].flat()).toHaveLength(2);
});
