import type { Id } from "@routeplane/domain";
import { type BudgetSpec, budgetOf } from "@routeplane/policy-spec";
import { type BudgetUse, budgetUseOf } from "../effective/read-effective-policy.ts";
import type { Binding, BindingCounts, Policy } from "./policy.ts";
import type { BindingStore, CounterReader, ReadCounter } from "../ports.ts";

/** Policy with its bindings and, if it has a budget, the consumption of each. */
export interface DescribedPolicy {
  readonly policy: Policy;
  readonly bindingCounts: BindingCounts;
  /** Oldest bindings, at most `MAX_DESCRIBED_BINDINGS`. */
  readonly bindings: readonly DescribedBinding[];
}

export interface DescribedBinding {
  readonly binding: Binding;
  readonly budget?: { readonly spec: BudgetSpec; readonly use: BudgetUse };
}

export type DescribePolicies = (
  namespaceId: Id<"ns">,
  policies: readonly Policy[],
) => Promise<readonly DescribedPolicy[]>;

export type DescribeBindings = (policy: Policy, bindings: readonly Binding[]) => Promise<readonly DescribedBinding[]>;

const MAX_DESCRIBED_BINDINGS = 5;
const NO_BINDINGS: BindingCounts = { all: 0, ofKeys: 0, inShadow: 0 };

/** Reads bindings and counters after the policies, in other snapshots: a binding may have been made or removed in between. */
export function createDescribePolicies(bindings: BindingStore, counterReader: CounterReader): DescribePolicies {
  return async (namespaceId, policies) => {
    if (policies.length === 0) return [];
    const ids = policies.map(({ id }) => id);
    const oldest = await bindings.oldestOfPolicies(namespaceId, ids, MAX_DESCRIBED_BINDINGS);
    const counted = policies.flatMap((policy) =>
      budgetOf(policy.spec) === undefined ? [] : (oldest.get(policy.id)?.bindings ?? []),
    );
    const { now, counters } = await counterReader.ofBindings(
      namespaceId,
      counted.map(({ id }) => id),
    );
    return policies.map((policy) => {
      const { counts = NO_BINDINGS, bindings: bound = [] } = oldest.get(policy.id) ?? {};
      const described = bound.map((binding) => describedBinding(policy, binding, counters.get(binding.id), now));
      return { policy, bindingCounts: counts, bindings: described };
    });
  };
}

/** Reads the counters of bindings of one policy, in one call. */
export function createDescribeBindings(counterReader: CounterReader): DescribeBindings {
  return async (policy, bindings) => {
    if (budgetOf(policy.spec) === undefined || bindings.length === 0) return bindings.map((binding) => ({ binding }));
    const ids = bindings.map(({ id }) => id);
    const { now, counters } = await counterReader.ofBindings(policy.namespaceId, ids);
    return bindings.map((binding) => describedBinding(policy, binding, counters.get(binding.id), now));
  };
}

function describedBinding(
  policy: Policy,
  binding: Binding,
  counter: ReadCounter | undefined,
  now: Date,
): DescribedBinding {
  const spec = budgetOf(policy.spec);
  if (spec === undefined || counter === undefined) return { binding };
  return { binding, budget: { spec, use: budgetUseOf(spec, counter, now.getTime()) } };
}
