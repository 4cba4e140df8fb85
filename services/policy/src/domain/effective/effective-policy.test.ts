import { newId } from "@routeplane/domain";
import type { GuardrailSpec } from "@routeplane/guardrails";
import type { PolicySpec } from "@routeplane/policy-spec";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Applied } from "./applied-policy.ts";
import { composePolicies } from "./effective-policy.ts";

const namespaceId = newId("ns");

function applied(spec: PolicySpec, mode: "enforce" | "shadow" = "enforce"): Applied<PolicySpec> {
  const principal = { type: "namespace", id: namespaceId } as const;
  return { policyId: newId("pol"), policyName: "a policy", bindingId: newId("bnd"), principal, mode, spec };
}

const models = fc.array(fc.constantFrom("a", "b", "openai/*", "c*"), { maxLength: 4 });
const pattern = fc.record({
  name: fc.constantFrom("card", "mail"),
  pattern: fc.constantFrom("[0-9]+", "@"),
  action: fc.constantFrom("block" as const, "redact" as const),
  appliesTo: fc.constantFrom("request" as const, "response" as const, "both" as const),
});
const guardrail: fc.Arbitrary<GuardrailSpec> = fc.record(
  {
    modelAllow: models,
    modelDeny: models,
    maxRequestTokens: fc.integer({ min: 1, max: 5 }),
    allowStreaming: fc.boolean(),
    contentPatterns: fc.array(pattern, { maxLength: 3 }),
  },
  { requiredKeys: [] },
);
const budget = { window: "day", limitMicroUsd: 5n } as const;
const rateLimit = { windowSecs: 60, maxRequests: 5n } as const;
const anyPolicy = fc.oneof(
  guardrail.map((spec): PolicySpec => ({ kind: "guardrail", ...spec })),
  guardrail.map((spec): PolicySpec => ({ kind: "preset", guardrail: spec, budget })),
  fc.constant<PolicySpec>({ kind: "preset", rateLimit, budget }),
  fc.constant<PolicySpec>({ kind: "budget", ...budget }),
  fc.constant<PolicySpec>({ kind: "rate_limit", ...rateLimit }),
);
const policies = fc.array(
  fc.tuple(anyPolicy, fc.constantFrom("enforce" as const, "shadow" as const)).map((each) => applied(...each)),
  { maxLength: 6 },
);

describe("the effective policy", () => {
  it("depends neither on the order of its policies nor on repetitions", () => {
    fc.assert(
      fc.property(policies, (all) => {
        const expected = composePolicies(all);
        expect(composePolicies(all.toReversed())).toEqual(expected);
        expect(composePolicies([...all, ...all])).toEqual(expected);
      }),
    );
  });

  it("keeps enforced guardrails apart from those in shadow mode, with the source of each rule", () => {
    fc.assert(
      fc.property(policies, (all) => {
        const { guardrail, shadowGuardrail } = composePolicies(all);
        const only = (mode: "enforce" | "shadow") => composePolicies(all.filter((each) => each.mode === mode));
        expect(guardrail).toEqual(only("enforce").guardrail);
        expect(shadowGuardrail).toEqual(only("shadow").shadowGuardrail);
        for (const { spec: policy, ...source } of all) {
          const spec = policy.kind === "guardrail" ? policy : policy.kind === "preset" ? policy.guardrail : undefined;
          const effective = source.mode === "enforce" ? guardrail : shadowGuardrail;
          expect(effective?.sources.get(source.bindingId)).toEqual(spec && source);
          if (spec?.modelAllow === undefined) continue;
          const lists = effective?.modelAllow.filter(({ sources }) => sources.includes(source.bindingId));
          expect(lists?.map(({ value }) => value)).toEqual([[...new Set(spec.modelAllow)].toSorted()]);
        }
      }),
    );
  });

  it("has every budget and every rate limit, those in presets too, each for itself", () => {
    const budgetPolicy = applied({ kind: "budget", ...budget });
    const presetPolicy = applied({ kind: "preset", budget, rateLimit }, "shadow");
    const { budgets, rateLimits, guardrail, shadowGuardrail } = composePolicies([budgetPolicy, presetPolicy]);
    expect(budgets).toMatchObject([
      { bindingId: budgetPolicy.bindingId, mode: "enforce", spec: budget },
      { bindingId: presetPolicy.bindingId, mode: "shadow", spec: budget },
    ]);
    expect(rateLimits).toMatchObject([{ bindingId: presetPolicy.bindingId, spec: rateLimit }]);
    expect([guardrail, shadowGuardrail]).toEqual([undefined, undefined]);
  });
});
