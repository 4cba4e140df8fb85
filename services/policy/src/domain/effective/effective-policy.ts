import type { Id } from "@routeplane/domain";
import { compose, type EffectiveGuardrail, type GuardrailSpec } from "@routeplane/guardrails";
import { type BudgetSpec, budgetOf, type PolicySpec, type RateLimitSpec, rateLimitOf } from "@routeplane/policy-spec";
import { type Applied, guardrailsIn } from "./applied-policy.ts";

/** Policy and binding that a rule comes from. */
export type PolicySource = Omit<Applied<unknown>, "spec">;

/** Composed guardrail. Its rules name bindings; `sources` has the policy of each. */
export interface SourcedGuardrail extends EffectiveGuardrail {
  readonly sources: ReadonlyMap<string, PolicySource>;
}

/** Composition of all policies that apply to a principal. */
export interface EffectivePolicy {
  /** Composed from enforced bindings; undefined if there are none. */
  readonly guardrail: SourcedGuardrail | undefined;
  /** Composed from bindings in shadow mode; undefined if there are none. */
  readonly shadowGuardrail: SourcedGuardrail | undefined;
  /** Budgets, each counted by itself: a request must fit into every enforced one. */
  readonly budgets: readonly Applied<BudgetSpec>[];
  readonly rateLimits: readonly Applied<RateLimitSpec>[];
}

/** Composes policies. The result depends neither on their order nor on repetitions. */
export function composePolicies(applied: readonly Applied<PolicySpec>[]): EffectivePolicy {
  const distinct = [...new Map(applied.map((policy) => [policy.bindingId, policy])).values()].toSorted(byBinding);
  const guardrails = guardrailsIn(distinct);
  return {
    guardrail: composeGuardrails(guardrails.filter(({ mode }) => mode === "enforce")),
    shadowGuardrail: composeGuardrails(guardrails.filter(({ mode }) => mode === "shadow")),
    budgets: distinct.flatMap((policy) => withSpec(policy, budgetOf(policy.spec))),
    rateLimits: distinct.flatMap((policy) => withSpec(policy, rateLimitOf(policy.spec))),
  };
}

function composeGuardrails(applied: readonly Applied<GuardrailSpec>[]): SourcedGuardrail | undefined {
  if (applied.length === 0) return undefined;
  const guardrail = compose(applied.map(({ bindingId, spec }) => ({ source: bindingId, spec })));
  const sources = new Map<string, PolicySource>();
  for (const { spec: _spec, ...source } of applied) sources.set(source.bindingId, source);
  return { ...guardrail, sources };
}

function withSpec<Spec>(applied: Applied<unknown>, spec: Spec | undefined): readonly Applied<Spec>[] {
  return spec === undefined ? [] : [{ ...applied, spec }];
}

function byBinding(a: { readonly bindingId: Id<"bnd"> }, b: { readonly bindingId: Id<"bnd"> }): number {
  return a.bindingId < b.bindingId ? -1 : 1;
}
