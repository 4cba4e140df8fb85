import {
  BindingMode,
  BudgetWindow,
  PatternAction,
  PatternScope,
  PolicyKind,
  PrincipalType,
  Uninspectable,
} from "@routeplane/contracts/policy";

/** The words of command line and JSON for the contract's enums. */

export const POLICY_KINDS = {
  guardrail: PolicyKind.GUARDRAIL,
  rate_limit: PolicyKind.RATE_LIMIT,
  budget: PolicyKind.BUDGET,
  preset: PolicyKind.PRESET,
} as const;
export type PolicyKindWord = keyof typeof POLICY_KINDS;

export const BUDGET_WINDOWS = {
  hour: BudgetWindow.HOUR,
  day: BudgetWindow.DAY,
  week: BudgetWindow.WEEK,
  month: BudgetWindow.MONTH,
  total: BudgetWindow.TOTAL,
} as const;

export const PRINCIPAL_TYPES = { api_key: PrincipalType.API_KEY, namespace: PrincipalType.NAMESPACE } as const;
export const MODES = { enforce: BindingMode.ENFORCE, shadow: BindingMode.SHADOW } as const;
export const ACTIONS = { block: PatternAction.BLOCK, redact: PatternAction.REDACT } as const;
export const UNINSPECTABLE = { block: Uninspectable.BLOCK, pass: Uninspectable.PASS } as const;
export const TARGETS = {
  request: PatternScope.REQUEST,
  response: PatternScope.RESPONSE,
  both: PatternScope.BOTH,
} as const;

/** `unknown` for a value that a newer node may send. */
export function word(words: Readonly<Record<string, number>>, value: number): string {
  return Object.entries(words).find(([, known]) => known === value)?.[0] ?? "unknown";
}
