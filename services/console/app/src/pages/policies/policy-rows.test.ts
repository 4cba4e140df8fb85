import { create, fromJson } from "@bufbuild/protobuf";
import { BindingMode, BudgetWindow, PolicyKind, PolicySchema, PrincipalType } from "@routeplane/contracts/policy";
import { expect, test } from "vitest";
import { policyRows } from "./policy-rows.ts";

const KEY_ID = "key_01m8nxhrr4e0vv0ksec5fq95ys";
const KEYS = new Map([[KEY_ID, { name: "Billing agent" }]]);
const ALL = { kind: "", text: "" };

function budget(id: string, name: string, remaining: readonly bigint[], bindingCount = remaining.length) {
  return create(PolicySchema, {
    id,
    name,
    kind: PolicyKind.BUDGET,
    spec: { kind: { case: "budget", value: { window: BudgetWindow.DAY, limitMicroUsd: 100n } } },
    bindingCount,
    shadowBindingCount: 7,
    bindings: remaining.map((remainingMicroUsd, index) => ({
      binding: {
        id: `bnd_${index}`,
        principalType: PrincipalType.API_KEY,
        principalId: KEY_ID,
        mode: BindingMode.SHADOW,
      },
      budgetUse: { remainingMicroUsd },
    })),
  });
}

test("finds a policy by kind, name, rules, and the name of a key that it is bound to", () => {
  const policies = [
    budget("pol_1", "Daily", [5n]),
    create(PolicySchema, {
      id: "pol_2",
      name: "Pace",
      kind: PolicyKind.RATE_LIMIT,
      spec: { kind: { case: "rateLimit", value: { windowSecs: 60, maxRequests: 7n } } },
    }),
  ];
  const found = (filters: Partial<typeof ALL>) =>
    policyRows(policies, { ...ALL, ...filters }, KEYS).map(({ policy }) => policy.id);
  expect(found({})).toEqual(["pol_2", "pol_1"]);
  expect(found({ kind: "rate_limit" })).toEqual(["pol_2"]);
  expect(found({ kind: "constructor" })).toEqual(["pol_2", "pol_1"]);
  expect(found({ text: " daily " })).toEqual(["pol_1"]);
  expect(found({ text: "billing" })).toEqual(["pol_1"]);
  expect(found({ text: "shadow" })).toEqual(["pol_1"]);
  expect(found({ text: "7 in any minute" })).toEqual(["pol_2"]);
  expect(found({ text: "budget", kind: "preset" })).toEqual([]);
});

test("shows the binding with the least left of a budget, and counts bindings that are not listed", () => {
  const [row] = policyRows([budget("pol_1", "Daily", [70n, 3n, 9_007_199_254_740_993n], 8)], ALL, KEYS);
  expect(row?.tightest?.binding?.id).toBe("bnd_1");
  expect(row?.further).toEqual({ count: 5, shadow: 4 });
});

test("names the limits of a key after the key", () => {
  const [row] = policyRows([budget("pol_1", `limits of ${KEY_ID}`, [])], ALL, KEYS);
  expect(row?.title).toBe("limits of Billing agent");
});

test("includes a policy with a word that only newer nodes know", () => {
  const json = {
    id: "pol_9",
    name: "Newer",
    kind: "POLICY_KIND_BUDGET",
    spec: { budget: { window: 99, limitMicroUsd: "1" } },
  };
  const newer = fromJson(PolicySchema, json);
  expect(policyRows([newer], ALL, KEYS)).toMatchObject([{ spec: undefined, kind: "budget" }]);
});
