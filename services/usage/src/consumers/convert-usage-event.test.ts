import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type AdmittedOnSlices,
  AdmittedOnSlicesSchema,
  type UsageEvent,
  UsageEventSchema,
} from "@routeplane/contracts/events";
import { newId } from "@routeplane/domain";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  attempt,
  guardrailDecision,
  onSlices,
  pendingRequest,
  settledRequest,
  usageEvent,
} from "../../test/requests.ts";
import type { LoggedRequest } from "../domain/request.ts";
import { fromProtoUsageEvent } from "./convert-usage-event.ts";

function slicesOf(given: MessageInitShape<typeof AdmittedOnSlicesSchema>): AdmittedOnSlices {
  return create(AdmittedOnSlicesSchema, { sessionId: newId("gws"), limitSet: 1, ...given });
}

describe("fromProtoUsageEvent", () => {
  test("reads the events of a gateway, in both phases", () => {
    const pending = pendingRequest({ streamed: true, slices: onSlices() });
    const settled = settledRequest(pending, {
      status: "denied",
      deniedByPolicyId: "pol_x",
      deniedByBindingId: "bnd_x",
      deniedRule: "budget",
      shadowDenials: [{ policyId: "pol_y", bindingId: "bnd_y", rule: "rate_limit.max_requests" }],
      errorCode: "budget",
      receipt: {
        ...pending.receipt,
        deniedAmounts: { limit: 5n, remaining: 1n, needed: 2n, retryAt: new Date("2026-11-21T10:00:00.001Z") },
      },
    });
    const unlimited = pendingRequest({ slices: onSlices({ countedAt: undefined }) });
    for (const request of [pending, settled, unlimited]) {
      expect(fromProtoUsageEvent(usageEvent(request))).toEqual({ request });
    }
  });

  test.each<[string, (event: UsageEvent) => unknown]>([
    ["namespace_id", ({ request }) => Object.assign(request!, { namespaceId: "ns_1' or true" })],
    ["request_id", ({ request }) => Object.assign(request!, { requestId: request!.keyId })],
    ["key_id", ({ request }) => Object.assign(request!, { keyId: "" })],
    ["created_at", ({ request }) => delete request!.createdAt],
    ["session_id", ({ request }) => Object.assign(request!, { slices: slicesOf({ sessionId: "gws_1" }) })],
    ["limit_set", ({ request }) => Object.assign(request!, { slices: slicesOf({ limitSet: 0 }) })],
    ["limit_set", ({ request }) => Object.assign(request!, { slices: slicesOf({ limitSet: 2 ** 31 }) })],
    ["tokens_max", ({ request }) => Object.assign(request!, { slices: slicesOf({ tokensMax: -1n }) })],
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

  test("drops implausible values of a receipt instead of losing the request", () => {
    const pending = pendingRequest();
    const price = { version: "file:1", inputPicoUsd: -1n, outputPicoUsd: 1n };
    const absurd = { timeToFirstTokenMs: -1, upstreamMs: -5 };
    const deniedAmounts = { limit: 5n, remaining: -1n, needed: 2n, retryAt: undefined };
    const times = { admittedAt: new Date("1970-01-01T00:00:00Z") };
    const implausible = { price, billedModel: undefined, deniedAmounts, ...times, ...absurd };
    const nothing = Object.fromEntries(Object.keys(implausible).map((name) => [name, undefined]));
    const kept = guardrailDecision({ blockedResponse: true });
    const guardrailDecisions = [guardrailDecision({ responseRedactions: -1 }), kept];
    const keptAttempt = attempt({ startedMs: 0 });
    const attempts = [attempt({ startedMs: -1 }), attempt({ durationMs: -1 }), keptAttempt, attempt({ status: 1_000 })];
    const settled = settledRequest(pending);
    const receipt = { ...implausible, guardrailDecisions, attempts };
    expect(fromProtoUsageEvent(usageEvent({ ...settled, receipt }))).toEqual({
      request: {
        ...settled,
        receipt: { ...nothing, guardrailDecisions: [kept], attempts: [keptAttempt, attempt({ status: undefined })] },
      },
    });
  });

  test("treats a part of the tokens as unreported if it is larger than its whole, or negative", () => {
    const settled = settledRequest(pendingRequest(), { promptTokens: 12n, completionTokens: 34n });
    const within = {
      cachedPromptTokens: 12n,
      cacheWriteTokens: 0n,
      promptAudioTokens: 12n,
      completionAudioTokens: 34n,
      reasoningTokens: 0n,
    };
    const beyond = {
      cachedPromptTokens: 13n,
      cacheWriteTokens: -1n,
      promptAudioTokens: 2n ** 62n,
      completionAudioTokens: 35n,
      reasoningTokens: -(2n ** 62n),
    };
    const none = Object.fromEntries(Object.keys(beyond).map((name) => [name, undefined]));
    expect(fromProtoUsageEvent(usageEvent({ ...settled, ...within }))).toEqual({ request: { ...settled, ...within } });
    expect(fromProtoUsageEvent(usageEvent({ ...settled, ...beyond }))).toEqual({ request: { ...settled, ...none } });
  });

  test.each(["cachedInputPicoUsd", "cacheWritePicoUsd", "inputAudioPicoUsd", "outputAudioPicoUsd", "reasoningPicoUsd"])(
    "drops a price whose %s is implausible",
    (rate) => {
      const settled = settledRequest(pendingRequest());
      const priced = (pico: bigint): LoggedRequest => {
        const price = { version: "file:1", inputPicoUsd: 1n, outputPicoUsd: 1n, [rate]: pico };
        return { ...settled, receipt: { ...settled.receipt, price } };
      };
      expect(fromProtoUsageEvent(usageEvent(priced(10n ** 12n)))).toEqual({ request: priced(10n ** 12n) });
      const unpriced = { ...settled, receipt: { ...settled.receipt, price: undefined } };
      expect(fromProtoUsageEvent(usageEvent(priced(10n ** 12n + 1n)))).toEqual({ request: unpriced });
    },
  );

  test("bounds the texts of an upstream, and makes them printable", () => {
    const settled = settledRequest(pendingRequest(), {
      serviceTier: `tier\0${"x".repeat(100)}`,
      upstreamRequestId: `id\n${"x".repeat(400)}`,
      upstreamError: `said\u001b[31m ${"x".repeat(900)}`,
      upstreamStatus: 99,
    });
    expect(fromProtoUsageEvent(usageEvent(settled))).toEqual({
      request: {
        ...settled,
        serviceTier: `tier ${"x".repeat(59)}`,
        upstreamRequestId: `id ${"x".repeat(197)}`,
        upstreamError: `said [31m ${"x".repeat(490)}`,
        upstreamStatus: undefined,
      },
    });
  });

  test("truncates a long text, and removes characters that Postgres cannot store, instead of losing the request", () => {
    const pending = pendingRequest({ model: `\0${"x".repeat(400)}` });
    expect(fromProtoUsageEvent(usageEvent(pending))).toEqual({ request: { ...pending, model: "x".repeat(255) } });
  });
});
