import { fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { BindingMode, PolicyKind, PolicySpecSchema, PrincipalType } from "@routeplane/contracts/policy";
import { HOSTED_TOOLS, MODALITIES, SERVICE_TIERS } from "@routeplane/policy-spec";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type PolicyUnderTest, refusal, startPolicyUnderTest } from "./policy-under-test.ts";

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

const spec = (json: JsonValue) => fromJson(PolicySpecSchema, json);

const PATTERN = {
  name: "card",
  pattern: "\\b\\d{16}\\b",
  action: "PATTERN_ACTION_REDACT",
  appliesTo: "PATTERN_SCOPE_RESPONSE",
};
const GUARDRAIL = {
  modelAllow: { models: ["openai/*", "echo"] },
  modelDeny: { models: ["*-preview"] },
  maxRequestTokens: "9000000000000000",
  allowStreaming: false,
  contentPatterns: [PATTERN],
  uninspectable: "UNINSPECTABLE_PASS",
  serviceTierAllow: { tiers: [...SERVICE_TIERS] },
  modalityAllow: { modalities: [...MODALITIES] },
  hostedToolAllow: { tools: [...HOSTED_TOOLS] },
};
const RATE_LIMIT = { windowSecs: 2_592_000, maxRequests: "9000000000000000", maxTokens: "1", maxConcurrent: "100000" };
const BUDGET = { window: "BUDGET_WINDOW_TOTAL", limitMicroUsd: "9000000000000000" };

describe("a policy", () => {
  it.each<[string, PolicyKind, JsonValue]>([
    ["a guardrail with every rule", PolicyKind.GUARDRAIL, { guardrail: GUARDRAIL }],
    ["a guardrail that allows no model at all", PolicyKind.GUARDRAIL, { guardrail: { modelAllow: {} } }],
    [
      "a guardrail that blocks what cannot be inspected",
      PolicyKind.GUARDRAIL,
      { guardrail: { uninspectable: "UNINSPECTABLE_BLOCK" } },
    ],
    ["a guardrail that allows no tool of a provider", PolicyKind.GUARDRAIL, { guardrail: { hostedToolAllow: {} } }],
    ["a guardrail that says that streaming is allowed", PolicyKind.GUARDRAIL, { guardrail: { allowStreaming: true } }],
    ["a rate limit with every maximum", PolicyKind.RATE_LIMIT, { rateLimit: RATE_LIMIT }],
    ["a rate limit with one", PolicyKind.RATE_LIMIT, { rateLimit: { windowSecs: 1, maxTokens: "1" } }],
    ["a preset of all", PolicyKind.PRESET, { preset: { guardrail: GUARDRAIL, rateLimit: RATE_LIMIT, budget: BUDGET } }],
    ["a preset of one", PolicyKind.PRESET, { preset: { budget: BUDGET } }],
    ["a budget", PolicyKind.BUDGET, { budget: BUDGET }],
  ])("comes back as it was written: %s", async (name, kind, json) => {
    const { policies } = policy.newNamespace();
    const { policy: made } = await policies.createPolicy({ name, spec: spec(json) });
    const { policy: read } = await policies.getPolicy({ id: made?.id ?? "" });
    expect(read).toEqual(made);
    expect(read?.kind).toBe(kind);
    expect(toJson(PolicySpecSchema, read?.spec ?? expect.fail("no spec"))).toEqual(json);
    expect((await policies.listPolicies({ kind })).policies).toEqual([read]);
  });

  it("blocks by a pattern, in both directions, by default", async () => {
    const { policies } = policy.newNamespace();
    const guardrail = { contentPatterns: [{ name: "a", pattern: "b" }] };
    const { policy: made } = await policies.createPolicy({ name: "a", spec: spec({ guardrail }) });
    expect(toJson(PolicySpecSchema, made?.spec ?? expect.fail("no spec"))).toEqual({
      guardrail: {
        contentPatterns: [{ name: "a", pattern: "b", action: "PATTERN_ACTION_BLOCK", appliesTo: "PATTERN_SCOPE_BOTH" }],
      },
    });
  });

  const pattern = (change: object) => ({ guardrail: { contentPatterns: [{ ...PATTERN, ...change }] } });
  const many = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ ...PATTERN, name: `pattern ${index}` }));
  it.each<[string, JsonValue, string]>([
    ["a guardrail without a rule", { guardrail: {} }, "spec.guardrail"],
    ["a guardrail with an empty list of patterns", { guardrail: { contentPatterns: [] } }, "spec.guardrail"],
    ["too many patterns", { guardrail: { contentPatterns: many(51) } }, "spec.guardrail.content_patterns"],
    [
      "two patterns of one name",
      { guardrail: { contentPatterns: [...many(2), ...many(1)] } },
      "spec.guardrail.content_patterns[2].name",
    ],
    ["a pattern without a name", pattern({ name: "" }), "spec.guardrail.content_patterns[0].name"],
    ["a blank name", pattern({ name: " \t" }), "spec.guardrail.content_patterns[0].name"],
    ["a name too long", pattern({ name: "x".repeat(65) }), "spec.guardrail.content_patterns[0].name"],
    ["look-ahead", pattern({ pattern: "a(?=b)" }), "spec.guardrail.content_patterns[0].pattern"],
    ["a back-reference", pattern({ pattern: "(a)\\1" }), "spec.guardrail.content_patterns[0].pattern"],
    ["a pattern that is none", pattern({ pattern: "a(b" }), "spec.guardrail.content_patterns[0].pattern"],
    ["a pattern that matches the empty text", pattern({ pattern: "a*" }), "spec.guardrail.content_patterns[0].pattern"],
    [
      "a pattern that grows when it is compiled",
      pattern({ pattern: "((a{100}){100}){100}" }),
      "spec.guardrail.content_patterns[0].pattern",
    ],
    ["a pattern with U+0000", pattern({ pattern: "a\u0000" }), "spec.guardrail.content_patterns[0].pattern"],
    ["a blank model", { guardrail: { modelAllow: { models: [" "] } } }, "spec.guardrail.model_allow.models[0]"],
    ["an empty pattern", pattern({ pattern: "" }), "spec.guardrail.content_patterns[0].pattern"],
    ["an enormous pattern", pattern({ pattern: "x".repeat(513) }), "spec.guardrail.content_patterns[0].pattern"],
    ["an unknown action", pattern({ action: 9 }), "spec.guardrail.content_patterns[0].action"],
    ["an unknown direction", pattern({ appliesTo: 9 }), "spec.guardrail.content_patterns[0].applies_to"],
    [
      "an unknown tier",
      { guardrail: { serviceTierAllow: { tiers: ["auto", "turbo"] } } },
      "spec.guardrail.service_tier_allow.tiers[1]",
    ],
    [
      "a tier in upper case",
      { guardrail: { serviceTierAllow: { tiers: ["Flex"] } } },
      "spec.guardrail.service_tier_allow.tiers[0]",
    ],
    [
      "an unknown modality",
      { guardrail: { modalityAllow: { modalities: ["smell"] } } },
      "spec.guardrail.modality_allow.modalities[0]",
    ],
    [
      "an unknown tool",
      { guardrail: { hostedToolAllow: { tools: ["web_search_preview"] } } },
      "spec.guardrail.hosted_tool_allow.tools[0]",
    ],
    ["an unknown rule for uninspectable content", { guardrail: { uninspectable: 9 } }, "spec.guardrail.uninspectable"],
    [
      "too many models",
      { guardrail: { modelAllow: { models: Array.from({ length: 101 }, () => "a") } } },
      "spec.guardrail.model_allow.models",
    ],
    ["an empty model", { guardrail: { modelDeny: { models: ["a", ""] } } }, "spec.guardrail.model_deny.models[1]"],
    ["a cap of zero", { guardrail: { maxRequestTokens: "0" } }, "spec.guardrail.max_request_tokens"],
    ["a rate limit without a maximum", { rateLimit: { windowSecs: 60 } }, "spec.rate_limit"],
    ["a window of zero", { rateLimit: { maxRequests: "1" } }, "spec.rate_limit.window_secs"],
    ["a negative window", { rateLimit: { windowSecs: -1, maxRequests: "1" } }, "spec.rate_limit.window_secs"],
    ["a window too long", { rateLimit: { windowSecs: 2_592_001, maxRequests: "1" } }, "spec.rate_limit.window_secs"],
    ["zero requests", { rateLimit: { windowSecs: 1, maxRequests: "0" } }, "spec.rate_limit.max_requests"],
    ["negative tokens", { rateLimit: { windowSecs: 1, maxTokens: "-1" } }, "spec.rate_limit.max_tokens"],
    [
      "a maximum that overflows",
      { rateLimit: { windowSecs: 1, maxTokens: String(2n ** 63n - 1n) } },
      "spec.rate_limit.max_tokens",
    ],
    [
      "more at once than may be",
      { rateLimit: { windowSecs: 1, maxConcurrent: "100001" } },
      "spec.rate_limit.max_concurrent",
    ],
    ["a preset of nothing", { preset: {} }, "spec.preset"],
    [
      "a fault inside of a preset",
      { preset: { budget: { window: "BUDGET_WINDOW_DAY" } } },
      "spec.preset.budget.limit_micro_usd",
    ],
    [
      "two patterns of one name in a preset",
      { preset: { guardrail: { contentPatterns: [PATTERN, PATTERN] } } },
      "spec.preset.guardrail.content_patterns[1].name",
    ],
  ])("is refused with %s, naming the field, and adds nothing", async (_case, json, field) => {
    const { policies } = policy.newNamespace();
    const error = await refusal(policies.createPolicy({ name: "a", spec: spec(json) }));
    expect(error).toMatchObject({ code: Code.InvalidArgument, reason: "FIELD_INVALID" });
    expect(error.fields).toContain(field);
    expect((await policies.listPolicies({})).policies).toEqual([]);
  });

  it("is refused a pattern with the position of its fault", async () => {
    const { policies } = policy.newNamespace();
    const call = policies.createPolicy({ name: "a", spec: spec(pattern({ pattern: "card (?=x)" })) });
    expect((await refusal(call)).message).toMatch(
      /content_patterns\[0\]\.pattern: is not an RE2 pattern: .* at character 6$/,
    );
  });

  it.each([
    ["a field that is not known", `'{"window_secs": 60, "max_requests": 1, "max_cost": 5}'`],
    ["a field that is not known further down", `'{"window_secs": {"a": 1}, "max_requests": 1}'`],
    ["no maximum", `'{"window_secs": 60}'`],
    ["a number that is none", `'{"window_secs": 60, "max_requests": "many"}'`],
    ["a number below 1", `'{"window_secs": 60, "max_requests": 0}'`],
    ["something else than an object", `'[]'`],
  ])("whose row has %s fails as a whole", async (_case, stored) => {
    const { namespaceId, policies } = policy.newNamespace();
    const json = { rateLimit: { windowSecs: 60, maxRequests: "1" } };
    const { policy: made } = await policies.createPolicy({ name: "a", spec: spec(json) });
    await policy.tamper(sql`update policies set spec = ${sql.raw(stored)}::jsonb where namespace_id = ${namespaceId}`);
    for (const call of [() => policies.getPolicy({ id: made?.id ?? "" }), () => policies.listPolicies({})]) {
      expect(await refusal(call())).toMatchObject({ code: Code.Internal, reason: "INTERNAL" });
    }
    expect(policy.logged.join("")).toMatch(/the stored policy pol_\w{26} cannot be read: spec/);
  });
});

describe("a binding", () => {
  it("has a mode, enforce by default, and keeps it", async () => {
    const { namespaceId, key, policies } = policy.newNamespace();
    const { policy: made } = await policies.createPolicy({ name: "a", spec: spec({ budget: BUDGET }) });
    const policyId = made?.id ?? "";
    const onKey = { policyId, principalType: PrincipalType.API_KEY, principalId: key.id };
    const onNamespace = { policyId, principalType: PrincipalType.NAMESPACE, principalId: namespaceId };
    const shadow = { ...onKey, mode: BindingMode.SHADOW };
    const { binding } = await policies.bindPolicy(shadow);
    expect(binding?.mode).toBe(BindingMode.SHADOW);
    expect((await policies.bindPolicy(onNamespace)).binding?.mode).toBe(BindingMode.ENFORCE);
    expect((await policies.bindPolicy(shadow)).binding).toEqual(binding);
    expect(await refusal(policies.bindPolicy(onKey))).toMatchObject({
      code: Code.AlreadyExists,
      reason: "BINDING_EXISTS",
      metadata: { binding_id: binding?.id },
    });
  });
});
