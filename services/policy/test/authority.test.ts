import { Code } from "@connectrpc/connect";
import { type DescMethodUnary, fromJson, type JsonValue } from "@bufbuild/protobuf";
import { BindingMode, PolicySpecSchema, PrincipalType } from "@routeplane/contracts/policy";
import { type Id, newId } from "@routeplane/domain";
import { accessOf, publishedServices } from "@routeplane/rpc";
import { eventually } from "@routeplane/testing";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type PolicyUnderTest, refusal, startPolicyUnderTest } from "./policy-under-test.ts";

/**
 * Authority of sub-keys over policies, by every method that writes them. A sub-key cannot loosen policies that apply to itself. It changes
 * only policies that it or a key below it created and that are bound only to those keys, and binds only to those keys. Root keys may do
 * everything.
 */

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

interface Bound {
  readonly policyId: string;
  readonly bindingId: string;
  /** Id of a key other than the caller. */
  readonly otherKeyId: string;
}

interface WriteMethod {
  /** Spec of the policy that the method is tried on. */
  readonly spec: JsonValue;
  /** Effect of the method on a policy that exists. */
  readonly effect: "none" | "binds" | "tightens" | "loosens";
  readonly request: (bound: Bound) => JsonValue;
}

const BUDGET = { budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: "5" } };
const LARGER = { budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: "500" } };
const onOther = ({ otherKeyId }: Bound) => ({ principalType: "PRINCIPAL_TYPE_API_KEY", principalId: otherKeyId });

/** Write methods of a typed service. */
function typed(type: string, spec: JsonValue, change: Record<string, JsonValue>): Record<string, WriteMethod> {
  const [arm = {}] = Object.values(spec as Record<string, JsonValue>);
  const create = { name: "looser", spec: arm };
  return {
    [`${type}Service/Create${type}`]: { spec, effect: "none", request: () => create },
    [`${type}Service/Update${type}`]: { spec, effect: "loosens", request: ({ policyId: id }) => ({ id, ...change }) },
    [`${type}Service/Delete${type}`]: {
      spec,
      effect: "loosens",
      request: ({ policyId: id }) => ({ id, unbind: true }),
    },
  };
}

const GUARDRAIL = { guardrail: { maxRequestTokens: "5", allowStreaming: false } };
const RATE_LIMIT = { rateLimit: { windowSecs: 60, maxRequests: "5", maxTokens: "5" } };

/** Every method that writes policies, by name. */
const WRITE_METHODS: Readonly<Record<string, WriteMethod>> = {
  "PolicyService/CreatePolicy": { spec: BUDGET, effect: "none", request: () => ({ name: "looser", spec: LARGER }) },
  "PolicyService/UpdatePolicy": {
    spec: BUDGET,
    effect: "loosens",
    request: ({ policyId: id }) => ({ id, spec: LARGER }),
  },
  "PolicyService/DeletePolicy": {
    spec: BUDGET,
    effect: "loosens",
    request: ({ policyId: id }) => ({ id, unbind: true }),
  },
  "PolicyService/EnablePolicy": { spec: BUDGET, effect: "tightens", request: ({ policyId: id }) => ({ id }) },
  "PolicyService/DisablePolicy": { spec: BUDGET, effect: "loosens", request: ({ policyId: id }) => ({ id }) },
  "PolicyService/BindPolicy": {
    spec: BUDGET,
    effect: "binds",
    request: (bound) => ({ policyId: bound.policyId, ...onOther(bound) }),
  },
  "PolicyService/UnbindPolicy": {
    spec: BUDGET,
    effect: "loosens",
    request: ({ policyId, bindingId }) => ({ policyId, bindingId }),
  },
  "PolicyService/UnbindAll": {
    spec: BUDGET,
    effect: "loosens",
    request: ({ policyId }) => ({ policyId, all: true }),
  },
  ...typed("Budget", BUDGET, { limitMicroUsd: "500" }),
  ...typed("Guardrail", GUARDRAIL, { clearAllowStreaming: true }),
  ...typed("RateLimit", RATE_LIMIT, { clearMaxTokens: true }),
  ...typed("Preset", { preset: { ...BUDGET, ...RATE_LIMIT } }, { clearBudget: true }),
};

const writing = publishedServices()
  .policy.flatMap(({ methods }) => methods)
  .filter((method) => accessOf(method).includes("policy:write"));
const nameOf = (method: DescMethodUnary): string => `${method.parent.name}/${method.name}`;
const methods = writing.map((method) => [nameOf(method as DescMethodUnary), method as DescMethodUnary] as const);
const withEffect = (...effects: readonly WriteMethod["effect"][]) =>
  methods.filter(([name]) => effects.includes(WRITE_METHODS[name]?.effect ?? "none"));
const loosening = withEffect("loosens");
const changing = withEffect("loosens", "tightens");

async function callMethod(method: DescMethodUnary, token: string, request: JsonValue): Promise<void> {
  const message = fromJson(method.input, request);
  await policy.transportAs(token).unary(method, undefined, undefined, undefined, message);
}

type KeyName = "root" | "above" | "sub" | "below" | "deeper" | "beside";

/**
 * Creates a namespace with a lineage of keys (root, above, sub, below, deeper), another key `beside` sub, and a policy of the
 * method's kind that one of them created.
 */
async function createLineage(name: string, creator: KeyName = "root") {
  const { namespaceId, key: root, policies } = policy.newNamespace();
  const above = policy.key(namespaceId, root);
  const sub = policy.key(namespaceId, above);
  const below = policy.key(namespaceId, sub);
  const keys = {
    root,
    above,
    sub,
    below,
    deeper: policy.key(namespaceId, below),
    beside: policy.key(namespaceId, above),
  };
  const { beside } = keys;
  const { spec = BUDGET } = WRITE_METHODS[name] ?? {};
  const { policy: made } = await policy
    .as(keys[creator].token)
    .policies.createPolicy({ name: "cap", spec: fromJson(PolicySpecSchema, spec) });
  const policyId = made?.id ?? expect.fail("no policy");
  const bind = async (principalId: Id<"ns"> | Id<"key">, mode = BindingMode.ENFORCE): Promise<Bound> => {
    const principalType = principalId === namespaceId ? PrincipalType.NAMESPACE : PrincipalType.API_KEY;
    const { binding } = await policies.bindPolicy({ policyId, principalType, principalId, mode });
    return { policyId, bindingId: binding?.id ?? "", otherKeyId: beside.id };
  };
  const state = async () => [await policies.listPolicies({}), await policies.listBindings({ policyId })];
  const principals = {
    namespace: namespaceId,
    "own key": sub.id,
    "root key": root.id,
    below: below.id,
    beside: beside.id,
  };
  return { ...keys, policyId, bind, state, principals };
}

it("every method that writes policies is tried here", () => {
  expect(methods.map(([name]) => name).toSorted()).toEqual(Object.keys(WRITE_METHODS).toSorted());
  expect(loosening.length).toBeGreaterThanOrEqual(12);
  expect(changing.length).toBe(loosening.length + 1);
});

describe.each(loosening)("%s", (name, method) => {
  const request = WRITE_METHODS[name]?.request ?? expect.fail("no such method");

  it.each(["namespace", "own key", "root key"] as const)(
    "is refused to a sub-key that is bound by its %s",
    async (by) => {
      for (const mode of [BindingMode.ENFORCE, BindingMode.SHADOW]) {
        const { sub, below, bind, state, principals } = await createLineage(name);
        const bound = await bind(principals[by], mode);
        const before = await state();
        for (const caller of [sub, below]) {
          const error = await refusal(callMethod(method, caller.token, request(bound)));
          expect(error).toMatchObject({ reason: "POLICY_BINDS_CALLER" });
        }
        expect(await state()).toEqual(before);
      }
    },
  );

  it("is refused through a binding of another key too, while the policy binds the caller", async () => {
    const { sub, bind, principals } = await createLineage(name);
    await bind(principals["own key"]);
    const bound = await bind(principals.beside);
    expect(await refusal(callMethod(method, sub.token, request(bound)))).toMatchObject({
      reason: "POLICY_BINDS_CALLER",
    });
  });

  it("is permitted to a root key, whatever binds it", async () => {
    const { root, bind, principals } = await createLineage(name);
    const bound = await bind(principals.namespace);
    await callMethod(method, root.token, request(bound));
  });

  it("is refused from the instant at which the policy applies to the caller", async () => {
    const { sub, below, bind, principals } = await createLineage(name, "sub");
    const bound = await bind(below.id);
    const calls = await whileLocked(bound.policyId, [
      () => bind(principals["own key"]),
      () => callMethod(method, sub.token, request(bound)),
    ]);
    expect(await refusal(Promise.all(calls))).toMatchObject({ reason: "POLICY_BINDS_CALLER" });
  });

  it("is permitted until then", async () => {
    const { sub, below, bind, principals } = await createLineage(name, "sub");
    const bound = await bind(below.id);
    const [changed] = await whileLocked(bound.policyId, [
      () => callMethod(method, sub.token, request(bound)),
      () => bind(principals["own key"]).catch(() => {}),
    ]);
    await changed;
  });
});

describe.each(changing)("%s", (name, method) => {
  const request = WRITE_METHODS[name]?.request ?? expect.fail("no such method");

  it.each(["sub", "below", "deeper"] as const)(
    "is permitted to a sub-key on a policy that %s created, bound below it",
    async (creator) => {
      const { root, sub, below, deeper, policyId, bind, state } = await createLineage(name, creator);
      if (WRITE_METHODS[name]?.effect === "tightens")
        await policy.as(root.token).policies.disablePolicy({ id: policyId });
      policy.revoke(deeper.id);
      const bound = await bind(below.id);
      const before = await state();
      await callMethod(method, sub.token, request(bound));
      expect(await state().catch(() => "gone")).not.toEqual(before);
    },
  );

  it.each(["root", "above", "beside"] as const)(
    "is refused to a sub-key on a policy that %s created, bound below it",
    async (creator) => {
      const { sub, below, bind, state } = await createLineage(name, creator);
      const bound = await bind(below.id);
      const before = await state();
      for (const caller of [sub, below]) {
        const error = await refusal(callMethod(method, caller.token, request(bound)));
        // A key below is bound itself; that error comes first.
        expect(error).toMatchObject({ code: Code.PermissionDenied, reason: expect.stringMatching(/^POLICY_/) });
        if (caller === sub) expect(error.reason).toBe("POLICY_OUT_OF_LINEAGE");
      }
      expect(await state()).toEqual(before);
    },
  );

  it("is refused to a sub-key for its own policy once that is also bound to another key, and permitted to the root key", async () => {
    const { root, sub, below, beside, bind, state } = await createLineage(name, "sub");
    const [bound] = [await bind(below.id), await bind(beside.id, BindingMode.SHADOW)];
    const before = await state();
    const error = await refusal(callMethod(method, sub.token, request(bound)));
    expect(error).toMatchObject({ code: Code.PermissionDenied, reason: "POLICY_OUT_OF_LINEAGE" });
    expect(await state()).toEqual(before);
    await callMethod(method, root.token, request(bound));
  });

  it("is refused to a sub-key if the creator of the policy is not recorded, and permitted to the root key", async () => {
    const { root, sub, below, policyId, bind } = await createLineage(name, "sub");
    const bound = await bind(below.id);
    await policy.tamper(sql`update policies set creator_lineage = default where id = ${policyId}`);
    expect(await refusal(callMethod(method, sub.token, request(bound)))).toMatchObject({
      reason: "POLICY_OUT_OF_LINEAGE",
    });
    await callMethod(method, root.token, request(bound));
  });
});

describe("PolicyService/EnablePolicy", () => {
  it("is permitted to a sub-key for its own policy that is bound to itself, because it only tightens", async () => {
    const { sub, policyId, bind } = await createLineage("PolicyService/EnablePolicy", "sub");
    await policy.as(sub.token).policies.disablePolicy({ id: policyId });
    await bind(sub.id);
    const { policy: enabled } = await policy.as(sub.token).policies.enablePolicy({ id: policyId });
    expect(enabled?.disabledAt).toBeUndefined();
  });
});

describe("binding", () => {
  const on = (id: string) => ({
    principalType: id.startsWith("ns_") ? PrincipalType.NAMESPACE : PrincipalType.API_KEY,
    principalId: id,
  });
  const spec = { window: 2, limitMicroUsd: 5n };

  it.each(["own key", "below"] as const)(
    "is permitted to a sub-key for its %s, whichever key created the policy",
    async (by) => {
      for (const creator of ["root", "sub"] as const) {
        const { sub, policyId, principals } = await createLineage("PolicyService/BindPolicy", creator);
        const { policies, budgets } = policy.as(sub.token);
        const { binding } = await policies.bindPolicy({ policyId, ...on(principals[by]) });
        expect(binding).toMatchObject({ principalId: principals[by], createdBy: sub.id });
        const made = await budgets.createBudget({ name: "own", spec, bindTo: [on(principals[by])] });
        expect(made).toMatchObject({ policy: { createdBy: sub.id }, bindings: [{ createdBy: sub.id }] });
      }
    },
  );

  it.each(["namespace", "root key", "beside"] as const)(
    "is refused to a sub-key for the %s, by every method",
    async (by) => {
      const { sub, policyId, principals, state } = await createLineage("PolicyService/BindPolicy", "sub");
      const before = await state();
      const { policies, ...typedServices } = policy.as(sub.token);
      const target = on(principals[by]);
      const name = "own";
      const bindTo = [on(sub.id), target];
      const attempts = [
        () => policies.bindPolicy({ policyId, ...target }),
        () => policies.bindPolicy({ policyId, ...target, mode: BindingMode.SHADOW }),
        () => typedServices.budgets.createBudget({ name, spec, bindTo }),
        () => typedServices.guardrails.createGuardrail({ name, spec: { modelAllow: {} }, bindTo }),
        () => typedServices.rateLimits.createRateLimit({ name, spec: { windowSecs: 60, maxRequests: 1n }, bindTo }),
        () => typedServices.presets.createPreset({ name, spec: { budget: spec }, bindTo }),
      ];
      for (const attempt of attempts) {
        const error = await refusal(attempt());
        expect(error).toMatchObject({ code: Code.PermissionDenied, reason: "PRINCIPAL_OUT_OF_LINEAGE" });
      }
      expect(await state()).toEqual(before);
    },
  );

  it("answers NOT_FOUND to a sub-key before PERMISSION_DENIED", async () => {
    const { sub, policyId, principals } = await createLineage("PolicyService/BindPolicy");
    const { policies } = policy.as(sub.token);
    const calls = [
      () => policies.bindPolicy({ policyId, ...on(newId("key")) }),
      () => policies.bindPolicy({ policyId: newId("pol"), ...on(principals.namespace) }),
    ];
    for (const call of calls) expect(await refusal(call())).toMatchObject({ reason: "RESOURCE_NOT_FOUND" });
  });

  it("with an etag is refused if the policy was changed since it was read, and binds nothing", async () => {
    const { root, sub, policyId, state, principals } = await createLineage("PolicyService/BindPolicy", "sub");
    const { policies } = policy.as(root.token);
    const { policy: read } = await policies.getPolicy({ id: policyId });
    const etag = read?.etag ?? expect.fail("no policy");
    await policy.as(sub.token).policies.updatePolicy({ id: policyId, spec: fromJson(PolicySpecSchema, LARGER) });
    const before = await state();
    const request = { policyId, ...on(principals.namespace) };
    const error = await refusal(policies.bindPolicy({ ...request, etag }));
    expect(error).toMatchObject({ code: Code.Aborted, reason: "ETAG_MISMATCH" });
    expect(await state()).toEqual(before);
    const { policy: now } = await policies.getPolicy({ id: policyId });
    for (const _ of ["new", "again"]) {
      const bound = await policies.bindPolicy({ ...request, etag: now?.etag ?? "" });
      expect(bound).toMatchObject({ policy: { id: policyId, etag: now?.etag }, binding: { createdBy: root.id } });
    }
    expect(await refusal(policies.bindPolicy({ ...request, etag }))).toMatchObject({ reason: "ETAG_MISMATCH" });
  });

  it.each(["root", "above", "another root"] as const)(
    "of a %s key replaces what a sub-key has bound in shadow mode by an enforced binding",
    async (by) => {
      const { root, above, sub, policyId, principals } = await createLineage("PolicyService/BindPolicy");
      const caller = { root, above, "another root": policy.key(principals.namespace) }[by];
      const [asCaller, asSub] = [policy.as(caller.token).policies, policy.as(sub.token).policies];
      const request = { policyId, ...on(principals["own key"]) };
      const [shadow, enforce] = [BindingMode.SHADOW, BindingMode.ENFORCE];
      await asSub.bindPolicy({ ...request, mode: shadow });
      expect(await refusal(asSub.bindPolicy({ ...request, mode: enforce }))).toMatchObject({
        reason: "BINDING_EXISTS",
      });
      const { binding } = await asCaller.bindPolicy({ ...request, mode: enforce });
      expect(binding).toMatchObject({ mode: enforce, createdBy: caller.id });
      expect(await refusal(asSub.bindPolicy({ ...request, mode: shadow }))).toMatchObject({ reason: "BINDING_EXISTS" });
      expect((await asCaller.listBindings({ policyId })).bindings).toEqual([binding]);
    },
  );

  it("with an etag is refused if the policy was disabled since it was read, and binds nothing", async () => {
    const { root, sub, policyId, state, principals } = await createLineage("PolicyService/BindPolicy", "sub");
    const { policies } = policy.as(root.token);
    const { policy: read } = await policies.getPolicy({ id: policyId });
    const request = { policyId, ...on(principals.namespace), etag: read?.etag ?? "" };
    await policy.as(sub.token).policies.disablePolicy({ id: policyId });
    const before = await state();
    expect(await refusal(policies.bindPolicy(request))).toMatchObject({ reason: "ETAG_MISMATCH" });
    expect(await state()).toEqual(before);
    await policies.enablePolicy({ id: policyId });
    expect(await policies.bindPolicy(request)).toMatchObject({ policy: { etag: read?.etag } });
  });

  it("with an etag never binds a policy that is loosened at the same instant", async () => {
    for (let round = 0; round < 10; round++) {
      const { root, sub, policyId, principals } = await createLineage("PolicyService/BindPolicy", "sub");
      const { policies } = policy.as(root.token);
      const { policy: read } = await policies.getPolicy({ id: policyId });
      const [bound] = await Promise.allSettled([
        policies.bindPolicy({ policyId, ...on(principals.namespace), etag: read?.etag ?? "" }),
        policy.as(sub.token).policies.updatePolicy({ id: policyId, spec: fromJson(PolicySpecSchema, LARGER) }),
      ]);
      const { policy: now } = await policies.getPolicy({ id: policyId });
      if (bound.status === "fulfilled") expect(now?.etag).toBe(read?.etag);
    }
  });
});

/** Starts the calls one after the other while another transaction has locked the policy: they wait for it in this order. */
async function whileLocked(policyId: string, calls: readonly (() => Promise<unknown>)[]) {
  const started: Promise<unknown>[] = [];
  await policy.admin.within({}, async (tx) => {
    await sql`select from policies where id = ${policyId} for update`.execute(tx);
    for (const call of calls) {
      const answer = call();
      answer.catch(() => {});
      started.push(answer);
      await eventually(async () => (await waitingForLocks()) === started.length);
    }
  });
  await Promise.allSettled(started);
  return started;
}

async function waitingForLocks(): Promise<number> {
  const { rows } = await policy.admin.within({}, (tx) =>
    sql<{ count: string }>`
      select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`.execute(
      tx,
    ),
  );
  return Number(rows[0]?.count);
}
