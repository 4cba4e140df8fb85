import { create } from "@bufbuild/protobuf";
import { BindingMode, BudgetWindow, PolicySchema } from "@routeplane/contracts/policy";
import { expect, test } from "vitest";
import { budgetRows, furtherBindings, windowText } from "./budget-rows.ts";

const budget = (limitMicroUsd: bigint) => ({ window: BudgetWindow.DAY, limitMicroUsd });
const KEYS = new Map([["key_01m8nxhrr4e0vv0ksec5fq95ys", { name: "Billing agent" }]]);

function policy(name: string, limit: bigint, remaining: readonly bigint[], more = {}) {
  return create(PolicySchema, {
    id: `pol_${name}`,
    name,
    spec: { kind: { case: "budget", value: budget(limit) } },
    bindingCount: remaining.length,
    bindings: remaining.map((remainingMicroUsd, index) => ({
      binding: { id: `bnd_${index}`, mode: index === 0 ? BindingMode.ENFORCE : BindingMode.SHADOW },
      budgetUse: { spentMicroUsd: limit - remainingMicroUsd, remainingMicroUsd },
    })),
    ...more,
  });
}

test("lists each binding of a budget, the one with the least share left first", () => {
  const rows = budgetRows([policy("large", 1_000_000n, [500_000n, 250_000n]), policy("small", 10n, [4n])], KEYS);
  expect(rows.map(({ title, binding, isShadow }) => [title, binding.id, isShadow])).toEqual([
    ["large", "bnd_1", true],
    ["small", "bnd_0", false],
    ["large", "bnd_0", false],
  ]);
});

test("lists budgets of presets, and leaves out disabled ones and policies without a budget", () => {
  const preset = policy("preset", 10n, [10n], {
    spec: { kind: { case: "preset", value: { budget: budget(10n) } } },
  });
  const bare = policy("bare", 10n, [10n], { spec: { kind: { case: "preset", value: {} } } });
  const disabled = policy("disabled", 10n, [10n], { disabledAt: { seconds: 1n } });
  expect(budgetRows([preset, bare, disabled], KEYS).map(({ title }) => title)).toEqual(["preset"]);
});

test("describes the use in words", () => {
  const states = [0n, 20n, 21n].map((left) => budgetRows([policy("one", 100n, [left])], KEYS)[0]?.state);
  expect(states).toEqual(["used up", "nearly used up", ""]);
  expect(windowText({ window: BudgetWindow.MONTH })).toBe("any 30 days");
  const calendar = { window: BudgetWindow.CALENDAR_MONTH, timeZone: "Europe/Berlin" };
  expect(windowText(calendar)).toBe("a calendar month, Europe/Berlin");
});

test("names the key that was minted with a budget", () => {
  const own = policy("limits of key_01m8nxhrr4e0vv0ksec5fq95ys", 10n, [10n]);
  expect(budgetRows([own], KEYS)[0]?.title).toBe("limits of Billing agent");
});

test("counts the bindings that the list does not name", () => {
  expect(furtherBindings([policy("one", 10n, [1n, 2n], { bindingCount: 9 }), policy("two", 10n, [1n])])).toBe(7);
  expect(furtherBindings([policy("off", 10n, [1n], { bindingCount: 9, disabledAt: { seconds: 1n } })])).toBe(0);
});
