import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { UsageEventBatchSchema, UsageEventSchema } from "@routeplane/contracts/events";
import { newId } from "@routeplane/domain";
import { toTimestamp } from "@routeplane/rpc";
import { createLogger } from "@routeplane/runtime";
import { describe, expect, test } from "vitest";
import { pendingRequest, settledRequest, usageEvent } from "../../test/requests.ts";
import type { DeadLetterBox, Unrecorded } from "../domain/dead-letters.ts";
import type { RequestLog } from "../domain/ports.ts";
import type { LoggedRequest } from "../domain/request.ts";
import type { UnloggedDenials } from "../domain/unlogged-denials.ts";
import { decodeEvents } from "./decode-events.ts";
import { type Recorder, handleUsageEvents } from "./usage-events.ts";

describe("handleUsageEvents", () => {
  const NOW_MS = Date.parse("2026-11-20T12:00:00Z");
  const recorderOf = (record: RequestLog["record"]): Recorder => ({
    requests: {
      record,
      recordDenials: () => Promise.reject(new Error("no denials are expected")),
      keptFrom: async () => new Date(0),
    },
    retentionDays: 400,
    clock: () => NOW_MS,
  });

  test("stores an event that cannot be recorded as a dead letter, with reason and bytes, and records the others", async () => {
    const recorded: LoggedRequest[] = [];
    const stored: Unrecorded[] = [];
    const recorder = recorderOf(async (batch) => void recorded.push(...batch));
    const deadLetters: Pick<DeadLetterBox, "add"> = { add: async (unrecorded) => void stored.push(...unrecorded) };
    const log = createLogger("test", () => "");
    const good = pendingRequest();
    const bad = settledRequest(pendingRequest(), { costNanoUsd: -5n });
    await handleUsageEvents(recorder, deadLetters, log)([usageEvent(bad), usageEvent(good), create(UsageEventSchema)]);
    expect(recorded).toEqual([good]);
    expect(stored).toMatchObject([
      {
        namespaceId: bad.namespaceId,
        requestId: bad.id,
        reason: expect.stringContaining("cost_nano_usd: must be from 0"),
      },
      { namespaceId: "", requestId: "", reason: "namespace_id: must be ns_…" },
    ]);
    expect(fromBinary(UsageEventBatchSchema, stored[0]!.payload).events).toEqual([usageEvent(bad)]);
  });

  test("keeps fields that only a later release knows in a dead letter", async () => {
    const stored: Unrecorded[] = [];
    const deadLetters: Pick<DeadLetterBox, "add"> = { add: async (unrecorded) => void stored.push(...unrecorded) };
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
    expect(stored.map(({ payload }) => Buffer.from(payload))).toEqual([message]);
  });

  test("stores an event older than retention as a dead letter, because it may have been counted before", async () => {
    const recorded: LoggedRequest[] = [];
    const stored: Unrecorded[] = [];
    const recorder = recorderOf(async (batch) => void recorded.push(...batch));
    const deadLetters: Pick<DeadLetterBox, "add"> = { add: async (unrecorded) => void stored.push(...unrecorded) };
    const daysAgo = (days: number) => pendingRequest({ createdAt: new Date(NOW_MS - days * 86_400_000 - 1) });
    const [kept, gone] = [daysAgo(399), daysAgo(400)];
    await handleUsageEvents(
      recorder,
      deadLetters,
      createLogger("test", () => ""),
    )([usageEvent(kept), usageEvent(gone)]);
    expect(recorded).toEqual([kept]);
    expect(stored).toMatchObject([{ requestId: gone.id, reason: expect.stringContaining("more than 400 days ago") }]);
  });

  test("records counts of denied requests; a count that breaks a rule, or is too old, becomes a dead letter", async () => {
    const recorded: UnloggedDenials[] = [];
    const stored: Unrecorded[] = [];
    const deadLetters: Pick<DeadLetterBox, "add"> = { add: async (unrecorded) => void stored.push(...unrecorded) };
    const recorder = {
      ...recorderOf(() => Promise.resolve()),
      requests: {
        record: () => Promise.resolve(),
        recordDenials: async (batch: readonly UnloggedDenials[]) => void recorded.push(...batch),
        keptFrom: async () => new Date(0),
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
    expect(stored.map(({ reason }) => reason)).toEqual([
      "id: must be den_…",
      expect.stringContaining("count: must be from 1"),
      expect.stringContaining("count: must be from 1"),
      expect.stringContaining("count: must be from 1"),
      expect.stringContaining("minute: must be a time"),
      expect.stringContaining("minute: is more than 400 days ago"),
    ]);
    expect(stored).toMatchObject(broken.map(() => ({ namespaceId, requestId: "" })));
  });

  test("fails if an event can neither be recorded nor stored as a dead letter", async () => {
    const recorder = recorderOf(() => Promise.resolve());
    const deadLetters: Pick<DeadLetterBox, "add"> = { add: () => Promise.reject(new Error("down")) };
    const bad = usageEvent(settledRequest(pendingRequest(), { costNanoUsd: -5n }));
    await expect(
      handleUsageEvents(
        recorder,
        deadLetters,
        createLogger("test", () => ""),
      )([bad]),
    ).rejects.toThrow("down");
  });
});
