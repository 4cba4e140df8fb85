import { type BudgetSpec, budgetOf, type PolicySpec, type RateLimitSpec, rateLimitOf } from "@routeplane/policy-spec";
import type { Id } from "@routeplane/domain";
import { compose, type EffectiveGuardrail, type GuardrailSpec } from "@routeplane/guardrails";
import { type Applied, guardrailsIn } from "./applied-policy.ts";

/** Where a rule comes from. */
export type PolicySource = Omit<Applied<unknown>, "spec">;

/** Guardrails that apply together; its rules name bindings. */
export interface SourcedGuardrail extends EffectiveGuardrail {
  readonly sources: ReadonlyMap<string, PolicySource>;
}

/** What policies come to together. */
export interface EffectivePolicy {
  /** Of those that are enforced. */
  readonly guardrail: SourcedGuardrail | undefined;
  readonly shadowGuardrail: SourcedGuardrail | undefined;
  /** Each counts by itself: a request must fit into all of them that are enforced. */
  readonly budgets: readonly Applied<BudgetSpec>[];
  readonly rateLimits: readonly Applied<RateLimitSpec>[];
}

/** In whatever order the policies come, and however often: the same. */
export function composePolicies(applied: readonly Applied<PolicySpec>[]): EffectivePolicy {
  const once = [...new Map(applied.map((each) => [each.bindingId, each])).values()].toSorted(byBinding);
  const guardrails = guardrailsIn(once);
  return {
    guardrail: composeGuardrails(guardrails.filter(({ mode }) => mode === "enforce")),
    shadowGuardrail: composeGuardrails(guardrails.filter(({ mode }) => mode === "shadow")),
    budgets: once.flatMap((each) => withSpec(each, budgetOf(each.spec))),
    rateLimits: once.flatMap((each) => withSpec(each, rateLimitOf(each.spec))),
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

function byBinding(one: { readonly bindingId: Id<"bnd"> }, other: { readonly bindingId: Id<"bnd"> }): number {
  return one.bindingId < other.bindingId ? -1 : 1;
}
