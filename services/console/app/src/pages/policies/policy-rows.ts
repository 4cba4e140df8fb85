import { BindingMode, type Policy, type PolicyBinding, PrincipalType } from "@routeplane/contracts/policy";
import { budgetOf, POLICY_KINDS, type PolicyKind, type PolicySpec } from "@routeplane/policy-spec";
import { findWord, PROTO_POLICY_KINDS } from "@routeplane/policy-spec/proto";
import { type KeyNames, policyTitle } from "../../format/policy-title.ts";
import { specSummary } from "./spec-lines.ts";
import { readSpec } from "./spec.ts";

/** Policy as a row of the list. */
export interface PolicyRow {
  readonly policy: Policy;
  /** Undefined for a kind or a word that only newer nodes know. */
  readonly kind: PolicyKind | undefined;
  readonly spec: PolicySpec | undefined;
  readonly title: string;
  readonly summary: string;
  /** Oldest bindings of the policy. */
  readonly bindings: readonly PolicyBinding[];
  /** Number of bindings that are not in `bindings`, and how many of them are in shadow mode. */
  readonly further: { readonly count: number; readonly shadow: number };
  /** Binding with the least left of the budget; undefined without a budget. */
  readonly tightest: PolicyBinding | undefined;
}

/** Filters of the list, as in the address. */
export interface PolicyFilters {
  readonly kind: string;
  readonly text: string;
}

/** Rows of the policies that match the filters, newest first. */
export function policyRows(policies: readonly Policy[], filters: PolicyFilters, keys: KeyNames): readonly PolicyRow[] {
  const kind = POLICY_KINDS.find((known) => known === filters.kind);
  const needle = filters.text.trim().toLowerCase();
  return policies
    .map((policy) => rowOf(policy, keys))
    .filter((row) => kind === undefined || row.kind === kind)
    .filter((row) => needle === "" || textOf(row, keys).includes(needle))
    .toReversed();
}

function rowOf(policy: Policy, keys: KeyNames): PolicyRow {
  const spec = readSpec(policy.spec);
  return {
    policy,
    kind: findWord(PROTO_POLICY_KINDS, policy.kind),
    spec,
    title: policyTitle(policy.name, keys),
    summary: spec === undefined ? "Rules that this version of the console does not know." : specSummary(spec),
    bindings: policy.bindings,
    further: {
      count: Math.max(0, policy.bindingCount - policy.bindings.length),
      shadow: Math.max(0, policy.shadowBindingCount - policy.bindings.filter(isShadow).length),
    },
    tightest: spec === undefined || budgetOf(spec) === undefined ? undefined : tightestOf(policy.bindings),
  };
}

function tightestOf(bindings: readonly PolicyBinding[]): PolicyBinding | undefined {
  const used = bindings.filter(({ budgetUse }) => budgetUse !== undefined);
  return used.toSorted((a, b) => Number(leftOf(a) - leftOf(b)))[0];
}

function isShadow({ binding }: PolicyBinding): boolean {
  return binding?.mode === BindingMode.SHADOW;
}

function leftOf({ budgetUse }: PolicyBinding): bigint {
  return budgetUse?.remainingMicroUsd ?? 0n;
}

/** Text that a filter searches: name, id, rules and principals of the policy. */
function textOf({ policy, title, summary, bindings }: PolicyRow, keys: KeyNames): string {
  const principals = bindings.map(({ binding }) => {
    if (binding?.principalType === PrincipalType.NAMESPACE) return "namespace";
    return keys.get(binding?.principalId ?? "")?.name ?? "";
  });
  const modes = policy.shadowBindingCount > 0 || bindings.some(isShadow) ? ["shadow"] : [];
  const state = policy.disabledAt === undefined ? [] : ["disabled"];
  return [policy.name, title, policy.id, summary, ...principals, ...modes, ...state].join("\n").toLowerCase();
}
