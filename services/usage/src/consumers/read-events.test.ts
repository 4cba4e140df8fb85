import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type UsageEvent, UsageEventBatchSchema, UsageEventSchema } from "@routeplane/contracts/events";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pendingRequest, settledRequest, usageEvent } from "../../test/requests.ts";
import { fromProtoUsageEvent } from "./convert.ts";
import { Cursor, IrregularError } from "./cursor.ts";
import { payloadOf, readEvents } from "./read-events.ts";
import { plainReader } from "./wire.ts";

const readPlain = plainReader(UsageEventSchema);

function batchOf(...events: readonly UsageEvent[]): Uint8Array {
  return toBinary(UsageEventBatchSchema, create(UsageEventBatchSchema, { events: [...events] }));
}

/** What the library reads, and every rule about it. */
function asLibraryReads(payload: Uint8Array): unknown {
  try {
    return fromBinary(UsageEventBatchSchema, payload).events.map(fromProtoUsageEvent);
  } catch {
    return undefined;
  }
}

const saidIn = (payload: Uint8Array) => readEvents(payload)?.map(({ said }) => said);

const int64 = fc.oneof(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), fc.bigInt(0n, 10n ** 15n), fc.bigInt(-3n, 300n));
const int32 = fc.oneof(fc.integer(), fc.integer({ min: -3, max: 300 }));
const text = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("", "\ufeffmark", "größer"));
const time = fc.oneof(
  fc.record({ seconds: int64, nanos: int32 }),
  fc.record({ seconds: fc.bigInt(1_780_000_000n, 1_790_000_000n), nanos: fc.nat(999_999_999) }),
);
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const price = fc.record({ version: text, inputPicoUsd: int64, outputPicoUsd: int64 });
const { namespaceId, id, keyId } = pendingRequest();
const facts = fc.record({
  namespaceId: fc.constantFrom(namespaceId, "ns_no"),
  requestId: fc.constant(id),
  keyId: fc.constant(keyId),
  endpoint: text,
  model: text,
  provider: text,
  streamed: fc.boolean(),
  createdAt: optional(time),
});
const admitted = fc.record({
  reservedNanoUsd: int64,
  expiresAt: optional(time),
  price: optional(price),
  admittedAt: optional(time),
});
const settled = fc.record({
  outcome: fc.integer({ min: 0, max: 6 }),
  completedAt: optional(time),
  promptTokens: int64,
  completionTokens: int64,
  costNanoUsd: int64,
  reservedNanoUsd: int64,
  estimated: fc.boolean(),
  httpStatus: int32,
  errorCode: text,
  deniedByPolicyId: text,
  deniedByBindingId: text,
  deniedRule: text,
  shadowDenials: fc.array(fc.record({ policyId: text, bindingId: text, rule: text }), { maxLength: 3 }),
  price: optional(price),
  admittedAt: optional(time),
  cachedPromptTokens: optional(int64),
  reasoningTokens: optional(int64),
  timeToFirstTokenMs: optional(int32),
  upstreamMs: optional(int32),
  guardrailDecisions: fc.array(
    fc.record({ policyId: text, pattern: text, requestRedactions: int32, blockedResponse: fc.boolean() }),
    { maxLength: 2 },
  ),
});
const event = fc.record({
  request: optional(facts),
  phase: fc.oneof(
    admitted.map((value) => ({ case: "admitted" as const, value })),
    settled.map((value) => ({ case: "settled" as const, value })),
    fc.constant({ case: undefined }),
  ),
});

/** Without what is undefined, as a message is made of. */
function messageOf(init: unknown): UsageEvent {
  const defined: object = structuredClone(init) as object;
  const strip = (value: object): void => {
    for (const [key, each] of Object.entries(value)) {
      if (each === undefined && key !== "case") Reflect.deleteProperty(value, key);
      else if (typeof each === "object" && each !== null) strip(each as object);
    }
  };
  strip(defined);
  return create(UsageEventSchema, defined);
}

/** A field of a number that no message here has, as a text. */
const UNKNOWN_FIELD = Buffer.from([250, 1, 2, 65, 66]);

describe("reading a message of events", () => {
  test("is of the library's opinion about every event, whatever it holds, also where the library is not asked", () => {
    let plain = 0;
    const events = fc.array(event.map(messageOf), { maxLength: 4 });
    fc.assert(
      fc.property(events, (said) => {
        const payload = batchOf(...said);
        expect(saidIn(payload)).toEqual(asLibraryReads(payload));
        for (const each of said) {
          const bytes = toBinary(UsageEventSchema, each);
          try {
            expect(readPlain(new Cursor(bytes), bytes.length)).toMatchObject(plainOf(each));
            plain++;
          } catch (error) {
            if (!(error instanceof IrregularError)) throw error;
          }
        }
      }),
      { numRuns: 300 },
    );
    expect(plain).toBeGreaterThan(100);
  });

  test("is of the library's opinion about messages that were cut, spoilt or put together anew", () => {
    const good = batchOf(usageEvent(pendingRequest()), usageEvent(settledRequest(pendingRequest())));
    const spoilt = fc.tuple(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length)).map(([at, byte, cut]) => {
      const bytes = Buffer.from(good);
      bytes[at] = byte;
      return byte % 3 === 0 ? bytes.subarray(0, cut) : bytes;
    });
    fc.assert(
      fc.property(fc.oneof(spoilt, fc.uint8Array({ maxLength: 40 })), (payload) => {
        expect(saidIn(payload)).toEqual(asLibraryReads(payload));
      }),
      { numRuns: 2_000 },
    );
  });

  test("asks the library for nothing that a gateway of this release says", () => {
    for (const said of [pendingRequest(), settledRequest(pendingRequest())]) {
      const bytes = toBinary(UsageEventSchema, usageEvent(said));
      expect(readPlain(new Cursor(bytes), bytes.length)).toMatchObject(plainOf(usageEvent(said)));
    }
  });

  test("reads fields that are not known yet and halves of one field as the library does, and keeps all of it", () => {
    const request = settledRequest(pendingRequest());
    const whole = usageEvent(request);
    const bytesOf = (init: MessageInitShape<typeof UsageEventSchema>): Uint8Array =>
      toBinary(UsageEventSchema, create(UsageEventSchema, init));
    const facts = bytesOf({ request: whole.request! });
    const halves = [
      [bytesOf(whole), UNKNOWN_FIELD],
      [facts, bytesOf({ request: {}, phase: whole.phase })],
      [bytesOf(usageEvent(pendingRequest())), bytesOf({ phase: whole.phase }), facts],
    ];
    for (const inside of halves.map((parts) => Buffer.concat(parts))) {
      const payload = Buffer.concat([
        batchOf(),
        Buffer.from([10, 128 + (inside.length % 128), inside.length >> 7]),
        inside,
      ]);
      expect(() => readPlain(new Cursor(inside), inside.length)).toThrow(IrregularError);
      const [only, ...others] = readEvents(payload) ?? [];
      expect(others).toEqual([]);
      expect(only).toMatchObject({ said: { request } });
      expect(asLibraryReads(payloadOf(only!))).toEqual(asLibraryReads(payload));
    }
  });

  test("knows of each event the bytes that came, as a batch of its own", () => {
    const said = [pendingRequest(), settledRequest(pendingRequest()), pendingRequest()].map(usageEvent);
    const payloads = (readEvents(batchOf(...said)) ?? []).map(payloadOf);
    expect(payloads.map((each) => Buffer.from(each))).toEqual(said.map((each) => Buffer.from(batchOf(each))));
  });
});

/** A message as the plain objects that it is. */
function plainOf(message: unknown): object {
  const copy = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(copy);
    if (typeof value !== "object" || value === null) return value;
    const own = Object.entries(value).filter(([key]) => key !== "$typeName");
    return Object.fromEntries(own.map(([key, each]) => [key, copy(each)]));
  };
  return copy(message) as object;
}
