import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type SourcedGuardrail,
  compose,
  judgeHostedTools,
  judgeModalities,
  judgeModel,
  judgeServiceTiers,
  judgeStreaming,
  judgeTokens,
  judgeUninspectable,
} from "./compose.ts";
import type { GuardrailSpec } from "./spec.ts";

const entry = fc.constantFrom(
  "gpt-*",
  "openai/*",
  "gpt-4o",
  "OpenAI/GPT-4o ",
  "*",
  "claude",
  "echo",
  "*/echo",
  "meta/llama",
);
const spec: fc.Arbitrary<GuardrailSpec> = fc.record(
  {
    modelAllow: fc.array(entry, { maxLength: 3 }),
    modelDeny: fc.array(entry, { maxLength: 2 }),
    maxRequestTokens: fc.integer({ min: 1, max: 5 }),
    allowStreaming: fc.boolean(),
    contentPatterns: fc.array(
      fc.record({
        name: fc.constantFrom("one", "two"),
        pattern: fc.constantFrom("a", "b+"),
        action: fc.constantFrom("block" as const, "redact" as const),
        appliesTo: fc.constantFrom("request" as const, "both" as const),
      }),
      { maxLength: 2 },
    ),
    uninspectable: fc.constantFrom("block" as const, "pass" as const),
    serviceTierAllow: fc.subarray(["auto", "flex", "priority"]),
    modalityAllow: fc.subarray(["text", "audio"]),
    hostedToolAllow: fc.subarray(["web_search", "mcp"]),
  },
  { requiredKeys: [] },
);
const applied: fc.Arbitrary<readonly SourcedGuardrail[]> = fc.array(
  fc.record({ source: fc.constantFrom("bnd_1", "bnd_2", "bnd_3"), spec }),
  { maxLength: 5 },
);
const model = fc.record({
  provider: fc.constantFrom("openai", "echo", "router"),
  id: fc.constantFrom("gpt-4o", "gpt-5", "claude", "echo", "meta/llama"),
});

const asked = fc.record({
  tiers: fc.subarray(["auto", "flex", "priority", ""]),
  modalities: fc.subarray(["text", "audio", ""], { minLength: 1 }),
  tools: fc.subarray(["web_search", "mcp", ""]),
});

describe("composed guardrails", () => {
  it("do not depend on their order", () => {
    fc.assert(
      fc.property(applied, fc.array(fc.nat(), { maxLength: 5 }), (guardrails, keys) => {
        const shuffled = guardrails
          .map((guardrail, index) => ({ guardrail, key: keys[index] ?? 0 }))
          .toSorted((a, b) => a.key - b.key);
        expect(compose(shuffled.map(({ guardrail }) => guardrail))).toEqual(compose(guardrails));
      }),
    );
  });

  it("do not change when one is given twice", () => {
    fc.assert(
      fc.property(applied, (guardrails) => {
        expect(compose([...guardrails, ...guardrails])).toEqual(compose(guardrails));
      }),
    );
  });

  it("are as strict as the strictest of them, and no stricter", () => {
    fc.assert(
      fc.property(
        applied,
        model,
        fc.boolean(),
        fc.integer({ min: 1, max: 6 }),
        asked,
        (guardrails, model, streamed, tokens, { tiers, modalities, tools }) => {
          const refuses = (applying: readonly SourcedGuardrail[]): boolean => {
            const effective = compose(applying);
            const violations = [
              judgeModel(effective, model),
              judgeStreaming(effective, streamed),
              judgeTokens(effective, tokens),
              judgeUninspectable(effective, "request"),
              judgeUninspectable(effective, "response"),
              judgeServiceTiers(effective, tiers),
              judgeModalities(effective, modalities),
              judgeHostedTools(effective, tools),
            ];
            return violations.some((violation) => violation !== undefined);
          };
          // No stricter: whatever they refuse together, at least one of them refuses alone.
          expect(refuses(guardrails)).toBe(guardrails.some((guardrail) => refuses([guardrail])));
          const patterns = compose(guardrails).contentPatterns.map(({ value }) => value);
          for (const { spec } of guardrails)
            for (const pattern of spec.contentPatterns ?? []) expect(patterns).toContainEqual(pattern);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("match a model against their lists once, however often it is judged, and every model by itself", () => {
    let reads = 0;
    const denied = {
      get value() {
        reads++;
        return "azure/gpt-*";
      },
      sources: ["b"],
    };
    const guardrail = { modelAllow: [], modelDeny: [denied] };
    const rulesOf = (count: number, provider: string) =>
      Array.from({ length: count }, (_, n) => judgeModel(guardrail, { provider, id: `gpt-${n % 40}` })?.rule);
    expect(rulesOf(400, "azure")).toEqual(Array.from({ length: 400 }, () => "guardrail.model_deny"));
    expect(rulesOf(400, "openai")).toEqual(Array.from({ length: 400 }, () => undefined));
    expect(reads).toBe(80);
    const many = Array.from({ length: 2_500 }, (_, n) => judgeModel(guardrail, { provider: "azure", id: `gpt-x${n}` }));
    expect(many.every((violation) => violation?.source === "b")).toBe(true);
  });

  it("name a source for every violation, and this guardrail alone has the violation, too", () => {
    fc.assert(
      fc.property(applied, model, (guardrails, model) => {
        const violation = judgeModel(compose(guardrails), model);
        if (violation === undefined) return;
        const ofSource = guardrails.filter(({ source }) => source === violation.source);
        expect(ofSource.some((guardrail) => judgeModel(compose([guardrail]), model)?.rule === violation.rule)).toBe(
          true,
        );
      }),
      { numRuns: 500 },
    );
  });

  it("allow a request without a tier if they allow a tier at which the provider may serve it", () => {
    const judged = (...lists: readonly string[][]) =>
      judgeServiceTiers(compose(lists.map((serviceTierAllow) => ({ source: "b", spec: { serviceTierAllow } }))), []);
    for (const allowed of [["auto"], ["default", "flex"], ["on_demand"]]) expect(judged(allowed)).toBeUndefined();
    for (const refused of [[], ["flex"], ["priority", "scale"]])
      expect(judged(refused)?.rule).toBe("guardrail.service_tier_allow");
    expect(judged(["auto"], ["flex"])).toBeDefined();
  });

  it("allow all without a rule, and nothing with an empty allow-list", () => {
    const echo = { provider: "echo", id: "echo" };
    expect(judgeModel(compose([]), echo)).toBeUndefined();
    expect(judgeModel(compose([{ source: "b", spec: { modelAllow: [] } }]), echo)).toEqual({
      rule: "guardrail.model_allow",
      source: "b",
    });
    const disjoint = [["gpt-*"], ["echo"]].map((modelAllow, index) => ({
      source: `bnd_${index}`,
      spec: { modelAllow },
    }));
    expect(judgeModel(compose(disjoint), echo)?.source).toBe("bnd_0");
  });
});

describe("the rule for content that cannot be inspected", () => {
  const pattern = { name: "a", pattern: "a", action: "block", appliesTo: "request" } as const;
  const blocked = (...specs: readonly GuardrailSpec[]) => {
    const effective = compose(specs.map((spec, index) => ({ source: `bnd_${index}`, spec })));
    return (["request", "response"] as const).filter((direction) => judgeUninspectable(effective, direction));
  };

  it("defaults to block if a pattern of the guardrail blocks, and to pass otherwise", () => {
    expect(blocked({ contentPatterns: [pattern] })).toEqual(["request"]);
    expect(blocked({ contentPatterns: [{ ...pattern, appliesTo: "both" }] })).toEqual(["request", "response"]);
    expect(blocked({ contentPatterns: [{ ...pattern, action: "redact" }], modelDeny: ["x"] })).toEqual([]);
  });

  it("is the one of the guardrail, or the strictest of several", () => {
    expect(blocked({ contentPatterns: [pattern], uninspectable: "pass" })).toEqual([]);
    expect(blocked({ uninspectable: "block" })).toEqual(["request", "response"]);
    expect(blocked({ uninspectable: "pass" }, { contentPatterns: [pattern] })).toEqual(["request"]);
    expect(blocked({ uninspectable: "pass" }, { uninspectable: "block" })).toEqual(["request", "response"]);
  });
});

describe("an entry of a model list", () => {
  const refusal = (spec: GuardrailSpec, provider: string, id: string) =>
    judgeModel(compose([{ source: "b", spec }]), { provider, id })?.rule;

  it.each([
    ["gpt-4o", "openai", "gpt-4o"],
    [" GPT-4o\t", "openai", "gpt-4o"],
    ["openai/gpt-4o", "openai", "gpt-4o"],
    ["OpenAI/gpt-4O", "openai", "gpt-4o"],
    ["gpt-*", "azure", "GPT-4o"],
    ["*4o", "azure", "gpt-4o"],
    ["g*4*", "azure", "gpt-4o"],
    ["openai/*", "openai", "o3"],
    ["*/gpt-4o", "azure", "gpt-4o"],
    ["*", "azure", "vendor/model"],
    ["router/meta/llama", "router", "meta/llama"],
    ["g****o", "x", "gpt-4o"],
  ])("%j matches %s/%s", (entry, provider, id) => {
    expect(refusal({ modelDeny: [entry] }, provider, id)).toBe("guardrail.model_deny");
    expect(refusal({ modelAllow: [entry] }, provider, id)).toBeUndefined();
  });

  it.each([
    ["gpt-4", "openai", "gpt-4o"],
    ["openai/gpt-4o", "azure", "gpt-4o"],
    ["openai", "openai", "gpt-4o"],
    ["ab*ba", "x", "aba"],
    ["", "x", "y"],
    ["g.t-4o", "openai", "gpt-4o"],
  ])("%j does not match %s/%s", (entry, provider, id) => {
    expect(refusal({ modelDeny: [entry] }, provider, id)).toBeUndefined();
    expect(refusal({ modelAllow: [entry] }, provider, id)).toBe("guardrail.model_allow");
  });

  it("denies an id with a slash also by the id alone, but does not allow it by that", () => {
    expect(refusal({ modelDeny: ["meta/*"] }, "router", "meta/llama")).toBe("guardrail.model_deny");
    expect(refusal({ modelAllow: ["meta/*"] }, "router", "meta/llama")).toBe("guardrail.model_allow");
  });

  it("is overruled by a deny-list", () => {
    expect(refusal({ modelAllow: ["*"], modelDeny: ["gpt-4o"] }, "openai", "gpt-4o")).toBe("guardrail.model_deny");
  });
});
