import { type DescMethodUnary, fromJson, type JsonValue } from "@bufbuild/protobuf";
import { BindingMode, PolicySpecSchema, PrincipalType } from "@routeplane/contracts/policy";
import type { Id } from "@routeplane/domain";
import { accessOf, publishedServices } from "@routeplane/rpc";
import { eventually } from "@routeplane/testing";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type PolicyUnderTest, refusal, startPolicyUnderTest } from "./policy-under-test.ts";

/** Promise 2: a sub-key cannot loosen a policy that binds itself, through whichever door. Root keys can. */

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

interface Bound {
  readonly policyId: string;
  readonly bindingId: string;
  /** Of another key than the caller. */
  readonly otherKeyId: string;
}

interface Door {
  /** Of the policy that it is tried on. */
  readonly spec: JsonValue;
  /** Whether it can take something away from what the policy enforces. */
  readonly loosens: boolean;
  readonly request: (bound: Bound) => JsonValue;
}

const BUDGET = { budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: "5" } };
const LARGER = { budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: "500" } };
const onOther = ({ otherKeyId }: Bound) => ({ principalType: "PRINCIPAL_TYPE_API_KEY", principalId: otherKeyId });

/** The doors of a typed service. */
function typed(type: string, spec: JsonValue, change: Record<string, JsonValue>): Record<string, Door> {
  const [arm = {}] = Object.values(spec as Record<string, JsonValue>);
  const create = { name: "looser", spec: arm };
  return {
    [`${type}Service/Create${type}`]: { spec, loosens: false, request: () => create },
    [`${type}Service/Update${type}`]: { spec, loosens: true, request: ({ policyId: id }) => ({ id, ...change }) },
    [`${type}Service/Delete${type}`]: { spec, loosens: true, request: ({ policyId: id }) => ({ id, unbind: true }) },
  };
}

const GUARDRAIL = { guardrail: { maxRequestTokens: "5", allowStreaming: false } };
const RATE_LIMIT = { rateLimit: { windowSecs: 60, maxRequests: "5", maxTokens: "5" } };

/** By what it is called. Whatever may write policies must be here. */
const DOORS: Readonly<Record<string, Door>> = {
  "PolicyService/CreatePolicy": { spec: BUDGET, loosens: false, request: () => ({ name: "looser", spec: LARGER }) },
  "PolicyService/UpdatePolicy": {
    spec: BUDGET,
    loosens: true,
    request: ({ policyId: id }) => ({ id, spec: LARGER }),
  },
  "PolicyService/DeletePolicy": {
    spec: BUDGET,
    loosens: true,
    request: ({ policyId: id }) => ({ id, unbind: true }),
  },
  "PolicyService/EnablePolicy": { spec: BUDGET, loosens: false, request: ({ policyId: id }) => ({ id }) },
  "PolicyService/DisablePolicy": { spec: BUDGET, loosens: true, request: ({ policyId: id }) => ({ id }) },
  "PolicyService/BindPolicy": {
    spec: BUDGET,
    loosens: false,
    request: (bound) => ({ policyId: bound.policyId, ...onOther(bound) }),
  },
  "PolicyService/UnbindPolicy": {
    spec: BUDGET,
    loosens: true,
    request: ({ policyId, bindingId }) => ({ policyId, bindingId }),
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
const doors = writing.map((method) => [nameOf(method as DescMethodUnary), method as DescMethodUnary] as const);
const loosening = doors.filter(([name]) => DOORS[name]?.loosens === true);

async function knock(method: DescMethodUnary, token: string, request: JsonValue): Promise<void> {
  const message = fromJson(method.input, request);
  await policy.transportAs(token).unary(method, undefined, undefined, undefined, message);
}

/** A namespace with a root key, a sub-key, a key below that, and a key beside it; and a policy of the door's kind. */
async function furnish(name: string) {
  const { namespaceId, key: root, policies } = policy.tenant();
  const sub = policy.key(namespaceId, root);
  const [below, beside] = [policy.key(namespaceId, sub), policy.key(namespaceId, root)];
  const { spec = BUDGET } = DOORS[name] ?? {};
  const { policy: made } = await policies.createPolicy({ name: "cap", spec: fromJson(PolicySpecSchema, spec) });
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
  return { root, sub, below, bind, state, principals };
}

it("every door through which policies are written is tried here", () => {
  expect(doors.map(([name]) => name).toSorted()).toEqual(Object.keys(DOORS).toSorted());
  expect(loosening.length).toBeGreaterThanOrEqual(12);
});

describe.each(loosening)("%s", (name, method) => {
  const request = DOORS[name]?.request ?? expect.fail("no door");

  it.each(["namespace", "own key", "root key"] as const)("is shut to a sub-key that is bound by its %s", async (by) => {
    for (const mode of [BindingMode.ENFORCE, BindingMode.SHADOW]) {
      const { sub, below, bind, state, principals } = await furnish(name);
      const bound = await bind(principals[by], mode);
      const before = await state();
      for (const caller of [sub, below]) {
        const error = await refusal(knock(method, caller.token, request(bound)));
        expect(error).toMatchObject({ reason: "POLICY_BINDS_CALLER" });
      }
      expect(await state()).toEqual(before);
    }
  });

  it("is shut through a binding of another key too, while the policy binds the caller", async () => {
    const { sub, bind, principals } = await furnish(name);
    await bind(principals["own key"]);
    const bound = await bind(principals.beside);
    expect(await refusal(knock(method, sub.token, request(bound)))).toMatchObject({ reason: "POLICY_BINDS_CALLER" });
  });

  it.each(["below", "beside"] as const)("is open to a sub-key where the policy binds a key %s alone", async (by) => {
    const { sub, bind, state, principals } = await furnish(name);
    const bound = await bind(principals[by]);
    const before = await state();
    await knock(method, sub.token, request(bound));
    expect(await state().catch(() => "gone")).not.toEqual(before);
  });

  it("is open to a root key, whatever binds it", async () => {
    const { root, bind, principals } = await furnish(name);
    const bound = await bind(principals.namespace);
    await knock(method, root.token, request(bound));
  });

  it("does not open in the instant in which the policy comes to bind the caller", async () => {
    const { sub, bind, principals } = await furnish(name);
    const bound = await bind(principals.beside);
    const knocked = await whileLocked(bound.policyId, [
      () => bind(principals["own key"]),
      () => knock(method, sub.token, request(bound)),
    ]);
    expect(await refusal(Promise.all(knocked))).toMatchObject({ reason: "POLICY_BINDS_CALLER" });
  });

  it("is open until then", async () => {
    const { sub, bind, principals } = await furnish(name);
    const bound = await bind(principals.beside);
    const [knocked] = await whileLocked(bound.policyId, [
      () => knock(method, sub.token, request(bound)),
      () => bind(principals["own key"]).catch(() => {}),
    ]);
    await knocked;
  });
});

/** Starts the calls one after the other while somebody else holds the policy: they queue for it in this order. */
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
