import type { Binding, BoundPolicy, BudgetUse, Policy, PolicyBinding } from "@routeplane/contracts/policy";
import { PROTO_BINDING_MODES, PROTO_POLICY_KINDS, PROTO_PRINCIPAL_TYPES } from "@routeplane/policy-spec/proto";
import { formatUsd } from "../../output/money.ts";
import { textColumn } from "../../output/columns.ts";
import type { Column } from "../../output/table.ts";
import { formatTime } from "../../output/time.ts";
import { fromProtoSpec, specFields, specText, type SpecView, wordOf } from "./spec.ts";
import { fromProtoInteger, requirePresent, fromProtoTime } from "../values.ts";

export interface PolicyView {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  /** Spec of the policy; null if this CLI does not know its kind. */
  readonly spec: SpecView | null;
  readonly disabled_at: string | null;
  readonly etag: string;
  /** Id of the caller that created it; null if it was created before this field existed. */
  readonly created_by: string | null;
  readonly binding_count: number;
  /** Part of `binding_count` that binds keys; the rest binds the namespace. */
  readonly key_binding_count: number;
  /** Part of `binding_count` that is in shadow mode. */
  readonly shadow_binding_count: number;
  /** Oldest bindings of the policy, at most 5. */
  readonly bound_to: readonly BoundToView[];
}

export interface BoundToView {
  readonly binding_id: string;
  readonly principal_type: string;
  readonly principal_id: string;
  readonly mode: string;
  /** Current use of the budget through this binding; null if the policy contains no budget. */
  readonly budget_use: BudgetUseView | null;
}

export interface BudgetUseView {
  readonly spent_micro_usd: number;
  readonly reserved_micro_usd: number;
  /** Part of the reserved amount that is set aside in slices of gateways. */
  readonly leased_micro_usd: number;
  /** Part of the reserved amount that is held back because a lost gateway may have spent it. */
  readonly held_back_micro_usd: number;
  readonly remaining_micro_usd: number;
  readonly frees_up_at: string | null;
}

export interface BindingView {
  readonly id: string;
  readonly policy_id: string;
  readonly principal_type: string;
  readonly principal_id: string;
  readonly mode: string;
  /** Id of the caller that created it; null if it was created before this field existed. */
  readonly created_by: string | null;
}

/** Binding in the list of a policy's bindings. */
export interface UsedBindingView extends BindingView {
  /** Current use of the budget through this binding; null if the policy contains no budget. */
  readonly budget_use: BudgetUseView | null;
}

export interface BoundPolicyView extends PolicyView {
  readonly binding: BindingView;
}

export function fromProtoPolicy(policy: Policy): PolicyView {
  const { id, name, kind, spec, disabledAt, etag, createdBy, bindings } = policy;
  return {
    id,
    name,
    kind: wordOf(PROTO_POLICY_KINDS, kind),
    spec: fromProtoSpec(spec),
    disabled_at: fromProtoTime(disabledAt),
    etag,
    created_by: createdBy || null,
    binding_count: policy.bindingCount,
    key_binding_count: policy.keyBindingCount,
    shadow_binding_count: policy.shadowBindingCount,
    bound_to: bindings.map(fromProtoPolicyBinding),
  };
}

function fromProtoPolicyBinding({ binding, budgetUse }: PolicyBinding): BoundToView {
  const { id, principal_type, principal_id, mode } = fromProtoBinding(requirePresent(binding));
  return { binding_id: id, principal_type, principal_id, mode, budget_use: budgetUse ? fromProtoUse(budgetUse) : null };
}

function fromProtoUse(use: BudgetUse): BudgetUseView {
  return {
    spent_micro_usd: fromProtoInteger(use.spentMicroUsd),
    reserved_micro_usd: fromProtoInteger(use.reservedMicroUsd),
    leased_micro_usd: fromProtoInteger(use.leasedMicroUsd),
    held_back_micro_usd: fromProtoInteger(use.heldBackMicroUsd),
    remaining_micro_usd: fromProtoInteger(use.remainingMicroUsd),
    frees_up_at: fromProtoTime(use.freesUpAt),
  };
}

export function fromProtoBinding({ id, policyId, principalType, principalId, mode, createdBy }: Binding): BindingView {
  return {
    id,
    policy_id: policyId,
    principal_type: wordOf(PROTO_PRINCIPAL_TYPES, principalType),
    principal_id: principalId,
    mode: wordOf(PROTO_BINDING_MODES, mode),
    created_by: createdBy || null,
  };
}

export function fromProtoUsedBinding({
  binding,
  budgetUse,
}: Pick<PolicyBinding, "binding" | "budgetUse">): UsedBindingView {
  const use = budgetUse === undefined ? null : fromProtoUse(budgetUse);
  return { ...fromProtoBinding(requirePresent(binding)), budget_use: use };
}

export function fromProtoBoundPolicy({ policy, binding }: BoundPolicy): BoundPolicyView {
  return { ...fromProtoPolicy(requirePresent(policy)), binding: fromProtoBinding(requirePresent(binding)) };
}

type PolicyColumn = Column<PolicyView>;

const ID: PolicyColumn = { header: "ID", cell: ({ id }) => id };
const NAME: PolicyColumn = { header: "NAME", cell: ({ name }) => name };
const KIND: PolicyColumn = { header: "KIND", leaveOutRank: 2, cell: ({ kind }) => kind };
const STATUS: PolicyColumn = {
  header: "STATUS",
  leaveOutRank: 3,
  cell: ({ disabled_at }) => (disabled_at === null ? "enabled" : "disabled"),
};
const BOUND_TO: PolicyColumn = {
  header: "BOUND TO",
  name: "binding_count",
  cell: boundToText,
  value: ({ binding_count }) => binding_count,
};
const SPEC: PolicyColumn = {
  header: "SPEC",
  leaveOutRank: 1,
  cell: ({ spec }) => shortened(specText(spec)),
  value: ({ spec }) => spec,
};
const ETAG: PolicyColumn = { header: "ETAG", only: "wide", cell: ({ etag }) => etag };
const CREATED_BY: PolicyColumn = textColumn("CREATED BY", "created_by", { only: "wide" });

type UseName = "spent_micro_usd" | "reserved_micro_usd" | "remaining_micro_usd";

/** Column of an amount of `tightestUse`; empty if a policy contains no budget. */
function useColumn(
  header: string,
  name: UseName,
  layout: Pick<PolicyColumn, "only" | "leaveOutRank"> = {},
): PolicyColumn {
  const value = (policy: PolicyView): number | undefined => tightestUse(policy)?.[name];
  return { header, name, right: "point", cell: (policy) => usd(value(policy)), value, ...layout };
}

export const POLICY_COLUMNS: readonly PolicyColumn[] = [
  ID,
  NAME,
  KIND,
  STATUS,
  BOUND_TO,
  useColumn("SPENT", "spent_micro_usd", { only: "wide" }),
  useColumn("RESERVED", "reserved_micro_usd", { only: "wide" }),
  useColumn("LEFT", "remaining_micro_usd", { leaveOutRank: 4 }),
  SPEC,
  ETAG,
  CREATED_BY,
];

/** Columns of budgets. SPENT, RESERVED and LEFT are those of `tightestUse`. */
export const BUDGET_COLUMNS: readonly PolicyColumn[] = [
  ID,
  NAME,
  STATUS,
  BOUND_TO,
  useColumn("SPENT", "spent_micro_usd"),
  useColumn("RESERVED", "reserved_micro_usd", { leaveOutRank: 2 }),
  useColumn("LEFT", "remaining_micro_usd"),
  SPEC,
];

/** Columns of the bindings of one policy, with the use of its budget through each. */
export function usedBindingColumns(): readonly Column<UsedBindingView>[] {
  const amount = (name: UseName): Column<UsedBindingView> => {
    const value = ({ budget_use: use }: UsedBindingView): number | undefined => use?.[name];
    return { header: name, name, only: "programs", cell: (binding) => usd(value(binding)), value };
  };
  return [
    ...BINDING_COLUMNS,
    { header: "USE", only: "people", cell: ({ budget_use }) => (budget_use === null ? "" : useAmounts(budget_use)) },
    amount("spent_micro_usd"),
    amount("reserved_micro_usd"),
    amount("remaining_micro_usd"),
  ];
}

export const BINDING_COLUMNS: readonly Column<BindingView>[] = [
  { header: "ID", cell: ({ id }) => id },
  { header: "MODE", cell: ({ mode }) => mode },
  { header: "PRINCIPAL", only: "people", cell: principalText },
  { header: "POLICY", name: "policy_id", only: "wide", cell: ({ policy_id }) => policy_id },
  { header: "PRINCIPAL TYPE", only: "programs", cell: ({ principal_type }) => principal_type },
  { header: "PRINCIPAL ID", only: "programs", cell: ({ principal_id }) => principal_id },
  textColumn("BOUND BY", "created_by", { only: "wide" }),
];

export const BOUND_POLICY_COLUMNS: readonly Column<BoundPolicyView>[] = [
  { header: "POLICY", name: "id", cell: ({ id }) => id },
  { header: "BINDING", name: "binding_id", cell: ({ binding }) => binding.id },
  { header: "MODE", cell: ({ binding }) => binding.mode },
  NAME,
  KIND,
  STATUS,
  SPEC,
];

export function policyFields(policy: PolicyView): readonly (readonly [string, string])[] {
  const { spec } = policy;
  return [
    ["id", policy.id],
    ["name", policy.name],
    ["kind", policy.kind],
    ...(spec === null ? [["spec", specText(spec)] as const] : specFields(spec).map(named)),
    ["disabled", policy.disabled_at === null ? "no" : formatTime(policy.disabled_at)],
    ["created by", policy.created_by ?? "not recorded"],
    ["etag", policy.etag],
    ...boundToFields(policy),
  ];
}

/** Summary of the bindings, e.g. `not bound`, `namespace`, `namespace, 2 keys`, `1 key (shadow)`, `3 keys (1 shadow)`. */
function boundToText({
  binding_count: count,
  key_binding_count: keys,
  shadow_binding_count: shadows,
}: PolicyView): string {
  if (count === 0) return "not bound";
  const parts = [...(keys < count ? ["namespace"] : []), ...(keys > 0 ? [keys === 1 ? "1 key" : `${keys} keys`] : [])];
  const shadowText = shadows === 0 ? "" : shadows === count ? " (shadow)" : ` (${shadows} shadow)`;
  return parts.join(", ") + shadowText;
}

function boundToFields({ id, binding_count: count, bound_to: known }: PolicyView): readonly [string, string][] {
  if (count === 0) return [["bound to", "nothing: it limits nothing"]];
  const more = count - known.length;
  return [
    ...known.map((binding): [string, string] => [
      "bound to",
      `${principalText(binding)} (${binding.binding_id})${useText(binding)}`,
    ]),
    ...(more > 0 ? [["bound to", `${more} more; see routeplane cloud policy bindings ${id}`] as [string, string]] : []),
  ];
}

/** Mode and use of a binding, e.g. `, shadow: $1.20 spent, $0.10 reserved, $3.70 left`. */
function useText({ mode, budget_use: use }: BoundToView): string {
  const shadow = mode === "shadow" ? ", shadow" : "";
  if (use === null) return shadow;
  return `${shadow}: ${useAmounts(use)}`;
}

/** Amounts of a use, e.g. `$1.20 spent, $0.10 reserved, $3.70 left`. */
function useAmounts(use: BudgetUseView): string {
  const reserved = use.reserved_micro_usd === 0 ? "" : `, ${usd(use.reserved_micro_usd)} reserved`;
  return `${usd(use.spent_micro_usd)} spent${reserved}, ${usd(use.remaining_micro_usd)} left`;
}

/**
 * Use of the binding in `bound_to` with the least left. `bound_to` has only the 5 oldest bindings: a later one can have less left. Shadow
 * bindings, which refuse nothing, count only if there is no other.
 */
function tightestUse({ bound_to: bindings }: PolicyView): BudgetUseView | undefined {
  const enforced = bindings.filter(({ mode }) => mode === "enforce");
  const deciding = enforced.length > 0 ? enforced : bindings;
  const uses = deciding.flatMap(({ budget_use: use }) => (use === null ? [] : [use]));
  return uses.toSorted((left, right) => left.remaining_micro_usd - right.remaining_micro_usd)[0];
}

function usd(microUsd: number | undefined): string {
  return microUsd === undefined ? "" : formatUsd(microUsd);
}

export function bindingFields(binding: BindingView): readonly [string, string][] {
  return [
    ["id", binding.id],
    ["policy", binding.policy_id],
    ["principal", principalText(binding)],
    ["mode", binding.mode],
    ["bound by", binding.created_by ?? "not recorded"],
  ];
}

export function principalText({
  principal_type,
  principal_id,
}: Pick<BindingView, "principal_type" | "principal_id">): string {
  return `${principal_type} ${principal_id}`;
}

function named([name, value]: readonly [string, string]): readonly [string, string] {
  return [name === "" ? "spec" : name, value];
}

/** Maximum length of a spec in lists, in characters. */
const MAX_SPEC_CHARS = 100;

function shortened(text: string): string {
  return text.length <= MAX_SPEC_CHARS ? text : `${text.slice(0, MAX_SPEC_CHARS - 1)}…`;
}
