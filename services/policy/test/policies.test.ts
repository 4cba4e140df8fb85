import { fromJson } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import {
  BindPolicyRequestSchema,
  BudgetWindow,
  ListPoliciesRequestSchema,
  PolicyKind,
  PolicySpecSchema,
  PrincipalType,
} from "@routeplane/contracts/policy";
import { newId } from "@routeplane/domain";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type PolicyUnderTest,
  refusal,
  SERVICE_TOKEN,
  startPolicyUnderTest,
  type TestNamespace,
} from "./policy-under-test.ts";

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

const NOT_FOUND = { code: Code.NotFound, reason: "RESOURCE_NOT_FOUND" };

const { HOUR, DAY, WEEK, MONTH, TOTAL } = BudgetWindow;
const ALL_WINDOWS = [HOUR, DAY, WEEK, MONTH, TOTAL];

const budget = (limitMicroUsd: bigint, window = BudgetWindow.DAY) => ({
  kind: { case: "budget" as const, value: { window, limitMicroUsd } },
});

async function idOfNewPolicy({ policies }: TestNamespace, name = "daily-cap"): Promise<string> {
  const { policy: made } = await policies.createPolicy({ name, spec: budget(5_000_000n) });
  return made?.id ?? expect.fail("no policy");
}

describe("creating a policy", () => {
  it("makes a policy that is then read and listed", async () => {
    const { policies } = policy.newNamespace();
    const { policy: made } = await policies.createPolicy({ name: "daily-cap", spec: budget(5_000_000n) });
    expect(made).toMatchObject({
      id: expect.stringMatching(/^pol_/),
      name: "daily-cap",
      kind: PolicyKind.BUDGET,
      spec: { kind: { case: "budget", value: { window: BudgetWindow.DAY, limitMicroUsd: 5_000_000n } } },
    });
    expect(made?.disabledAt).toBeUndefined();
    expect((await policies.getPolicy({ id: made?.id ?? "" })).policy).toEqual(made);
    expect((await policies.listPolicies({})).policies).toEqual([made]);
  });

  it("keeps every window and the largest limit exactly", async () => {
    const { policies } = policy.newNamespace();
    for (const window of ALL_WINDOWS) {
      const spec = budget(9_000_000_000_000_000n, window);
      const { policy: made } = await policies.createPolicy({ name: `window ${window}`, spec });
      const { policy: read } = await policies.getPolicy({ id: made?.id ?? "" });
      expect(read?.spec?.kind.value).toMatchObject({ window, limitMicroUsd: 9_000_000_000_000_000n });
    }
  });

  it.each([
    ["a limit of zero", { name: "a", spec: budget(0n) }, "spec.budget.limit_micro_usd"],
    ["a negative limit", { name: "a", spec: budget(-5n) }, "spec.budget.limit_micro_usd"],
    ["a limit too large", { name: "a", spec: budget(9_000_000_000_000_001n) }, "spec.budget.limit_micro_usd"],
    ["an overflowing limit", { name: "a", spec: budget(2n ** 63n - 1n) }, "spec.budget.limit_micro_usd"],
    [
      "no window",
      { name: "a", spec: fromJson(PolicySpecSchema, { budget: { limitMicroUsd: "1" } }) },
      "spec.budget.window",
    ],
    [
      "an unknown window",
      { name: "a", spec: fromJson(PolicySpecSchema, { budget: { limitMicroUsd: "1", window: 99 } }) },
      "spec.budget.window",
    ],
    ["no kind of spec", { name: "a", spec: {} }, "spec"],
    ["no spec", { name: "a" }, "spec"],
    ["no name", { spec: budget(1n) }, "name"],
    ["a blank name", { name: "   ", spec: budget(1n) }, "name"],
    ["a line break in the name", { name: "a\nb", spec: budget(1n) }, "name"],
    ["a name too long", { name: "x".repeat(101), spec: budget(1n) }, "name"],
  ])("refuses %s, naming the field, and adds nothing", async (_case, request, field) => {
    const { policies } = policy.newNamespace();
    const error = await refusal(policies.createPolicy(request));
    expect(error).toMatchObject({ code: Code.InvalidArgument, reason: "FIELD_INVALID" });
    expect(error.fields).toContain(field);
    expect((await policies.listPolicies({})).policies).toEqual([]);
  });

  it("refuses a name that is taken in the namespace; names of other namespaces are free", async () => {
    const own = policy.newNamespace();
    await idOfNewPolicy(own);
    const error = await refusal(own.policies.createPolicy({ name: "daily-cap", spec: budget(1n) }));
    expect(error).toMatchObject({ code: Code.AlreadyExists, reason: "NAME_TAKEN", metadata: { field: "name" } });
    await idOfNewPolicy(policy.newNamespace());
  });
});

describe("scopes", () => {
  it.each([
    ["createPolicy", "policy:write", ["policy:read", "keys:*"]],
    ["bindPolicy", "policy:write", ["policy:read"]],
    ["getPolicy", "policy:read", ["policy:write"]],
    ["listPolicies", "policy:read", ["usage:read"]],
  ] as const)("%s needs %s, and says so", async (method, scope, held) => {
    const error = await refusal(policy.newNamespace(held).policies[method]({}));
    expect(error).toMatchObject({ code: Code.PermissionDenied, reason: "SCOPE_MISSING", metadata: { scope } });
    expect(error.message).toContain(scope);
  });

  it("do not open the admission service to keys, nor the policy service to services", async () => {
    const { admission } = policy.newNamespace(["policy:*", "inference:*", "keys:*"]);
    for (const method of ["admit", "settle", "void"] as const) {
      expect(await refusal(admission[method]({}))).toMatchObject({ reason: "SERVICE_REQUIRED" });
    }
    const asService = policy.as(SERVICE_TOKEN).policies;
    expect(await refusal(asService.listPolicies({}))).toMatchObject({ code: Code.PermissionDenied });
  });

  it("are checked after the credential", async () => {
    expect(await refusal(policy.as("").policies.listPolicies({}))).toMatchObject({ reason: "CREDENTIAL_MISSING" });
    expect(await refusal(policy.as("rp_x").policies.listPolicies({}))).toMatchObject({ reason: "CREDENTIAL_INVALID" });
    expect(await refusal(policy.as("rps_x").admission.admit({}))).toMatchObject({ reason: "CREDENTIAL_INVALID" });
  });
});

describe("binding a policy", () => {
  it("to the caller's namespace or a key in it is idempotent", async () => {
    const own = policy.newNamespace();
    const policyId = await idOfNewPolicy(own);
    const sub = policy.key(own.namespaceId, own.key);
    for (const [principalType, principalId] of [
      [PrincipalType.NAMESPACE, own.namespaceId],
      [PrincipalType.API_KEY, sub.id],
    ] as const) {
      const request = { policyId, principalType, principalId };
      const [first, second] = await Promise.all([own.policies.bindPolicy(request), own.policies.bindPolicy(request)]);
      expect(first.binding).toMatchObject({ id: expect.stringMatching(/^bnd_/), ...request });
      expect(second.binding).toEqual(first.binding);
      expect((await own.policies.bindPolicy(request)).binding).toEqual(first.binding);
    }
  });

  it("answers the same bytes for foreign, unknown and malformed policies and principals, and binds nothing", async () => {
    const [own, foreign] = [policy.newNamespace(), policy.newNamespace()];
    const [policyId, foreignPolicyId] = [await idOfNewPolicy(own), await idOfNewPolicy(foreign)];
    const onKey = (principalId: string) => ({ policyId, principalType: PrincipalType.API_KEY, principalId });
    const onNamespace = (principalId: string) => ({ policyId, principalType: PrincipalType.NAMESPACE, principalId });
    const attempts = [
      ...[foreignPolicyId, newId("pol"), "pol_x", "", "' or 1=1"].flatMap((id) => [
        { ...onKey(own.key.id), policyId: id },
        { ...onNamespace(own.namespaceId), policyId: id },
      ]),
      ...[foreign.key.id, newId("key"), "key_x", "", own.namespaceId].map(onKey),
      ...[foreign.namespaceId, newId("ns"), "ns_x", "", own.key.id].map(onNamespace),
    ];
    const errors = await Promise.all(attempts.map((attempt) => refusal(own.policies.bindPolicy(attempt))));
    expect(errors[0]).toMatchObject(NOT_FOUND);
    expect(new Set(errors.map((error) => JSON.stringify(error)))).toEqual(new Set([JSON.stringify(errors[0])]));
    const read = await Promise.all(
      [foreignPolicyId, newId("pol"), "pol_x", ""].map((id) => refusal(own.policies.getPolicy({ id }))),
    );
    expect(new Set(read.map((error) => JSON.stringify(error)))).toEqual(new Set([JSON.stringify(errors[0])]));
    expect(await policy.totals(own.namespaceId)).toEqual(new Map());
  });

  it("refuses a key that is revoked, or below one that is", async () => {
    const own = policy.newNamespace();
    const policyId = await idOfNewPolicy(own);
    const parent = policy.key(own.namespaceId, own.key);
    const child = policy.key(own.namespaceId, parent);
    policy.revoke(parent.id);
    for (const { id: principalId } of [parent, child]) {
      const request = { policyId, principalType: PrincipalType.API_KEY, principalId };
      expect(await refusal(own.policies.bindPolicy(request))).toMatchObject({
        code: Code.FailedPrecondition,
        reason: "STATE_CONFLICT",
      });
    }
  });

  it("refuses a principal type that is unset or unknown", async () => {
    const own = policy.newNamespace();
    for (const principalType of [0, 9]) {
      const sent = { policyId: await idOfNewPolicy(own, `${principalType}`), principalType, principalId: own.key.id };
      const request = fromJson(BindPolicyRequestSchema, sent);
      expect((await refusal(own.policies.bindPolicy(request))).fields).toEqual(["principal_type"]);
    }
  });
});

describe("the list of policies", () => {
  it("pages through every policy once, oldest first, while others are added", async () => {
    const own = policy.newNamespace();
    for (let n = 0; n < 7; n += 1) await idOfNewPolicy(own, `policy ${n}`);
    await idOfNewPolicy(policy.newNamespace());
    const names: string[] = [];
    let pageToken = "";
    do {
      const page = await own.policies.listPolicies({ pageSize: 3, pageToken, kind: PolicyKind.BUDGET });
      names.push(...page.policies.map(({ name }) => name));
      ({ nextPageToken: pageToken } = page);
      if (names.length === 3) await idOfNewPolicy(own, "policy 7");
    } while (pageToken !== "");
    expect(names).toEqual(Array.from({ length: 8 }, (_, n) => `policy ${n}`));
  });

  it("refuses a page size out of bounds and a forged page token, naming the field", async () => {
    const { policies } = policy.newNamespace();
    for (const pageSize of [-1, 1001]) {
      expect((await refusal(policies.listPolicies({ pageSize }))).fields).toEqual(["page_size"]);
    }
    for (const pageToken of ["x", "AAAA", newId("pol")]) {
      expect((await refusal(policies.listPolicies({ pageToken }))).fields).toEqual(["page_token"]);
    }
    expect((await refusal(policies.listPolicies(fromJson(ListPoliciesRequestSchema, { kind: 99 })))).fields).toEqual([
      "kind",
    ]);
  });
});
