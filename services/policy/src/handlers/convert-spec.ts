import { DEFAULT_TIME_ZONE, isCalendarWindow } from "@routeplane/admission";
import type { PolicySpec as ProtoSpec } from "@routeplane/contracts/policy";
import { invalidField } from "@routeplane/domain";
import { type BudgetSpec, budgetOf, guardrailOf, type PolicySpec, timeZoneFault } from "@routeplane/policy-spec";
import { fromProtoSpec } from "@routeplane/policy-spec/proto";
import type { GuardrailInRequest } from "../domain/policies/spec-rules.ts";

/**
 * Spec of a request, with its defaults.
 *
 * @throws DomainError INVALID_ARGUMENT if the request has no spec, or its budget a time zone that it cannot have
 */
export function requireProtoSpec(spec: ProtoSpec | undefined): PolicySpec {
  const converted = fromProtoSpec(spec);
  if (converted === undefined) throw invalidField("spec", "must say what the policy limits");
  return completeSpec(converted, `spec.${converted.kind}`);
}

/**
 * Spec with its defaults.
 *
 * @param path path of the spec in the request
 * @throws DomainError INVALID_ARGUMENT for a time zone that its budget cannot have
 */
export function completeSpec<Spec extends PolicySpec>(spec: Spec, path: string): Spec {
  const budget = budgetOf(spec);
  if (budget === undefined) return spec;
  if (spec.kind === "budget") return { ...spec, ...completeBudget(budget, `${path}.`) };
  return { ...spec, budget: completeBudget(budget, `${path}.budget.`) };
}

/**
 * Budget with its defaults: a calendar window has a time zone.
 *
 * @param fieldPrefix path that stands before the names of its fields in the request
 * @throws DomainError INVALID_ARGUMENT for a time zone that it cannot have
 */
export function completeBudget(budget: BudgetSpec, fieldPrefix: string): BudgetSpec {
  const { window, timeZone = isCalendarWindow(window) ? DEFAULT_TIME_ZONE : undefined } = budget;
  const fault = timeZoneFault(window, timeZone);
  if (fault !== undefined) throw invalidField(`${fieldPrefix}time_zone`, fault);
  return timeZone === undefined ? budget : { ...budget, timeZone };
}

/**
 * Guardrail of the spec of a request, with the path of its fields.
 *
 * @param path path of the spec; by default that of the kind's arm in a `PolicySpec`
 */
export function guardrailInRequest(spec: PolicySpec, path = `spec.${spec.kind}`): GuardrailInRequest | undefined {
  const guardrail = guardrailOf(spec);
  return guardrail && { guardrail, fieldPrefix: spec.kind === "preset" ? `${path}.guardrail.` : `${path}.` };
}
