import { type Id, notFound } from "@routeplane/domain";
import type { Applied } from "./applied-policy.ts";
import { type EffectivePolicy, effectivePolicy } from "./effective-policy.ts";
import type { BoundPrincipal, BudgetSpec } from "./policy.ts";
import type { AppliedPolicies, BudgetUse, Consumption, KeyDirectory } from "./ports.ts";

/** A budget and what is used of it now. */
export interface UsedBudget extends Applied<BudgetSpec> {
  readonly use: BudgetUse;
}

/** What applies to a principal, and what is used of it now. */
export interface UsedPolicy extends EffectivePolicy {
  readonly principal: BoundPrincipal;
  /** Of a key: from the root key down to it. Of a namespace: empty. */
  readonly lineage: readonly Id<"key">[];
  readonly budgets: readonly UsedBudget[];
}

/** @throws DomainError NOT_FOUND for a principal of no such namespace, UNAVAILABLE; Error if a policy cannot be read */
export type ReadEffectivePolicy = (namespaceId: Id<"ns">, principal: BoundPrincipal) => Promise<UsedPolicy>;

export interface ReadEffectivePolicyDependencies {
  readonly applied: AppliedPolicies;
  readonly consumption: Consumption;
  readonly keys: KeyDirectory;
}

const MAX_ATTEMPTS = 3;

export function createReadEffectivePolicy(dependencies: ReadEffectivePolicyDependencies): ReadEffectivePolicy {
  const { applied, consumption, keys } = dependencies;
  return async (namespaceId, principal) => {
    const lineage = await lineageOf(keys, namespaceId, principal);
    for (let attempt = 1; ; attempt++) {
      const effective = effectivePolicy(await applied.of(namespaceId, lineage));
      const uses = await consumption.ofBudgets(namespaceId, effective.budgets);
      const budgets = effective.budgets.flatMap((budget) => withUse(budget, uses.get(budget.bindingId)));
      if (budgets.length === effective.budgets.length) return { ...effective, principal, lineage, budgets };
      // One was unbound between the two readings.
      if (attempt === MAX_ATTEMPTS) throw new Error("what is used of a budget cannot be read");
    }
  };
}

function withUse(budget: Applied<BudgetSpec>, use: BudgetUse | undefined): readonly UsedBudget[] {
  return use === undefined ? [] : [{ ...budget, use }];
}

async function lineageOf(
  keys: KeyDirectory,
  namespaceId: Id<"ns">,
  principal: BoundPrincipal,
): Promise<readonly Id<"key">[]> {
  if (principal.type === "namespace") {
    if (principal.id !== namespaceId) throw notFound();
    return [];
  }
  const key = await keys.find(namespaceId, principal.id);
  if (key === undefined) throw notFound();
  return key.lineage;
}
