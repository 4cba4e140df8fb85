import {
  type Binding,
  BudgetWindow,
  type Policy,
  PolicyKind,
  type PolicySpec,
  PrincipalType,
} from "@routeplane/contracts/policy";
import { formatMicroUsd } from "../output/money.ts";
import type { Column } from "../output/table.ts";
import { formatTime } from "../output/time.ts";
import { fromProtoInteger, fromProtoTime } from "./values.ts";

/** The words of command line and JSON for the contract's enums. */
export const POLICY_KINDS = {
  guardrail: PolicyKind.GUARDRAIL,
  rate_limit: PolicyKind.RATE_LIMIT,
  budget: PolicyKind.BUDGET,
  preset: PolicyKind.PRESET,
} as const;
export const BUDGET_WINDOWS = {
  hour: BudgetWindow.HOUR,
  day: BudgetWindow.DAY,
  week: BudgetWindow.WEEK,
  month: BudgetWindow.MONTH,
  total: BudgetWindow.TOTAL,
} as const;
export const PRINCIPAL_TYPES = { api_key: PrincipalType.API_KEY, namespace: PrincipalType.NAMESPACE } as const;

interface BudgetView {
  readonly window: string;
  readonly limit_micro_usd: number;
}

export interface PolicyView {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  /** Null if this CLI is older than the policy's kind. */
  readonly spec: BudgetView | null;
  readonly disabled_at: string | null;
}

export interface BindingView {
  readonly id: string;
  readonly policy_id: string;
  readonly principal_type: string;
  readonly principal_id: string;
}

export function fromProtoPolicy({ id, name, kind, spec, disabledAt }: Policy): PolicyView {
  return {
    id,
    name,
    kind: word(POLICY_KINDS, kind),
    spec: fromProtoSpec(spec),
    disabled_at: fromProtoTime(disabledAt),
  };
}

export function fromProtoBinding({ id, policyId, principalType, principalId }: Binding): BindingView {
  return {
    id,
    policy_id: policyId,
    principal_type: word(PRINCIPAL_TYPES, principalType),
    principal_id: principalId,
  };
}

export const POLICY_COLUMNS: readonly Column<PolicyView>[] = [
  { header: "ID", cell: ({ id }) => id },
  { header: "NAME", cell: ({ name }) => name },
  { header: "KIND", cell: ({ kind }) => kind },
  { header: "STATUS", cell: ({ disabled_at }) => (disabled_at === null ? "enabled" : "disabled") },
  { header: "SPEC", cell: ({ spec }) => specText(spec) },
];

export function policyFields(policy: PolicyView): readonly [string, string][] {
  return [
    ["id", policy.id],
    ["name", policy.name],
    ["kind", policy.kind],
    ["spec", specText(policy.spec)],
    ["disabled", policy.disabled_at === null ? "no" : formatTime(policy.disabled_at)],
  ];
}

export function bindingFields(binding: BindingView): readonly [string, string][] {
  return [
    ["id", binding.id],
    ["policy", binding.policy_id],
    ["principal", `${binding.principal_type} ${binding.principal_id}`],
  ];
}

function fromProtoSpec(spec: PolicySpec | undefined): BudgetView | null {
  if (spec?.kind.case !== "budget") return null;
  const { window, limitMicroUsd } = spec.kind.value;
  return { window: word(BUDGET_WINDOWS, window), limit_micro_usd: fromProtoInteger(limitMicroUsd) };
}

function specText(spec: BudgetView | null): string {
  if (spec === null) return "(unknown to this version of the CLI)";
  const per = spec.window === "total" ? "in total" : `per ${spec.window}`;
  return `${formatMicroUsd(spec.limit_micro_usd)} ${per}`;
}

/** `unknown` for a value that a newer node may send. */
export function word(words: Readonly<Record<string, number>>, value: number): string {
  return Object.entries(words).find(([, known]) => known === value)?.[0] ?? "unknown";
}
