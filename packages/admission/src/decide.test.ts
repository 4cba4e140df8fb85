import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EMPTY_COUNTER } from "./counter.ts";
import { decideAdmission, type LimitedBinding, type RequestBounds } from "./decide.ts";
import { reservationCost } from "./price.ts";
import { addToRing, emptyRing } from "./bucket-ring.ts";
import { ENDLESS } from "./scale.ts";

const NOW_MS = Date.UTC(2026, 10, 23);

interface Budget {
  readonly limitNano: bigint;
  readonly spentNano: bigint;
  readonly reservedNano: bigint;
}

function bindingOf({ limitNano, spentNano, reservedNano }: Budget): LimitedBinding {
  const spend = addToRing(emptyRing(ENDLESS), spentNano, NOW_MS, NOW_MS);
  const limits = { budget: { window: "total" as const, limitNano } };
  return { limits, counter: { ...EMPTY_COUNTER, spend, reservedNano }, shadow: false };
}

const decide = (request: RequestBounds, budgets: readonly Budget[]) =>
  decideAdmission(request, budgets.map(bindingOf), NOW_MS);

const nano = (max: bigint) => fc.bigInt({ min: 0n, max });
const budget: fc.Arbitrary<Budget> = fc.record({
  limitNano: fc.oneof(nano(50_000n), nano(9n * 10n ** 18n)),
  spentNano: fc.oneof(nano(50_000n), nano(9n * 10n ** 18n)),
  reservedNano: fc.oneof(nano(50_000n), nano(10n ** 18n)),
});
const budgets = fc.array(budget, { maxLength: 5 });
const request: fc.Arbitrary<RequestBounds> = fc.record({
  price: fc.record({
    inputPicoUsd: fc.oneof(nano(3_000_000n), nano(10n ** 12n)),
    outputPicoUsd: fc.oneof(nano(3_000_000n), nano(10n ** 12n)),
    requestPicoUsd: fc.option(fc.oneof(nano(30_000_000n), nano(10n ** 15n)), { nil: undefined }),
  }),
  inputTokensMax: fc.oneof(nano(50n), nano(10n ** 9n)),
  outputTokensMax: fc.oneof(nano(200n), nano(10n ** 9n)),
  choices: fc.bigInt({ min: 1n, max: 12n }),
});

const remainingOf = ({ limitNano, spentNano, reservedNano }: Budget) => limitNano - spentNano - reservedNano;
const fits = (nanoUsd: bigint, all: readonly Budget[]) =>
  nanoUsd === 0n || all.every((each) => remainingOf(each) >= nanoUsd);

describe("an admission decision", () => {
  it("never reserves more than the remaining amount of any budget", () => {
    fc.assert(
      fc.property(request, budgets, (bounds, all) => {
        const decision = decide(bounds, all);
        if (decision.outcome === "admit") expect(fits(decision.reservedNano, all)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  it("reserves an amount that covers every usage within the granted bounds", () => {
    fc.assert(
      fc.property(request, budgets, (bounds, all) => {
        const decision = decide(bounds, all);
        if (decision.outcome === "deny") return;
        const { price, inputTokensMax } = bounds;
        expect(decision.reservedNano).toBe(reservationCost(price, inputTokensMax, decision.outputTokensMax));
      }),
    );
  });

  it("grants the requested output bound if it fits, else the largest multiple of the choices that fits", () => {
    fc.assert(
      fc.property(request, fc.array(budget, { minLength: 1, maxLength: 5 }), (bounds, all) => {
        const { price, inputTokensMax, outputTokensMax, choices } = bounds;
        const affordable = (output: bigint) => fits(reservationCost(price, inputTokensMax, output), all);
        const decision = decide(bounds, all);
        if (affordable(outputTokensMax)) {
          expect(decision).toMatchObject({ outcome: "admit", outputTokensMax });
        } else if (decision.outcome === "admit") {
          const granted = decision.outputTokensMax;
          expect(granted % choices).toBe(0n);
          expect(granted).toBeGreaterThanOrEqual(choices);
          expect(granted).toBeLessThan(outputTokensMax);
          expect(affordable(granted)).toBe(true);
          const next = granted + choices;
          expect(next >= outputTokensMax || !affordable(next)).toBe(true);
        } else {
          expect(affordable(outputTokensMax < choices ? outputTokensMax : choices)).toBe(false);
        }
      }),
      { numRuns: 5_000 },
    );
  });

  it("for bounds that can be tightened is the same if they fit as they are, and otherwise a denial", () => {
    fc.assert(
      fc.property(request, budgets, fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }), (bounds, all, shadows) => {
        const bindings = all.map((each, index) => ({ ...bindingOf(each), shadow: shadows[index] ?? false }));
        const usual = decideAdmission(bounds, bindings, NOW_MS);
        const strict = decideAdmission({ ...bounds, refuseRatherThanLower: true }, bindings, NOW_MS);
        const fitsAsItIs =
          usual.outcome === "admit" &&
          usual.outputTokensMax === bounds.outputTokensMax &&
          usual.shadowDenials.length === 0;
        if (fitsAsItIs) expect(strict).toEqual(usual);
        else expect(strict).toMatchObject({ outcome: "deny", rule: "budget", shadowDenials: [] });
      }),
      { numRuns: 5_000 },
    );
  });

  it("for bounds that can be tightened still reports denials that no bound changes", () => {
    const limits = { rateLimit: { windowSecs: 60, maxRequests: 0n } };
    const shadow = { limits, counter: EMPTY_COUNTER, shadow: true };
    const bounds = {
      price: { inputPicoUsd: 0n, outputPicoUsd: 0n },
      inputTokensMax: 1n,
      outputTokensMax: 1n,
      choices: 1n,
    };
    const decision = decideAdmission({ ...bounds, refuseRatherThanLower: true }, [shadow], NOW_MS);
    expect(decision).toMatchObject({ outcome: "admit", shadowDenials: [{ rule: "rate_limit.max_requests" }] });
  });

  it("denies for a budget that the least reservation exceeds, with the remaining and the needed amount", () => {
    fc.assert(
      fc.property(request, budgets, (bounds, all) => {
        const decision = decide(bounds, all);
        if (decision.outcome === "admit") return;
        expect(decision.rule).toBe("budget");
        expect(decision.needed).toBeGreaterThan(decision.remaining);
        const { limit, remaining } = decision;
        expect(
          all.some(
            (each) => each.limitNano === limit && remaining === (remainingOf(each) > 0n ? remainingOf(each) : 0n),
          ),
        ).toBe(true);
      }),
    );
  });

  it("grants no less when a limit is raised, and no more when a budget is added", () => {
    const granted = (bounds: RequestBounds, all: readonly Budget[]) => {
      const decision = decide(bounds, all);
      return decision.outcome === "admit" ? decision.outputTokensMax : -1n;
    };
    fc.assert(
      fc.property(request, budgets, budget, nano(10n ** 12n), (bounds, all, another, extraNano) => {
        const raised = all.map((each) => ({ ...each, limitNano: each.limitNano + extraNano }));
        expect(granted(bounds, raised)).toBeGreaterThanOrEqual(granted(bounds, all));
        expect(granted(bounds, [...all, another])).toBeLessThanOrEqual(granted(bounds, all));
      }),
      { numRuns: 1_000 },
    );
  });

  it("keeps every limit over any sequence of requests", () => {
    fc.assert(
      fc.property(fc.array(request, { maxLength: 30 }), fc.array(budget, { minLength: 1 }), (requests, all) => {
        const state = all.map((each) => ({ ...each, spentNano: 0n, reservedNano: 0n }));
        for (const bounds of requests) {
          const decision = decide(bounds, state);
          if (decision.outcome === "deny") continue;
          for (const each of state) each.reservedNano += decision.reservedNano;
        }
        for (const each of state) expect(each.reservedNano).toBeLessThanOrEqual(each.limitNano);
      }),
    );
  });

  it("admits every request to which no budget applies", () => {
    fc.assert(
      fc.property(request, (bounds) => {
        expect(decide(bounds, [])).toMatchObject({ outcome: "admit", outputTokensMax: bounds.outputTokensMax });
      }),
    );
  });

  it("admits a request without output if and only if its input fits", () => {
    const embeddings = { inputTokensMax: 10n, outputTokensMax: 0n, choices: 1n };
    const price = { inputPicoUsd: 1_000_000n, outputPicoUsd: 5n };
    const of = (limitNano: bigint) => [{ limitNano, spentNano: 0n, reservedNano: 0n }];
    const admitted = { outcome: "admit", outputTokensMax: 0n, reservedNano: 10_000n };
    expect(decide({ ...embeddings, price }, of(10_000n))).toMatchObject(admitted);
    expect(decide({ ...embeddings, price }, of(9_999n))).toMatchObject({ outcome: "deny", needed: 10_000n });
  });

  it("admits a free request on a budget that is overdrawn", () => {
    const overdrawn = { limitNano: 1_000n, spentNano: 5_000n, reservedNano: 0n };
    const free = {
      price: { inputPicoUsd: 0n, outputPicoUsd: 0n },
      inputTokensMax: 9n,
      outputTokensMax: 9n,
      choices: 1n,
    };
    expect(decide(free, [overdrawn])).toMatchObject({ outcome: "admit", outputTokensMax: 9n, reservedNano: 0n });
  });
});
