import { newId } from "@routeplane/domain";
import { createLogger } from "@routeplane/runtime";
import { expect, it } from "vitest";
import type { AdmissionRequest } from "../ports/admissions.ts";
import type { CounterGrant, CounterRequest, GatewaySessions } from "../ports/gateway-sessions.ts";
import type { AppliedLimits } from "../ports/limit-directory.ts";
import { GatewaySession } from "./gateway-session.ts";
import { KeptDecisions } from "./kept-decisions.ts";
import { createLocalAdmissions } from "./local-admissions.ts";
import { SliceCalls } from "./slice-calls.ts";

/** Admissions of a process whose policy service grants what is wanted, by a clock that the test sets. */
function admissionsOn(count: number, dimension: "money" | "requests") {
  const limits = Array.from({ length: count }, (_, index) => ({
    bindingId: `bnd_${index}`,
    dimension,
    limit: 1_000,
    isShadow: false,
    terms: "",
  }));
  let nowMs = 0;
  const elapsed = () => nowMs;
  const grantedNano = new Map<string, number>();
  const grantOf = ({ bindingId, dimension, granted, needed, wanted, doubt }: CounterRequest): CounterGrant => {
    const amount = needed + wanted;
    const isRate = dimension === "requests" || dimension === "tokens";
    grantedNano.set(bindingId, granted + amount);
    return {
      granted: granted + (isRate ? 0 : amount),
      doubt,
      rate: isRate ? { amount, countedAtMs: nowMs, validMs: 1_000 } : undefined,
      // The limit of binding 3 is nearly used up.
      remaining: bindingId === "bnd_3" ? 50 : 1_000_000,
      resetsAtMs: 60_000,
    };
  };
  const sessions: GatewaySessions = {
    renew: async () => ({ state: "open", lengthMs: 30_000 }),
    close: async () => {},
    acquire: async (_, requests) => ({
      state: "open",
      grants: requests.map(({ counters }) => ({ granted: true, counters: counters.map(grantOf) })),
    }),
  };
  const session = new GatewaySession(newId("gws"), 0);
  session.expiresAtMs = Number.POSITIVE_INFINITY;
  const log = createLogger("test", (line) => line, "silent");
  const calls = new SliceCalls({ session, sessions, clock: elapsed, log, onState: () => {} });
  const applied: AppliedLimits = { limits, isCentral: false, name: "limits" };
  const local = createLocalAdmissions({
    limits: { findLimits: () => applied },
    keeper: { current: { session, calls, recordOffset: 0 } },
    kept: new KeptDecisions(elapsed, () => 0),
    elapsed,
    clock: () => 0,
  });
  const request: AdmissionRequest = {
    namespaceId: newId("ns"),
    requestId: newId("req"),
    lineage: [newId("key")],
    price: { inputPicoUsd: 1_000_000n, outputPicoUsd: 2_000_000n },
    inputTokensMax: 100,
    outputTokensMax: 100,
    choices: 1,
    refuseRatherThanLower: true,
    idempotencyKey: undefined,
  };
  return { grantedNano, admit: () => local.admit(request), advance: (ms: number) => (nowMs += ms) };
}

it.each([2, 200])(
  "asks for more of %i budgets before they are used up, so that the first request alone waits",
  async (count) => {
    const { admit, advance } = admissionsOn(count, "money");
    let waited = 0;
    for (let sent = 0; sent < 2_000; sent++) {
      advance(1);
      const admitted = admit();
      if (admitted instanceof Promise) waited++;
      const decision = await admitted;
      if (decision?.admitted !== true) throw new Error("not admitted on slices");
      decision.slices?.acknowledgeAdmission();
      decision.slices?.end();
      decision.slices?.settle(200_000n);
      // Answers of calls ahead of need.
      await new Promise((resolve) => setImmediate(resolve));
    }
    // The first one. Without a look ahead it is nine.
    expect(waited).toBeLessThan(4);
  },
);

it.each([5, 200])("reports what remains of the tightest of %i budgets, its slice included", async (count) => {
  const { admit, advance, grantedNano } = admissionsOn(count, "money");
  let compared = 0;
  for (let sent = 1; sent <= 50; sent++) {
    advance(0.1);
    await new Promise((resolve) => setImmediate(resolve));
    const decided = admit();
    // Each request has 300,000 nano-USD.
    const expected = Math.floor((50 + (grantedNano.get("bnd_3") ?? 0) - sent * 300_000) / 1_000);
    const decision = await decided;
    if (decision?.admitted !== true) throw new Error("not admitted on slices");
    decision.slices?.acknowledgeAdmission();
    if (decided instanceof Promise) continue;
    compared++;
    expect(decision.budgetRemainingMicroUsd).toBe(expected);
  }
  expect(compared).toBeGreaterThan(25);
});

it.each([5, 200])("reports the state of the tightest of %i rate limits", async (count) => {
  const { admit, advance } = admissionsOn(count, "requests");
  for (let sent = 0; sent < 50; sent++) {
    advance(0.1);
    const decision = await admit();
    if (decision?.admitted !== true) throw new Error("not admitted on slices");
    // 50, and what the slice has free, at most.
    expect(decision.requests?.remaining).toBeGreaterThanOrEqual(50);
    expect(decision.requests?.remaining).toBeLessThan(500);
    await new Promise((resolve) => setImmediate(resolve));
  }
});
