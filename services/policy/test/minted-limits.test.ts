import type { MessageInitShape } from "@bufbuild/protobuf";
import { BudgetWindow, type PresetSpec, type PresetSpecSchema, PrincipalType } from "@routeplane/contracts/policy";
import { newId } from "@routeplane/domain";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type PolicyUnderTest,
  refusal,
  requestOf,
  startPolicyUnderTest,
  type TestNamespace,
} from "./policy-under-test.ts";

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

type Limits = MessageInitShape<typeof PresetSpecSchema>;
const total = (limitMicroUsd: bigint): Limits => ({ budget: { window: BudgetWindow.TOTAL, limitMicroUsd } });
const MINUTES_AGO = new Date(Date.now() - 120_000);

/** A sub-key with only the scope keys:write, and a key that it is minting. */
function minting(own: TestNamespace, limits: Limits = total(5_000n)) {
  const minter = policy.key(own.namespaceId, own.key, ["keys:write"]);
  const keyId = policy.mint(own.namespaceId, minter.id, minter.lineage);
  const bind = () => policy.as(minter.token).policies.bindMintedLimits({ namespaceId: own.namespaceId, keyId, limits });
  return { minter, keyId, bind };
}

/** Policies bound to a key, read as the superuser: the fake of auth knows no key that is being minted. */
async function boundTo(keyId: string): Promise<readonly unknown[]> {
  const bindings = sql`select policy_id from bindings where principal_id = ${keyId}`;
  return (await policy.admin.within({}, (tx) => bindings.execute(tx))).rows;
}

describe("the limits of a key that is being minted", () => {
  it("are one preset bound to that key, which needs no scope on policies, and hold from its first request on", async () => {
    const own = policy.newNamespace(["policy:*"]);
    const { minter, keyId, bind } = minting(own);
    const { policyId } = await bind();
    const { policy: made } = await own.policies.getPolicy({ id: policyId });
    expect(made).toMatchObject({ name: `limits of ${keyId}`, createdBy: minter.id, bindingCount: 1 });
    expect(made?.spec?.kind).toMatchObject({ case: "preset", value: { budget: { limitMicroUsd: 5_000n } } });
    expect(made?.bindings[0]?.binding).toMatchObject({ principalId: keyId, mode: 1 });
    const lineage = [...minter.lineage, keyId];
    expect(await policy.admission.admit(requestOf(own.namespaceId, lineage, 5_000n))).toMatchObject({
      outcome: "admitted",
    });
    expect(await policy.admission.admit(requestOf(own.namespaceId, lineage, 1n))).toMatchObject({ outcome: "denied" });
  });

  it("are recorded in the audit log under the minting call", async () => {
    const own = policy.newNamespace();
    const { minter, bind } = minting(own);
    const { policyId } = await bind();
    const { rows } = await policy.admin.within({}, (tx) =>
      sql`select actor_type, actor_id, request_id, address from audit_entries
        where namespace_id = ${own.namespaceId} and target_id = ${policyId}`.execute(tx),
    );
    expect(rows).toEqual([
      { actor_type: "api_key", actor_id: minter.id, request_id: "req_of-mint", address: "192.0.2.7" },
    ]);
  });

  it("are bound for an operator that mints a root key", async () => {
    const own = policy.newNamespace();
    const token = policy.operator(["keys:write"]);
    const keyId = policy.mint(own.namespaceId, policy.operatorIdOf(token));
    const request = { namespaceId: own.namespaceId, keyId, limits: total(5n) };
    const { policyId } = await policy.as(token).policies.bindMintedLimits(request);
    expect((await own.policies.getPolicy({ id: policyId })).policy).toMatchObject({ createdBy: "", bindingCount: 1 });
  });

  it("cannot be stored for a key that is not being minted, by another, elsewhere, or twice", async () => {
    const own = policy.newNamespace();
    const { minter, keyId, bind } = minting(own);
    const sibling = policy.key(own.namespaceId, own.key, ["keys:write"]);
    const foreign = policy.newNamespace(["keys:write"]);
    const request = { namespaceId: own.namespaceId, keyId, limits: total(5n) };
    const as = (token: string, changed: object = {}) =>
      refusal(policy.as(token).policies.bindMintedLimits({ ...request, ...changed }));
    const unknown = await as(minter.token, { keyId: newId("key") });
    expect(unknown).toMatchObject({ reason: "RESOURCE_NOT_FOUND" });
    expect(await as(minter.token, { keyId: sibling.id })).toEqual(unknown);
    expect(await as(minter.token, { keyId: own.key.id })).toEqual(unknown);
    expect(await as(sibling.token)).toEqual(unknown);
    expect(await as(foreign.key.token)).toEqual(unknown);
    expect(await as(minter.token, { namespaceId: foreign.namespaceId })).toEqual(unknown);
    expect(await as(policy.operator(["keys:write"]))).toEqual(unknown);
    await bind();
    expect(await refusal(bind())).toMatchObject({ reason: "NAME_TAKEN" });
    expect(await boundTo(sibling.id)).toEqual([]);
  });

  it("need keys:write, and the auth service", async () => {
    const own = policy.newNamespace();
    const { keyId, bind } = minting(own);
    const limits = total(5n);
    const reader = policy.key(own.namespaceId, own.key, ["keys:read", "policy:*"]);
    const request = { namespaceId: own.namespaceId, keyId, limits };
    expect(await refusal(policy.as(reader.token).policies.bindMintedLimits(request))).toMatchObject({
      reason: "SCOPE_MISSING",
    });
    await bind();
    policy.authDown.value = true;
    const down = await refusal(bind()).finally(() => (policy.authDown.value = false));
    expect(down).toMatchObject({ reason: "DEPENDENCY_UNAVAILABLE" });
  });
});

describe("a limit above one that applies to the minting credential", () => {
  const rate = (windowSecs: number, maxima: Partial<PresetSpec["rateLimit"] & object>): Limits => ({
    rateLimit: { windowSecs, ...maxima },
  });

  it.each<[string, Limits, string | undefined]>([
    [
      "a budget of the same window",
      { budget: { window: BudgetWindow.DAY, limitMicroUsd: 301n } },
      "budget.limit_micro_usd",
    ],
    ["requests of the same length", rate(60, { maxRequests: 11n }), "rate_limit.max_requests"],
    ["slots, whatever the length", rate(5, { maxConcurrent: 5n }), "rate_limit.max_concurrent"],
    ["tokens of a request", { guardrail: { maxRequestTokens: 101n } }, "guardrail.max_request_tokens"],
    [
      "a budget of the same calendar window and time zone, in any case",
      { budget: { window: BudgetWindow.CALENDAR_DAY, timeZone: "europe/berlin", limitMicroUsd: 201n } },
      "budget.limit_micro_usd",
    ],
    [
      "a budget of a calendar day elsewhere",
      { budget: { window: BudgetWindow.CALENDAR_DAY, timeZone: "Asia/Tokyo", limitMicroUsd: 201n } },
      undefined,
    ],
    [
      "a budget of a calendar month there",
      { budget: { window: BudgetWindow.CALENDAR_MONTH, timeZone: "Europe/Berlin", limitMicroUsd: 201n } },
      undefined,
    ],
    ["the same budget", { budget: { window: BudgetWindow.DAY, limitMicroUsd: 300n } }, undefined],
    ["a budget of another window", { budget: { window: BudgetWindow.TOTAL, limitMicroUsd: 301n } }, undefined],
    ["requests of another length", rate(61, { maxRequests: 11n }), undefined],
  ])("is refused with the field and the limit named, or is harmless: %s", async (_, limits, field) => {
    const own = policy.newNamespace();
    await policy.budget(own.namespaceId, 900n);
    const lowest = await policy.budget(own.namespaceId, 300n, own.key.id);
    const windowSecs = 60;
    const rateLimit = { kind: "rate_limit", windowSecs, maxRequests: 10n, maxConcurrent: 4n } as const;
    await policy.bound(own.namespaceId, rateLimit);
    await policy.bound(own.namespaceId, { kind: "guardrail", maxRequestTokens: 100 });
    await policy.bound(own.namespaceId, { kind: "budget", window: "day", limitMicroUsd: 1n }, undefined, "shadow");
    const timeZone = "Europe/Berlin";
    const calendar = { kind: "budget", window: "calendar_day", timeZone, limitMicroUsd: 200n } as const;
    const ofDay = await policy.bound(own.namespaceId, calendar);
    const { keyId, bind } = minting(own, limits);
    if (field === undefined) {
      await bind();
      expect(await boundTo(keyId)).toHaveLength(1);
      return;
    }
    const refused = await refusal(bind());
    expect(refused).toMatchObject({ reason: "LIMIT_EXCEEDS_PARENT", fields: [`limits.${field}`] });
    const [limit, above] = limits.budget?.timeZone === undefined ? ["300", lowest] : ["200", ofDay];
    if (field.startsWith("budget")) expect(refused.metadata).toEqual({ limit, policy_id: above.policy.id });
    expect(await boundTo(keyId)).toEqual([]);
  });
});

describe("the limits of a key that has ended", () => {
  it("are removed, policy and binding, with those of every key below it, and of no other", async () => {
    const own = policy.newNamespace();
    const [ended, other] = [minting(own), minting(own)];
    const [{ policyId }, kept] = [await ended.bind(), await other.bind()];
    const belowId = policy.mint(own.namespaceId, ended.minter.id, [...ended.minter.lineage, ended.keyId]);
    const request = { namespaceId: own.namespaceId, keyId: belowId, limits: total(5n) };
    const below = await policy.as(ended.minter.token).policies.bindMintedLimits(request);
    policy.endMint(ended.keyId);
    await policy.wired.removeRevoked();
    for (const id of [policyId, below.policyId])
      expect(await refusal(own.policies.getPolicy({ id }))).toMatchObject({ reason: "RESOURCE_NOT_FOUND" });
    expect((await own.policies.getPolicy({ id: kept.policyId })).policy?.bindingCount).toBe(1);
  });

  it("are removed even if they were unbound, and kept while they are bound to another principal", async () => {
    const own = policy.newNamespace();
    const [unbound, elsewhere] = [minting(own), minting(own)];
    const [first, second] = [(await unbound.bind()).policyId, (await elsewhere.bind()).policyId];
    await own.policies.unbindAll({ policyId: first, all: true });
    await own.policies.bindPolicy({
      policyId: second,
      principalType: PrincipalType.API_KEY,
      principalId: own.key.id,
    });
    for (const { keyId } of [unbound, elsewhere]) policy.endMint(keyId);
    await policy.wired.removeRevoked();
    expect(await refusal(own.policies.getPolicy({ id: first }))).toMatchObject({ reason: "RESOURCE_NOT_FOUND" });
    const { policy: shared } = await own.policies.getPolicy({ id: second });
    expect(shared?.bindings.map(({ binding }) => binding?.principalId)).toEqual([own.key.id]);
  });

  it("stay while a request runs, and are removed before the end is acknowledged", async () => {
    const own = policy.newNamespace();
    const { minter, keyId, bind } = minting(own);
    const { policyId } = await bind();
    const request = requestOf(own.namespaceId, [...minter.lineage, keyId], 50n);
    await policy.admission.admit(request);
    policy.endMint(keyId, MINUTES_AGO);
    await policy.wired.removeRevoked();
    expect((await own.policies.getPolicy({ id: policyId })).policy?.bindingCount).toBe(1);
    expect(policy.acknowledged()).not.toContain(keyId);
    await policy.admission.void(request, true);
    await policy.wired.removeRevoked();
    expect(await refusal(own.policies.getPolicy({ id: policyId }))).toMatchObject({ reason: "RESOURCE_NOT_FOUND" });
    expect(policy.acknowledged()).toContain(keyId);
  });
});
