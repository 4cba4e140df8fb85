import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  endBudgetReservation,
  endRateLimitReservation,
  type ReservationEnd,
  type Counter,
  type Limits,
  EMPTY_COUNTER,
  addReservation,
} from "./counter.ts";
import { decideAdmission, type LimitedBinding, type RequestBounds } from "./decide.ts";
import { limitStatesOf } from "./limit-states.ts";
import { tightestLimitsOf } from "./tightest-limits.ts";
import { ringSum } from "./bucket-ring.ts";

const START_MS = Date.UTC(2026, 10, 23);
const PRICE = { inputPicoUsd: 1_000_000n, outputPicoUsd: 1_000_000n };

interface Bound extends LimitedBinding {
  counter: Counter;
}

const bound = (limits: Limits, shadow = false): Bound => ({ limits, counter: EMPTY_COUNTER, shadow });
const requestOf = (input: number, output: number, choices = 1): RequestBounds => ({
  price: PRICE,
  inputTokensMax: BigInt(input),
  outputTokensMax: BigInt(output),
  choices: BigInt(choices),
});

/** Decides, and counts the reservation on all bindings of the decision, as the ledger does. */
function admit(bindings: readonly Bound[], request: RequestBounds, nowMs: number) {
  const decision = decideAdmission(request, bindings, nowMs);
  if (decision.outcome === "admit") {
    for (const each of decision.bindings) each.counter = addReservation(each.counter, each.limits, decision, nowMs);
  }
  return decision;
}

const limits: fc.Arbitrary<Limits> = fc.record(
  {
    budget: fc.record({
      window: fc.constantFrom("hour" as const, "day" as const, "total" as const),
      limitNano: fc.bigInt({ min: 1_000n, max: 400_000n }),
    }),
    rateLimit: fc.record({
      windowSecs: fc.constantFrom(1, 7, 60, 3_600),
      maxRequests: fc.bigInt({ min: 1n, max: 8n }),
      maxTokens: fc.bigInt({ min: 1n, max: 200n }),
      maxConcurrent: fc.bigInt({ min: 1n, max: 8n }),
    }),
  },
  { requiredKeys: [] },
);
const steps = fc.array(
  fc.record({
    gapMs: fc.oneof(fc.nat(50), fc.nat(2_000), fc.nat(100_000)),
    input: fc.nat(30),
    output: fc.nat(60),
    choices: fc.integer({ min: 1, max: 4 }),
  }),
  { maxLength: 40 },
);

describe("limits of every kind", () => {
  it("are never exceeded over any sequence of requests", () => {
    fc.assert(
      fc.property(fc.array(limits, { minLength: 1, maxLength: 4 }), steps, (all, sequence) => {
        const bindings = all.map((each) => bound(each));
        let nowMs = START_MS;
        for (const { gapMs, input, output, choices } of sequence) {
          nowMs += gapMs;
          const decision = admit(bindings, requestOf(input, output, choices), nowMs);
          if (decision.outcome === "admit") expect(decision.bindings).toHaveLength(bindings.length);
          for (const { limits, counter } of bindings) {
            const { budget, rateLimit } = limits;
            const sum = (ring: Counter["spend"]) => (ring === undefined ? 0n : ringSum(ring, nowMs));
            if (budget) expect(sum(counter.spend) + counter.reservedNano).toBeLessThanOrEqual(budget.limitNano);
            if (!rateLimit) continue;
            expect(sum(counter.requests)).toBeLessThanOrEqual(rateLimit.maxRequests ?? 0n);
            expect(sum(counter.tokens)).toBeLessThanOrEqual(rateLimit.maxTokens ?? 0n);
            expect(counter.openReservations).toBeLessThanOrEqual(rateLimit.maxConcurrent ?? 0n);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it("give to the millisecond when a denied request would be admitted, or that it never would be", () => {
    const windows = fc.array(
      limits.map(({ budget, rateLimit = { windowSecs: 1 } }): Limits => {
        const { maxConcurrent: _, ...countedOnly } = rateLimit as { maxConcurrent?: bigint; windowSecs: number };
        return { budget, rateLimit: countedOnly };
      }),
      { minLength: 1, maxLength: 4 },
    );
    fc.assert(
      fc.property(windows, steps, (all, sequence) => {
        const bindings = all.map((each) => bound(each));
        let nowMs = START_MS;
        for (const { gapMs, input, output, choices } of sequence) {
          nowMs += gapMs;
          const request = requestOf(input, output, choices);
          const decision = admit(bindings, request, nowMs);
          if (decision.outcome === "admit") {
            // Settled at once: the end of an open reservation is not known.
            const charge = { amount: decision.reservedNano, atMs: nowMs };
            const end = { ...NOTHING, releaseNano: decision.reservedNano, charge };
            for (const each of bindings)
              if (each.limits.budget) each.counter = endBudgetReservation(each.counter, end, nowMs);
            continue;
          }
          const at = (ms: number) => decideAdmission(request, bindings, ms).outcome;
          if (decision.retryAtMs === undefined) expect(at(nowMs + 400 * 24 * 3_600_000)).toBe("deny");
          else expect([at(decision.retryAtMs - 1), at(decision.retryAtMs)]).toEqual(["deny", "admit"]);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("deny for the limit that frees last, and reserve nothing on a denial", () => {
    const soon = bound({ rateLimit: { windowSecs: 1, maxRequests: 1n } });
    const late = bound({ rateLimit: { windowSecs: 60, maxRequests: 1n } });
    const never = bound({ budget: { window: "total", limitNano: 5_000n } });
    admit([soon, late, never], requestOf(2, 2), START_MS);
    const before = structuredClone([soon, late, never]);
    const first = admit([soon, late], requestOf(0, 0), START_MS + 5);
    expect(first).toMatchObject({
      outcome: "deny",
      binding: late,
      rule: "rate_limit.max_requests",
      needed: 1n,
      remaining: 0n,
    });
    expect(admit([soon, late, never], requestOf(9, 9), START_MS + 5)).toMatchObject({
      binding: never,
      retryAtMs: undefined,
    });
    expect([soon, late, never]).toEqual(before);
  });

  it("lower the output bound to what money and tokens leave, in multiples of the choices", () => {
    const money = bound({ budget: { window: "day", limitNano: 50_000n } });
    const tokens = bound({ rateLimit: { windowSecs: 60, maxTokens: 31n } });
    expect(decideAdmission(requestOf(10, 1_000, 4), [money], START_MS)).toMatchObject({
      outputTokensMax: 40n,
      tokens: 50n,
    });
    expect(decideAdmission(requestOf(10, 1_000, 4), [money, tokens], START_MS)).toMatchObject({
      outputTokensMax: 20n,
      tokens: 30n,
    });
    expect(decideAdmission(requestOf(28, 1_000, 4), [tokens], START_MS)).toMatchObject({
      outcome: "deny",
      needed: 32n,
      remaining: 31n,
    });
    expect(decideAdmission(requestOf(28, 1_000, 4), [tokens], START_MS)).toMatchObject({ retryAtMs: undefined });
  });

  it("in shadow mode deny nothing and lower nothing, are reported, and count what they would have admitted", () => {
    const shadow = bound({ rateLimit: { windowSecs: 60, maxRequests: 1n, maxTokens: 100n } }, true);
    const enforced = bound({ rateLimit: { windowSecs: 60, maxRequests: 3n } });
    const answers = [1, 2, 3, 4].map(() => admit([shadow, enforced], requestOf(10, 500), START_MS));
    expect(answers.map(({ outcome }) => outcome)).toEqual(["admit", "admit", "admit", "deny"]);
    expect(answers.map(({ shadowDenials }) => shadowDenials.map(({ rule }) => rule))).toEqual([
      [],
      ["rate_limit.max_requests"],
      ["rate_limit.max_requests"],
      ["rate_limit.max_requests"],
    ]);
    expect(answers[0]).toMatchObject({ outputTokensMax: 500n });
    expect(ringSum(shadow.counter.requests ?? expect.fail(), START_MS)).toBe(1n);
  });
});

const NOTHING: ReservationEnd = {
  releaseNano: 0n,
  charge: undefined,
  tokens: undefined,
  requests: undefined,
  freesSlot: false,
};

describe("the end of a reservation", () => {
  it("frees the slot and corrects the tokens in the bucket in which they were counted", () => {
    const one = bound({ rateLimit: { windowSecs: 60, maxTokens: 100n, maxConcurrent: 1n } });
    admit([one], requestOf(50, 40), START_MS);
    expect(admit([one], requestOf(1, 1), START_MS)).toMatchObject({ rule: "rate_limit.max_concurrent" });
    const tokens = { amount: 15n - 90n, atMs: START_MS };
    one.counter = endRateLimitReservation(one.counter, { ...NOTHING, tokens, freesSlot: true }, START_MS + 5_000);
    expect(limitStatesOf(one.limits, one.counter, START_MS + 5_000).map(({ remaining }) => remaining)).toEqual([
      85n,
      1n,
    ]);
    expect(limitStatesOf(one.limits, one.counter, START_MS + 60_600).map(({ remaining }) => remaining)).toEqual([
      100n,
      1n,
    ]);
  });

  it("settles on a limit that was edited in between and keeps its consumption", () => {
    const edited = bound({ budget: { window: "hour", limitNano: 90_000n } });
    const decision = admit([edited], requestOf(10, 10), START_MS);
    if (decision.outcome === "deny") return expect.fail();
    const charge = { amount: 7_000n, atMs: START_MS + 9 };
    edited.counter = endBudgetReservation(
      edited.counter,
      { ...NOTHING, releaseNano: decision.reservedNano, charge },
      START_MS + 9,
    );
    const longer: Limits = { budget: { window: "month", limitNano: 8_000n } };
    const [state] = limitStatesOf(longer, edited.counter, START_MS + 20 * 24 * 3_600_000);
    expect(state).toMatchObject({ remaining: 1_000n });
  });
});

describe("the tightest limits", () => {
  it("are those of the tightest limit of each kind, with the moment at which all of it is free again", () => {
    const wide = bound({ rateLimit: { windowSecs: 60, maxRequests: 10n, maxTokens: 50n } });
    const tight = bound({ rateLimit: { windowSecs: 1, maxRequests: 3n } });
    admit([wide, tight], requestOf(5, 5), START_MS);
    expect(
      tightestLimitsOf([wide, tight, bound({ rateLimit: { windowSecs: 1, maxRequests: 1n } }, true)], START_MS),
    ).toEqual({
      budgetRemainingNano: undefined,
      requests: { limit: 3n, remaining: 2n, resetsAtMs: START_MS + 1_010 },
      tokens: { limit: 50n, remaining: 40n, resetsAtMs: START_MS + 60_600 },
    });
    const none = { budgetRemainingNano: undefined, requests: undefined, tokens: undefined };
    expect(tightestLimitsOf([bound({})], START_MS)).toEqual(none);
  });

  it("has the remaining amount of the budget with the least left, ignoring shadow bindings", () => {
    const budget = (limitNano: bigint) => ({ budget: { window: "day", limitNano } as const });
    const [wide, tight, shadow] = [bound(budget(9_000_000n)), bound(budget(7_000_000n)), bound(budget(1n), true)];
    expect(tightestLimitsOf([wide, tight, shadow], START_MS).budgetRemainingNano).toBe(7_000_000n);
    const decision = admit([wide, tight, shadow], requestOf(10, 10), START_MS);
    const reserved = decision.outcome === "admit" ? decision.reservedNano : expect.fail();
    expect(reserved).toBeGreaterThan(0n);
    expect(tightestLimitsOf([wide, tight, shadow], START_MS).budgetRemainingNano).toBe(7_000_000n - reserved);
  });
});
