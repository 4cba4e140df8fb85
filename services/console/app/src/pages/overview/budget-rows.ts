import {
  type Binding,
  BindingMode,
  type BudgetSpec,
  type BudgetUse,
  BudgetWindow,
  type Policy,
} from "@routeplane/contracts/policy";
import { type KeyNames, policyTitle } from "../../format/policy-title.ts";

/** Share of a limit from which a budget counts as nearly used up. Percent. */
const NEARLY = 80n;

/** Budget of one binding. */
export interface BudgetRow {
  readonly policyId: string;
  readonly title: string;
  readonly binding: Binding;
  readonly spec: BudgetSpec;
  readonly use: BudgetUse;
  readonly isShadow: boolean;
  readonly state: "used up" | "nearly used up" | "";
}

/** Rows of the budgets in force, those in presets included: one for each binding, the most used first. */
export function budgetRows(policies: readonly Policy[], keys: KeyNames): readonly BudgetRow[] {
  return policies
    .filter(({ disabledAt }) => disabledAt === undefined)
    .flatMap((policy) => rowsOf(policy, keys))
    .toSorted(compareUse);
}

/** Number of bindings of budgets that the list of policies does not name. */
export function furtherBindings(policies: readonly Policy[]): number {
  return policies
    .filter((policy) => policy.disabledAt === undefined && budgetOf(policy) !== undefined)
    .reduce((sum, { bindingCount, bindings }) => sum + Math.max(0, bindingCount - bindings.length), 0);
}

/** Text of a budget window, with the time zone of a calendar window. */
export function windowText({ window, timeZone }: Pick<BudgetSpec, "window" | "timeZone">): string {
  const text = WINDOWS[window] ?? "a window that this version of the console does not know";
  return timeZone === undefined ? text : `${text}, ${timeZone}`;
}

const WINDOWS: Partial<Readonly<Record<BudgetWindow, string>>> = {
  [BudgetWindow.HOUR]: "any 60 minutes",
  [BudgetWindow.DAY]: "any 24 hours",
  [BudgetWindow.WEEK]: "any 7 days",
  [BudgetWindow.MONTH]: "any 30 days",
  [BudgetWindow.TOTAL]: "all time",
  [BudgetWindow.CALENDAR_DAY]: "a calendar day",
  [BudgetWindow.CALENDAR_MONTH]: "a calendar month",
};

function rowsOf(policy: Policy, keys: KeyNames): readonly BudgetRow[] {
  const spec = budgetOf(policy);
  if (spec === undefined) return [];
  return policy.bindings.flatMap(({ binding, budgetUse: use }) =>
    binding === undefined || use === undefined
      ? []
      : [
          {
            policyId: policy.id,
            title: policyTitle(policy.name, keys),
            binding,
            spec,
            use,
            isShadow: binding.mode === BindingMode.SHADOW,
            state: stateOf(spec, use),
          },
        ],
  );
}

function budgetOf({ spec }: Policy): BudgetSpec | undefined {
  if (spec?.kind.case === "budget") return spec.kind.value;
  return spec?.kind.case === "preset" ? spec.kind.value.budget : undefined;
}

function stateOf({ limitMicroUsd }: BudgetSpec, { remainingMicroUsd }: BudgetUse): BudgetRow["state"] {
  if (remainingMicroUsd <= 0n) return "used up";
  return (limitMicroUsd - remainingMicroUsd) * 100n >= NEARLY * limitMicroUsd ? "nearly used up" : "";
}

/** Compares by the remaining share of the limit, in integer arithmetic. */
function compareUse(a: BudgetRow, b: BudgetRow): number {
  const [left, right] = [
    a.use.remainingMicroUsd * b.spec.limitMicroUsd,
    b.use.remainingMicroUsd * a.spec.limitMicroUsd,
  ];
  return left < right ? -1 : Number(left > right);
}
