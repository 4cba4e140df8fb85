/** Services of one kind each: they convert the spec of a request and delegate to the shared handlers of `typed-policies.ts`. */
import type { ServiceImpl } from "@connectrpc/connect";
import type { BudgetService, GuardrailService, PresetService, RateLimitService } from "@routeplane/contracts/policy";
import { invalidField } from "@routeplane/domain";
import {
  fromProtoBudget,
  fromProtoGuardrail,
  fromProtoPreset,
  fromProtoRateLimit,
  VALIDATED_WORDS,
} from "@routeplane/policy-spec/proto";
import { budgetChange, guardrailChange, presetChange, rateLimitChange } from "./spec-changes.ts";
import type { TypedPolicies } from "./typed-policies.ts";

export function budgetService(budgets: TypedPolicies<"budget">): ServiceImpl<typeof BudgetService> {
  return {
    createBudget: (request, context) =>
      budgets.create(
        request,
        { kind: "budget", ...fromProtoBudget(requireSpec(request.spec), VALIDATED_WORDS) },
        context,
      ),
    getBudget: budgets.get,
    listBudgets: budgets.list,
    updateBudget: (request, context) => budgets.update(request, budgetChange(request), context),
    deleteBudget: budgets.remove,
  };
}

export function rateLimitService(rateLimits: TypedPolicies<"rate_limit">): ServiceImpl<typeof RateLimitService> {
  return {
    createRateLimit: (request, context) =>
      rateLimits.create(request, { kind: "rate_limit", ...fromProtoRateLimit(requireSpec(request.spec)) }, context),
    getRateLimit: rateLimits.get,
    listRateLimits: rateLimits.list,
    updateRateLimit: (request, context) => rateLimits.update(request, rateLimitChange(request), context),
    deleteRateLimit: rateLimits.remove,
  };
}

export function guardrailService(guardrails: TypedPolicies<"guardrail">): ServiceImpl<typeof GuardrailService> {
  return {
    createGuardrail: (request, context) =>
      guardrails.create(
        request,
        { kind: "guardrail", ...fromProtoGuardrail(requireSpec(request.spec), VALIDATED_WORDS) },
        context,
      ),
    getGuardrail: guardrails.get,
    listGuardrails: guardrails.list,
    updateGuardrail: (request, context) => guardrails.update(request, guardrailChange(request), context),
    deleteGuardrail: guardrails.remove,
  };
}

export function presetService(presets: TypedPolicies<"preset">): ServiceImpl<typeof PresetService> {
  return {
    createPreset: (request, context) =>
      presets.create(
        request,
        { kind: "preset", ...fromProtoPreset(requireSpec(request.spec), VALIDATED_WORDS) },
        context,
      ),
    getPreset: presets.get,
    listPresets: presets.list,
    updatePreset: (request, context) => presets.update(request, presetChange(request), context),
    deletePreset: presets.remove,
  };
}

/** @throws DomainError INVALID_ARGUMENT without a spec, which the contract's validation refuses before */
function requireSpec<Spec>(spec: Spec | undefined): Spec {
  if (spec === undefined) throw invalidField("spec", "is required");
  return spec;
}
