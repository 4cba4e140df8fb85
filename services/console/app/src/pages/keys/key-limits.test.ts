import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { BindingMode, BudgetWindow, type Policy, PolicySchema, PrincipalType } from "@routeplane/contracts/policy";
import { expect, test } from "vitest";
import { keyLimitsOf } from "./key-limits.ts";

const FIVE_USD = { window: BudgetWindow.DAY, limitMicroUsd: 5_000_000n };

interface Bound {
  readonly to: readonly string[];
  readonly mode?: BindingMode;
  readonly bindingCount?: number;
  readonly isDisabled?: boolean;
  readonly isUnknown?: boolean;
}

function budget(id: string, { to, mode = BindingMode.ENFORCE, bindingCount = to.length, ...more }: Bound): Policy {
  return create(PolicySchema, {
    id,
    name: `name of ${id}`,
    spec: more.isUnknown === true ? {} : { kind: { case: "budget", value: FIVE_USD } },
    bindings: to.map((principalId) => {
      const principalType = principalId.startsWith("ns_") ? PrincipalType.NAMESPACE : PrincipalType.API_KEY;
      return { binding: { principalId, principalType, mode } };
    }),
    bindingCount,
    ...(more.isDisabled === true && { disabledAt: timestampFromMs(1) }),
  });
}

test("finds the rules of every policy that is bound to a key itself", () => {
  const limits = keyLimitsOf([budget("a", { to: ["key_1", "key_2", "ns_1"] }), budget("b", { to: ["key_1"] })]);
  expect([...limits.byKey.keys()]).toEqual(["key_1", "key_2"]);
  expect(limits.byKey.get("key_1")?.map(({ value, policyId }) => [value, policyId])).toEqual([
    ["$5.00 in any 24 hours", "a"],
    ["$5.00 in any 24 hours", "b"],
  ]);
  expect(limits.isWhole).toBe(true);
});

test("leaves out disabled policies, and marks shadow mode", () => {
  const shadow = budget("a", { to: ["key_1"], mode: BindingMode.SHADOW });
  const limits = keyLimitsOf([shadow, budget("b", { to: ["key_1"], isDisabled: true })]);
  expect(limits.byKey.get("key_1")?.map(({ policyId, isShadow }) => [policyId, isShadow])).toEqual([["a", true]]);
});

test("reports that a policy has bindings that are not listed", () => {
  expect(keyLimitsOf([budget("a", { to: ["key_1"], bindingCount: 9 })]).isWhole).toBe(false);
});

test("shows a rule of a newer version as unknown", () => {
  const [limit] = keyLimitsOf([budget("a", { to: ["key_1"], isUnknown: true })]).byKey.get("key_1") ?? [];
  expect(limit?.value).toBe("rules of a newer version");
});
