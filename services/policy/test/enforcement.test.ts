import { Code, createClient } from "@connectrpc/connect";
import {
  BindingMode,
  EnforcementService,
  PatternAction,
  PatternScope,
  PrincipalType,
} from "@routeplane/contracts/policy";
import { type Id, newId } from "@routeplane/domain";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type PolicyUnderTest, refusal, startPolicyUnderTest } from "./policy-under-test.ts";

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

const enforcement = () => createClient(EnforcementService, policy.asService(policy.transport));

async function appliedTo(namespaceId: Id<"ns">, lineage: readonly Id<"key">[]) {
  return (await enforcement().listAppliedGuardrails({ namespaceId, lineage: [...lineage] })).guardrails;
}

/** Namespace with a key and a sub-key. */
function namespaceWithLineage() {
  const namespaceId = newId("ns");
  const parent = policy.key(namespaceId);
  return { namespaceId, parent, child: policy.key(namespaceId, parent) };
}

const NO_STREAMS = { kind: "guardrail", allowStreaming: false } as const;

describe("the guardrails that apply to a key", () => {
  it("are those of its namespace, of itself and of every key above it, each with its source", async () => {
    const { namespaceId, parent, child } = namespaceWithLineage();
    const sibling = policy.key(namespaceId, parent);
    const onAll = await policy.bound(namespaceId, NO_STREAMS);
    const onParent = await policy.bound(namespaceId, NO_STREAMS, parent.id);
    const onChild = await policy.bound(namespaceId, NO_STREAMS, child.id, "shadow");
    await policy.bound(namespaceId, NO_STREAMS, sibling.id);
    const source = ({ policy: { id, name }, binding }: typeof onAll) => ({
      policyId: id,
      policyName: name,
      bindingId: binding.id,
      principalId: binding.principal.id,
    });
    const { NAMESPACE, API_KEY } = PrincipalType;
    const { ENFORCE, SHADOW } = BindingMode;
    expect(await appliedTo(namespaceId, child.lineage)).toMatchObject([
      { ...source(onAll), principalType: NAMESPACE, mode: ENFORCE, spec: { allowStreaming: false } },
      { ...source(onParent), principalType: API_KEY, mode: ENFORCE },
      { ...source(onChild), principalType: API_KEY, mode: SHADOW },
    ]);
    expect(await appliedTo(namespaceId, parent.lineage)).toMatchObject([source(onAll), source(onParent)]);
  });

  it("include those in presets, with every rule, and distinguish an empty allow-list from none", async () => {
    const { namespaceId, parent } = namespaceWithLineage();
    const guardrail = {
      modelAllow: [],
      modelDeny: ["openai/gpt-4*"],
      maxRequestTokens: 9_000_000_000_000_000,
      contentPatterns: [{ name: "card", pattern: "[0-9]{16}", action: "redact", appliesTo: "response" }],
    } as const;
    await policy.bound(namespaceId, { kind: "preset", guardrail, budget: { window: "day", limitMicroUsd: 5n } });
    const { REDACT } = PatternAction;
    const [applied, ...others] = await appliedTo(namespaceId, parent.lineage);
    expect(others).toEqual([]);
    expect(applied?.spec).toMatchObject({
      modelAllow: { models: [] },
      modelDeny: { models: ["openai/gpt-4*"] },
      maxRequestTokens: 9_000_000_000_000_000n,
      contentPatterns: [{ name: "card", pattern: "[0-9]{16}", action: REDACT, appliesTo: PatternScope.RESPONSE }],
    });
    expect(applied?.spec?.allowStreaming).toBeUndefined();
  });

  it("include no budget, no preset without a guardrail, no disabled policy and none of another namespace", async () => {
    const { namespaceId, parent } = namespaceWithLineage();
    await policy.budget(namespaceId, 5n);
    await policy.bound(namespaceId, { kind: "preset", rateLimit: { windowSecs: 1, maxRequests: 1n } });
    const { policy: off } = await policy.bound(namespaceId, NO_STREAMS);
    await policy.disable(off.id);
    await policy.bound(newId("ns"), NO_STREAMS, parent.id);
    expect(await appliedTo(namespaceId, parent.lineage)).toEqual([]);
  });

  it("cannot be listed while any policy that applies cannot be read", async () => {
    const { namespaceId, parent } = namespaceWithLineage();
    const { policy: made } = await policy.bound(namespaceId, NO_STREAMS);
    await policy.bound(namespaceId, NO_STREAMS, parent.id);
    await policy.corrupt(made.id);
    expect(await refusal(appliedTo(namespaceId, parent.lineage))).toMatchObject({ code: Code.Internal });
  });

  it("are listed only for the services of the node, and only for well-formed ids", async () => {
    const { namespaceId, parent } = namespaceWithLineage();
    const request = { namespaceId, lineage: [...parent.lineage] };
    const list = (token: string, request: object) => policy.as(token).enforcement.listAppliedGuardrails(request);
    expect(await refusal(list(parent.token, request))).toMatchObject({ code: Code.PermissionDenied });
    const wrong = (change: object) => refusal(enforcement().listAppliedGuardrails({ ...request, ...change }));
    expect((await wrong({ lineage: [] })).fields).toEqual(["lineage"]);
    expect(await wrong({ lineage: ["key_x"] })).toMatchObject({ code: Code.NotFound });
    expect(await wrong({ namespaceId: "default" })).toMatchObject({ code: Code.NotFound });
  });

  it("are UNAVAILABLE without the database", async () => {
    const { namespaceId, parent } = namespaceWithLineage();
    const { transport } = policy.withoutDatabase();
    const request = { namespaceId, lineage: [...parent.lineage] };
    const call = createClient(EnforcementService, policy.asService(transport)).listAppliedGuardrails(request);
    expect(await refusal(call)).toMatchObject({ code: Code.Unavailable, metadata: { dependency: "postgres" } });
  });
});

describe("the limits that apply to a key", () => {
  const limitsOf = async (namespaceId: Id<"ns">, lineage: readonly Id<"key">[]) =>
    (await enforcement().listAppliedGuardrails({ namespaceId, lineage: [...lineage] })).limits;

  it("are those of its namespace, of itself and of every key above it, in order of binding, with the mode", async () => {
    const { namespaceId, parent, child } = namespaceWithLineage();
    const money = await policy.budget(namespaceId, 5n);
    const rate = { windowSecs: 60, maxRequests: 7n, maxTokens: 9n, maxConcurrent: 64n };
    const rates = await policy.bound(namespaceId, { kind: "rate_limit", ...rate }, parent.id, "shadow");
    const both = await policy.bound(
      namespaceId,
      { kind: "preset", rateLimit: { windowSecs: 10, maxRequests: 1n }, budget: { window: "hour", limitMicroUsd: 1n } },
      child.id,
    );
    const { ENFORCE, SHADOW } = BindingMode;
    const limits = await limitsOf(namespaceId, child.lineage);
    expect(limits?.limits.map(({ bindingId }) => bindingId)).toEqual(
      [money, rates, both].map(({ binding }) => binding.id),
    );
    expect(limits?.limits).toMatchObject([
      { mode: ENFORCE, budget: { limitMicroUsd: 5n }, budgetIsCentral: false },
      { mode: SHADOW, rateLimit: rate, rateLimitIsCentral: false },
      { budget: { limitMicroUsd: 1n }, rateLimit: { windowSecs: 10, maxRequests: 1n } },
    ]);
    expect(limits?.limits[0]?.rateLimit).toBeUndefined();
  });

  it("are present and empty if none applies", async () => {
    const { namespaceId, parent } = namespaceWithLineage();
    await policy.bound(namespaceId, NO_STREAMS);
    const { policy: off } = await policy.budget(namespaceId, 5n);
    await policy.disable(off.id);
    expect((await limitsOf(namespaceId, parent.lineage))?.limits).toEqual([]);
  });

  it("of windows under 10 s, and of fewer than 64 slots, are admitted centrally", async () => {
    const { namespaceId, parent } = namespaceWithLineage();
    const limit = (rate: { windowSecs: number; maxRequests?: bigint; maxConcurrent?: bigint }) =>
      policy.bound(namespaceId, { kind: "rate_limit", ...rate });
    await limit({ windowSecs: 9, maxRequests: 1_000n });
    await limit({ windowSecs: 10, maxRequests: 1_000n });
    await limit({ windowSecs: 60, maxConcurrent: 63n });
    await limit({ windowSecs: 60, maxConcurrent: 64n });
    const limits = await limitsOf(namespaceId, parent.lineage);
    expect(limits?.limits.map((each) => each.rateLimitIsCentral)).toEqual([true, false, true, false]);
  });

  it("too large for the arithmetic of a gateway are admitted centrally", async () => {
    const { namespaceId, parent } = namespaceWithLineage();
    await policy.budget(namespaceId, 9_007_199_254_740n);
    await policy.budget(namespaceId, 9_007_199_254_741n);
    const limits = await limitsOf(namespaceId, parent.lineage);
    expect(limits?.limits.map((each) => each.budgetIsCentral)).toEqual([false, true]);
  });
});
