import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type UsageEvent, UsageEventBatchSchema, UsageEventSchema } from "@routeplane/contracts/events";
import { newId } from "@routeplane/domain";
import { toTimestamp } from "@routeplane/rpc";
import { createLogger } from "@routeplane/runtime";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { guardrailDecision, pendingRequest, settledRequest, usageEvent } from "../../test/requests.ts";
import type { DeadLetterBox, Unrecorded } from "../domain/dead-letters.ts";
import type { RequestLog } from "../domain/ports.ts";
import type { LoggedRequest } from "../domain/request.ts";
import type { UnloggedDenials } from "../domain/unlogged-denials.ts";
import { fromProtoUsageEvent } from "./convert-usage-event.ts";
import { decodeEvents } from "./decode-events.ts";
import { type Recorder, handleUsageEvents } from "./usage-events.ts";

describe("fromProtoUsageEvent", () => {
  test("reads back what a gateway says, in both phases", () => {
    const pending = pendingRequest({ streamed: true });
    const settled = settledRequest(pending, {
      status: "denied",
      deniedByPolicyId: "pol_x",
      deniedByBindingId: "bnd_x",
      deniedRule: "budget",
      shadowDenials: [{ policyId: "pol_y", bindingId: "bnd_y", rule: "rate_limit.max_requests" }],
      errorCode: "budget",
    });
    for (const said of [pending, settled]) expect(fromProtoUsageEvent(usageEvent(said))).toEqual({ request: said });
  });

  test.each<[string, (event: UsageEvent) => unknown]>([
    ["namespace_id", ({ request }) => Object.assign(request!, { namespaceId: "ns_1' or true" })],
    ["request_id", ({ request }) => Object.assign(request!, { requestId: request!.keyId })],
    ["key_id", ({ request }) => Object.assign(request!, { keyId: "" })],
    ["created_at", ({ request }) => delete request!.createdAt],
    ["phase", (event) => Object.assign(event, { phase: { case: undefined } })],
    ["phase", ({ phase }) => Object.assign(phase.value!, { outcome: 0 })],
    ["phase", ({ phase }) => Object.assign(phase.value!, { outcome: 99 })],
  ])("refuses an event with a bad %s, naming it", (field, spoil) => {
    const event = usageEvent(settledRequest(pendingRequest()));
    spoil(event);
    expect(fromProtoUsageEvent(event)).toEqual({ fault: expect.stringContaining(field) as string });
  });

  test("refuses or reads any event, and never throws", () => {
    const event = fc.record({
      request: fc.option(fc.record({ requestId: fc.string(), model: fc.string({ unit: "binary" }) }), {
        nil: undefined,
      }),
    });
    fc.assert(fc.property(event, (init) => void fromProtoUsageEvent(create(UsageEventSchema, init as object))));
  });

  test("leaves out of a receipt what cannot be true, rather than lose the request", () => {
    const pending = pendingRequest();
    const price = { version: "file:1", inputPicoUsd: -1n, outputPicoUsd: 1n };
    const absurd = { cachedPromptTokens: -1n, reasoningTokens: 10n ** 13n, timeToFirstTokenMs: -1, upstreamMs: -5 };
    const told = { price, billedModel: undefined, admittedAt: new Date("1970-01-01T00:00:00Z"), ...absurd };
    const nothing = Object.fromEntries(Object.keys(told).map((name) => [name, undefined]));
    const kept = guardrailDecision({ blockedResponse: true });
    const guardrailDecisions = [guardrailDecision({ responseRedactions: -1 }), kept];
    const settled = settledRequest(pending);
    expect(fromProtoUsageEvent(usageEvent({ ...settled, receipt: { ...told, guardrailDecisions } }))).toEqual({
      request: { ...settled, receipt: { ...nothing, guardrailDecisions: [kept] } },
    });
  });

  test("cuts a text that is too long, and takes out what Postgres cannot hold, rather than lose the request", () => {
    const pending = pendingRequest({ model: `\0${"x".repeat(400)}` });
    expect(fromProtoUsageEvent(usageEvent(pending))).toEqual({ request: { ...pending, model: "x".repeat(255) } });
  });
});

describe("usageEvents", () => {
  const NOW_MS = Date.parse("2026-11-20T12:00:00Z");
  const recorderOf = (record: RequestLog["record"]): Recorder => ({
    requests: { record, recordDenials: () => Promise.reject(new Error("no denials are expected")) },
    retentionDays: 400,
    clock: () => NOW_MS,
  });

  test("an event that cannot be recorded is set aside, with why and all that it says; the others are recorded", async () => {
    const recorded: LoggedRequest[] = [];
    const aside: Unrecorded[] = [];
    const recorder = recorderOf(async (batch) => void recorded.push(...batch));
    const deadLetters: Pick<DeadLetterBox, "add"> = { add: async (unrecorded) => void aside.push(...unrecorded) };
    const log = createLogger("test", () => "");
    const good = pendingRequest();
    const bad = settledRequest(pendingRequest(), { costNanoUsd: -5n });
    await handleUsageEvents(recorder, deadLetters, log)([usageEvent(bad), usageEvent(good), create(UsageEventSchema)]);
    expect(recorded).toEqual([good]);
    expect(aside).toMatchObject([
      {
        namespaceId: bad.namespaceId,
        requestId: bad.id,
        reason: expect.stringContaining("cost_nano_usd: must be from 0"),
      },
      { namespaceId: "", requestId: "", reason: "namespace_id: must be ns_…" },
    ]);
    expect(fromBinary(UsageEventBatchSchema, aside[0]!.payload).events).toEqual([usageEvent(bad)]);
  });

  test("what is set aside keeps a field that only a later release knows", async () => {
    const aside: Unrecorded[] = [];
    const deadLetters: Pick<DeadLetterBox, "add"> = { add: async (unrecorded) => void aside.push(...unrecorded) };
    const bad = settledRequest(pendingRequest(), { costNanoUsd: -5n });
    // Number 31, as a text.
    const later = Buffer.from([250, 1, 2, 65, 66]);
    const event = Buffer.concat([toBinary(UsageEventSchema, usageEvent(bad)), later]);
    const message = Buffer.from([10, 128 + (event.length % 128), event.length >> 7, ...event]);
    const record = handleUsageEvents(
      recorderOf(() => Promise.resolve()),
      deadLetters,
      createLogger("test", () => ""),
    );
    await record(decodeEvents(message) ?? []);
    expect(aside.map(({ payload }) => Buffer.from(payload))).toEqual([message]);
  });

  test("an event of a time of which nothing is kept any more is set aside, because it may have been counted then", async () => {
    const recorded: LoggedRequest[] = [];
    const aside: Unrecorded[] = [];
    const recorder = recorderOf(async (batch) => void recorded.push(...batch));
    const deadLetters: Pick<DeadLetterBox, "add"> = { add: async (unrecorded) => void aside.push(...unrecorded) };
    const daysAgo = (days: number) => pendingRequest({ createdAt: new Date(NOW_MS - days * 86_400_000 - 1) });
    const [kept, gone] = [daysAgo(399), daysAgo(400)];
    await handleUsageEvents(
      recorder,
      deadLetters,
      createLogger("test", () => ""),
    )([usageEvent(kept), usageEvent(gone)]);
    expect(recorded).toEqual([kept]);
    expect(aside).toMatchObject([{ requestId: gone.id, reason: expect.stringContaining("more than 400 days ago") }]);
  });

  test("counts of denied requests are recorded; one that breaks a rule, or is too old, is set aside", async () => {
    const recorded: UnloggedDenials[] = [];
    const aside: Unrecorded[] = [];
    const deadLetters: Pick<DeadLetterBox, "add"> = { add: async (unrecorded) => void aside.push(...unrecorded) };
    const recorder = {
      ...recorderOf(() => Promise.resolve()),
      requests: {
        record: () => Promise.resolve(),
        recordDenials: async (batch: readonly UnloggedDenials[]) => void recorded.push(...batch),
      },
    };
    const namespaceId = newId("ns");
    const at = { namespaceId, id: newId("den"), keyId: newId("key"), model: "m", provider: "p" };
    const eventOf = (given: { id?: string; count?: bigint; minute?: Date }) => {
      const { id = at.id, count = 7n, minute = new Date(NOW_MS) } = given;
      const value = { ...at, id, count, minute: toTimestamp(minute) };
      return create(UsageEventSchema, { phase: { case: "unloggedDenials", value } });
    };
    const broken = [
      eventOf({ id: "req_x" }),
      eventOf({ count: 0n }),
      eventOf({ count: -1n }),
      eventOf({ count: 10n ** 10n }),
      eventOf({ minute: new Date("1999-12-31T00:00:00Z") }),
      eventOf({ minute: new Date(NOW_MS - 401 * 86_400_000) }),
    ];
    const log = createLogger("test", () => "");
    await handleUsageEvents(recorder, deadLetters, log)([eventOf({}), ...broken]);
    expect(recorded).toEqual([{ ...at, minute: new Date(NOW_MS), deniedCount: 7n }]);
    expect(aside.map(({ reason }) => reason)).toEqual([
      "id: must be den_…",
      expect.stringContaining("count: must be from 1"),
      expect.stringContaining("count: must be from 1"),
      expect.stringContaining("count: must be from 1"),
      expect.stringContaining("minute: must be a time"),
      expect.stringContaining("minute: is more than 400 days ago"),
    ]);
    expect(aside).toMatchObject(broken.map(() => ({ namespaceId, requestId: "" })));
  });

  test("what can neither be recorded nor set aside comes again", async () => {
    const recorder = recorderOf(() => Promise.resolve());
    const deadLetters: Pick<DeadLetterBox, "add"> = { add: () => Promise.reject(new Error("away")) };
    const bad = usageEvent(settledRequest(pendingRequest(), { costNanoUsd: -5n }));
    await expect(
      handleUsageEvents(
        recorder,
        deadLetters,
        createLogger("test", () => ""),
      )([bad]),
    ).rejects.toThrow("away");
  });
});
