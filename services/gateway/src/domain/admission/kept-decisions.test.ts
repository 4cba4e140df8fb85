import { newId } from "@routeplane/domain";
import { describe, expect, it } from "vitest";
import type { AdmissionDecision, AdmissionRequest } from "../ports/admissions.ts";
import type { AppliedLimits } from "../ports/limit-directory.ts";
import { KeptDecisions } from "./kept-decisions.ts";

const namespaceId = newId("ns");
const limits: AppliedLimits = {
  limits: [
    { bindingId: "bnd_a", dimension: "money", limit: 0, isShadow: false, terms: "" },
    { bindingId: "bnd_b", dimension: "requests", limit: 9, isShadow: true, terms: "" },
  ],
  isCentral: false,
  name: "two",
};

function requestOf(outputTokensMax: number, more: Partial<AdmissionRequest> = {}): AdmissionRequest {
  const price = { inputPicoUsd: 1n, outputPicoUsd: 2n };
  const bounds = { price, inputTokensMax: 10, outputTokensMax, choices: 1, refuseRatherThanLower: false };
  const names = { namespaceId, requestId: newId("req"), lineage: [newId("key")], idempotencyKey: undefined };
  return { ...names, ...bounds, ...more };
}

function denialBy(rule: string, retryAt?: Date, isFirm = true): AdmissionDecision {
  const source = { policyId: "pol_a", policyName: "a", bindingId: "bnd_a", principalId: namespaceId };
  const denial = { ...source, principalType: "namespace" as const, rule, retryAt, isFirm, message: `no ${rule}` };
  return { admitted: false, denial, shadowDenials: [], requests: undefined, tokens: undefined };
}

function keptAt(nowMs = 0) {
  const time = { nowMs };
  const kept = new KeptDecisions(
    () => time.nowMs,
    () => time.nowMs,
  );
  return { time, kept };
}

describe("a refusal", () => {
  it("is repeated for 250 ms, only to requests with the same bounds", () => {
    const { kept, time } = keptAt();
    const refusal = denialBy("budget");
    kept.ask(limits, requestOf(100))(refusal);
    expect(kept.refusalOf(limits, requestOf(100))).toBe(refusal);
    for (const other of [requestOf(99), requestOf(101), requestOf(100, { refuseRatherThanLower: true })])
      expect(kept.refusalOf(limits, other)).toBeUndefined();
    expect(kept.refusalOf({ ...limits }, requestOf(100))).toBeUndefined();
    time.nowMs = 250;
    expect(kept.refusalOf(limits, requestOf(100))).toBeUndefined();
  });

  it("is repeated to smaller requests too if no request or slot is left", () => {
    const { kept } = keptAt();
    kept.ask(limits, requestOf(100))(denialBy("rate_limit.max_requests"));
    expect(kept.refusalOf(limits, requestOf(1))).toBeDefined();
    expect(kept.refusalOf(limits, requestOf(101))).toBeUndefined();
  });

  it("is not kept if running requests, or slices of other processes, are the reason", () => {
    const { kept } = keptAt();
    kept.ask(limits, requestOf(100))(denialBy("budget", undefined, false));
    expect(kept.refusalOf(limits, requestOf(100))).toBeUndefined();
  });

  it("is not kept beyond the moment from which the request fits", () => {
    const { kept, time } = keptAt();
    kept.ask(limits, requestOf(100))(denialBy("rate_limit.max_requests", new Date(40)));
    time.nowMs = 39;
    expect(kept.refusalOf(limits, requestOf(100))).toBeDefined();
    time.nowMs = 40;
    expect(kept.refusalOf(limits, requestOf(100))).toBeUndefined();
  });

  it("is forgotten once something in the namespace becomes free, even during the call", () => {
    const { kept } = keptAt();
    kept.ask(limits, requestOf(100))(denialBy("budget"));
    kept.free(newId("ns"), true);
    expect(kept.refusalOf(limits, requestOf(100))).toBeDefined();
    kept.free(namespaceId, false);
    expect(kept.refusalOf(limits, requestOf(100))).toBeUndefined();
    const answer = kept.ask(limits, requestOf(100));
    kept.free(namespaceId, false);
    answer(denialBy("budget"));
    expect(kept.refusalOf(limits, requestOf(100))).toBeUndefined();
  });

  it("of a limit of requests is forgotten once a request was never sent, and not once one has ended", () => {
    const { kept } = keptAt();
    kept.ask(limits, requestOf(100))(denialBy("rate_limit.max_requests"));
    kept.free(namespaceId, false);
    expect(kept.refusalOf(limits, requestOf(100))).toBeDefined();
    kept.free(namespaceId, true);
    expect(kept.refusalOf(limits, requestOf(100))).toBeUndefined();
  });

  it("is forgotten with those of all namespaces rather than kept for ever", () => {
    const { kept } = keptAt();
    kept.ask(limits, requestOf(100))(denialBy("budget"));
    for (let n = 0; n <= 10_000; n++) kept.free(newId("ns"), false);
    expect(kept.refusalOf(limits, requestOf(100))).toBeUndefined();
  });
});

describe("a shadow binding that is used up", () => {
  const admittedBeside = (rule: string): AdmissionDecision => ({
    admitted: true,
    outputTokensMax: 100,
    reservedNanoUsd: 5n,
    expiresAt: new Date(),
    shadowDenials: [{ policyId: "pol_b", bindingId: "bnd_b", rule }],
    requests: undefined,
    tokens: undefined,
  });

  it("is left out of the limits of requests that it would deny, and one of them asks again every 250 ms", () => {
    const { kept, time } = keptAt();
    kept.ask(limits, requestOf(100))(admittedBeside("rate_limit.max_requests"));
    const shadows = kept.usedUpShadowsOf(limits, requestOf(1));
    expect(shadows?.others).toMatchObject({ limits: [{ bindingId: "bnd_a" }], name: "bnd_a money" });
    expect(shadows?.denials).toMatchObject([{ bindingId: "bnd_b" }]);
    time.nowMs = 250;
    expect(kept.usedUpShadowsOf(limits, requestOf(1))).toBeUndefined();
    expect(kept.usedUpShadowsOf(limits, requestOf(1))).toBeDefined();
    // The same limits are the same object, and so the same limit set of the session.
    kept.ask(limits, requestOf(100))(admittedBeside("rate_limit.max_requests"));
    expect(kept.usedUpShadowsOf(limits, requestOf(1))?.others).toBe(shadows?.others);
    kept.noteShadowsFit(limits, requestOf(99));
    expect(kept.usedUpShadowsOf(limits, requestOf(1))).toBeDefined();
    kept.noteShadowsFit(limits, requestOf(100));
    expect(kept.usedUpShadowsOf(limits, requestOf(1))).toBeUndefined();
  });

  it("by its money or tokens denies no smaller request, and none with bounds that can be tightened", () => {
    const { kept } = keptAt();
    kept.ask(limits, requestOf(100))(admittedBeside("budget"));
    expect(kept.usedUpShadowsOf(limits, requestOf(100))).toBeDefined();
    expect(kept.usedUpShadowsOf(limits, requestOf(99))).toBeUndefined();
    expect(kept.usedUpShadowsOf(limits, requestOf(100, { refuseRatherThanLower: true }))).toBeUndefined();
  });
});
