import { create, fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import {
  BudgetSpecSchema,
  BudgetWindow,
  CreateBudgetRequestSchema,
  GuardrailSpecSchema,
  PolicyKind,
  type Policy,
  PolicySpecSchema,
  PresetSpecSchema,
  PrincipalType,
  RateLimitSpecSchema,
} from "@routeplane/contracts/policy";
import { newId } from "@routeplane/domain";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type PolicyUnderTest, refusal, startPolicyUnderTest, type TestNamespace } from "./policy-under-test.ts";

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

const budgetSpec = { window: BudgetWindow.DAY, limitMicroUsd: 5n };
const guardrail = (json: JsonValue) => fromJson(GuardrailSpecSchema, json);
const preset = (json: JsonValue) => fromJson(PresetSpecSchema, json);
const PATTERN = { name: "card", pattern: "\\d{16}", action: "PATTERN_ACTION_REDACT", appliesTo: "PATTERN_SCOPE_BOTH" };

/** Spec as JSON, without the name of its kind. */
function specJsonOf(made: Policy | undefined): unknown {
  const json = toJson(PolicySpecSchema, made?.spec ?? expect.fail("no policy")) as Record<string, unknown>;
  return Object.values(json)[0];
}

/** Creates one policy of each kind, through the service of its kind. */
async function createOfEachKind({ budgets, guardrails, rateLimits, presets }: TestNamespace) {
  const [budget, rail, rate, bundle] = await Promise.all([
    budgets.createBudget({ name: "budget", spec: budgetSpec }),
    guardrails.createGuardrail({ name: "guardrail", spec: guardrail({ allowStreaming: false }) }),
    rateLimits.createRateLimit({ name: "rate limit", spec: { windowSecs: 60, maxRequests: 5n } }),
    presets.createPreset({ name: "preset", spec: { budget: budgetSpec } }),
  ]);
  return { budget, rail, rate, bundle };
}

describe("the services of one kind each", () => {
  it("make, read and list the same policies as the policy service", async () => {
    const own = policy.newNamespace();
    const { budget, rail, rate, bundle } = await createOfEachKind(own);
    for (const made of [budget, rail, rate, bundle]) {
      expect((await own.policies.getPolicy({ id: made.policy?.id ?? "" })).policy).toEqual(made.policy);
      expect(made.bindings).toEqual([]);
    }
    const id = (made: { policy?: Policy | undefined }) => ({ id: made.policy?.id ?? "" });
    expect((await own.budgets.getBudget(id(budget))).policy).toEqual(budget.policy);
    expect((await own.guardrails.getGuardrail(id(rail))).policy).toEqual(rail.policy);
    expect((await own.rateLimits.getRateLimit(id(rate))).policy).toEqual(rate.policy);
    expect((await own.presets.getPreset(id(bundle))).policy).toEqual(bundle.policy);
    expect((await own.budgets.listBudgets({})).policies).toEqual([budget.policy]);
    expect((await own.guardrails.listGuardrails({})).policies).toEqual([rail.policy]);
    expect((await own.rateLimits.listRateLimits({})).policies).toEqual([rate.policy]);
    expect((await own.presets.listPresets({})).policies).toEqual([bundle.policy]);
  });

  it("return NOT_FOUND for a policy of another kind, with the same bytes as for an unknown one", async () => {
    const own = policy.newNamespace();
    const { budget, rail } = await createOfEachKind(own);
    const [ofBudget, ofGuardrail] = [budget.policy?.id ?? "", rail.policy?.id ?? ""];
    const unknown = await refusal(own.budgets.getBudget({ id: newId("pol") }));
    const calls = [
      own.budgets.getBudget({ id: ofGuardrail }),
      own.budgets.updateBudget({ id: ofGuardrail, name: "x" }),
      own.budgets.deleteBudget({ id: ofGuardrail, unbind: true }),
      own.guardrails.updateGuardrail({ id: ofBudget, allowStreaming: true }),
      own.rateLimits.getRateLimit({ id: ofBudget }),
      own.presets.deletePreset({ id: ofBudget }),
    ];
    for (const answer of await Promise.all(calls.map(refusal))) expect(answer).toEqual(unknown);
    expect((await own.policies.listPolicies({})).policies).toHaveLength(4);
  });

  it("need the scopes that the policy service needs", async () => {
    const { budgets } = policy.newNamespace(["policy:read"]);
    const error = await refusal(budgets.createBudget({ name: "a", spec: budgetSpec }));
    expect(error).toMatchObject({ code: Code.PermissionDenied, metadata: { scope: "policy:write" } });
  });

  it("delete a policy as the policy service does", async () => {
    const own = policy.newNamespace();
    const bindTo = [{ principalType: PrincipalType.NAMESPACE, principalId: own.namespaceId }];
    const { policy: made, bindings } = await own.budgets.createBudget({ name: "a", spec: budgetSpec, bindTo });
    const id = made?.id ?? "";
    expect(await refusal(own.budgets.deleteBudget({ id }))).toMatchObject({ reason: "POLICY_BOUND" });
    expect((await own.budgets.deleteBudget({ id, unbind: true })).unbound).toEqual(bindings);
  });
});

describe("creating and binding at once", () => {
  it("does both", async () => {
    const own = policy.newNamespace();
    const bindTo = [
      { principalType: PrincipalType.NAMESPACE, principalId: own.namespaceId },
      { principalType: PrincipalType.API_KEY, principalId: own.key.id },
    ];
    const { policy: made, bindings } = await own.budgets.createBudget({ name: "a", spec: budgetSpec, bindTo });
    expect(bindings).toMatchObject(bindTo);
    expect((await own.policies.listBindings({ policyId: made?.id ?? "" })).bindings).toEqual(bindings);
    expect((await policy.totals(own.namespaceId)).size).toBe(2);
  });

  it("does neither if one of them cannot be done", async () => {
    const [own, foreign] = [policy.newNamespace(), policy.newNamespace()];
    const sub = policy.key(own.namespaceId, own.key);
    policy.revoke(sub.id);
    const on = (principalId: string) => ({ principalType: PrincipalType.API_KEY, principalId });
    const attempt = (...principalIds: string[]) =>
      refusal(own.budgets.createBudget({ name: "a", spec: budgetSpec, bindTo: principalIds.map(on) }));
    expect(await attempt(own.key.id, foreign.key.id)).toMatchObject({ code: Code.NotFound });
    expect(await attempt(own.key.id, newId("key"))).toMatchObject({ code: Code.NotFound });
    expect(await attempt(own.key.id, sub.id)).toMatchObject({ reason: "STATE_CONFLICT" });
    expect(await attempt(own.key.id, own.key.id)).toMatchObject({ fields: ["bind_to[1]"] });
    expect((await own.policies.listPolicies({})).policies).toEqual([]);
    await own.budgets.createBudget({ name: "a", spec: budgetSpec });
  });

  it("counts towards the quota of the principal", async () => {
    const own = policy.newNamespace();
    const bindTo = [{ principalType: PrincipalType.NAMESPACE, principalId: own.namespaceId }];
    const request = (name: string) => create(CreateBudgetRequestSchema, { name, spec: budgetSpec, bindTo });
    for (let n = 0; n < 100; n++) await own.budgets.createBudget(request(`budget ${n}`));
    expect(await refusal(own.budgets.createBudget(request("more")))).toMatchObject({ reason: "LIMIT_REACHED" });
    expect((await own.policies.listPolicies({})).policies).toHaveLength(100);
  });
});

describe("updating through the service of a kind", () => {
  it("keeps the fields of a budget that are not set", async () => {
    const { budgets } = policy.newNamespace();
    const { policy: made } = await budgets.createBudget({ name: "a", spec: budgetSpec });
    const id = made?.id ?? "";
    const { policy: larger } = await budgets.updateBudget({ id, limitMicroUsd: 9n, etag: made?.etag ?? "" });
    expect(specJsonOf(larger)).toEqual({ window: "BUDGET_WINDOW_DAY", limitMicroUsd: "9" });
    const { policy: longer } = await budgets.updateBudget({ id, window: BudgetWindow.WEEK, name: "b" });
    expect(specJsonOf(longer)).toEqual({ window: "BUDGET_WINDOW_WEEK", limitMicroUsd: "9" });
    expect(longer?.name).toBe("b");
    const stale = budgets.updateBudget({ id, limitMicroUsd: 1n, etag: made?.etag ?? "" });
    expect(await refusal(stale)).toMatchObject({ code: Code.Aborted, reason: "ETAG_MISMATCH" });
  });

  it("loses no change when concurrent calls change different parts", async () => {
    const { presets } = policy.newNamespace();
    const { policy: made } = await presets.createPreset({ name: "a", spec: { budget: budgetSpec } });
    const id = made?.id ?? "";
    await Promise.all([
      presets.updatePreset({ id, guardrail: guardrail({ allowStreaming: false }) }),
      presets.updatePreset({ id, rateLimit: { windowSecs: 60, maxRequests: 5n } }),
      presets.updatePreset({ id, budget: { window: BudgetWindow.WEEK, limitMicroUsd: 7n } }),
    ]);
    expect(specJsonOf((await presets.getPreset({ id })).policy)).toEqual({
      guardrail: { allowStreaming: false },
      rateLimit: { windowSecs: 60, maxRequests: "5" },
      budget: { window: "BUDGET_WINDOW_WEEK", limitMicroUsd: "7" },
    });
  });

  it("sets and clears the maxima of a rate limit, down to the last", async () => {
    const { rateLimits } = policy.newNamespace();
    const spec = create(RateLimitSpecSchema, { windowSecs: 60, maxRequests: 5n });
    const id = (await rateLimits.createRateLimit({ name: "a", spec })).policy?.id ?? "";
    const { policy: changed } = await rateLimits.updateRateLimit({ id, maxTokens: 7n, clearMaxRequests: true });
    expect(specJsonOf(changed)).toEqual({ windowSecs: 60, maxTokens: "7" });
    const last = await refusal(rateLimits.updateRateLimit({ id, clearMaxTokens: true }));
    expect(last).toMatchObject({ code: Code.InvalidArgument, fields: ["spec"] });
    expect(specJsonOf((await rateLimits.getRateLimit({ id })).policy)).toEqual({ windowSecs: 60, maxTokens: "7" });
  });

  it("sets and clears the rules of a guardrail; an empty allow-list is one", async () => {
    const { guardrails } = policy.newNamespace();
    const spec = guardrail({ modelAllow: { models: ["a"] }, contentPatterns: [PATTERN], allowStreaming: false });
    const id = (await guardrails.createGuardrail({ name: "a", spec })).policy?.id ?? "";
    const change = { id, modelAllow: { models: [] }, maxRequestTokens: 9n, clearContentPatterns: true };
    expect(specJsonOf((await guardrails.updateGuardrail(change)).policy)).toEqual({
      modelAllow: {},
      maxRequestTokens: "9",
      allowStreaming: false,
    });
    const clear = { id, clearModelAllow: true, clearMaxRequestTokens: true, clearAllowStreaming: true };
    expect(await refusal(guardrails.updateGuardrail(clear))).toMatchObject({ fields: ["spec"] });
    const contentPatterns = [guardrail({ contentPatterns: [PATTERN] }).contentPatterns[0] ?? expect.fail("none")];
    const { policy: now } = await guardrails.updateGuardrail({ ...clear, contentPatterns });
    expect(specJsonOf(now)).toEqual({ contentPatterns: [PATTERN] });
  });

  it("sets and clears the parts of a preset", async () => {
    const { presets } = policy.newNamespace();
    const spec = preset({ budget: toJson(BudgetSpecSchema, create(BudgetSpecSchema, budgetSpec)) });
    const id = (await presets.createPreset({ name: "a", spec })).policy?.id ?? "";
    const rateLimit = { windowSecs: 60, maxConcurrent: 2n };
    const { policy: now } = await presets.updatePreset({ id, rateLimit, clearBudget: true });
    expect(specJsonOf(now)).toEqual({ rateLimit: { windowSecs: 60, maxConcurrent: "2" } });
    expect(now?.kind).toBe(PolicyKind.PRESET);
    expect(await refusal(presets.updatePreset({ id, clearRateLimit: true }))).toMatchObject({ fields: ["spec"] });
  });

  it("is refused with nothing to change, with something to set and to clear, and with faults, naming the field", async () => {
    const own = policy.newNamespace();
    const { budget, rail, rate, bundle } = await createOfEachKind(own);
    const id = (made: { policy?: Policy | undefined }) => ({ id: made.policy?.id ?? "" });
    const faulty = { contentPatterns: [{ ...PATTERN, pattern: "a(?=b)" }] };
    const cases: [() => Promise<unknown>, string[]][] = [
      [() => own.budgets.updateBudget(id(budget)), []],
      [() => own.presets.updatePreset(id(bundle)), []],
      [() => own.budgets.updateBudget({ ...id(budget), limitMicroUsd: 0n }), ["limit_micro_usd"]],
      [() => own.rateLimits.updateRateLimit({ ...id(rate), windowSecs: 0 }), ["window_secs"]],
      [
        () => own.rateLimits.updateRateLimit({ ...id(rate), maxRequests: 1n, clearMaxRequests: true }),
        ["clear_max_requests"],
      ],
      [() => own.presets.updatePreset({ ...id(bundle), budget: budgetSpec, clearBudget: true }), ["clear_budget"]],
      [
        () => own.guardrails.updateGuardrail({ ...id(rail), contentPatterns: guardrail(faulty).contentPatterns }),
        ["content_patterns[0].pattern"],
      ],
      [
        () => own.presets.updatePreset({ ...id(bundle), guardrail: guardrail(faulty) }),
        ["guardrail.content_patterns[0].pattern"],
      ],
      [
        () => own.presets.createPreset({ name: "b", spec: { guardrail: guardrail(faulty) } }),
        ["spec.guardrail.content_patterns[0].pattern"],
      ],
      [
        () => own.guardrails.createGuardrail({ name: "b", spec: guardrail(faulty) }),
        ["spec.content_patterns[0].pattern"],
      ],
      [() => own.budgets.createBudget({ name: "b" }), ["spec"]],
    ];
    for (const [call, fields] of cases) {
      expect(await refusal(call())).toMatchObject({ code: Code.InvalidArgument, reason: "FIELD_INVALID", fields });
    }
  });
});
