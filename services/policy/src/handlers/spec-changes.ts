/** Conversion of the typed services' update requests to changes of a spec; undefined if a request leaves the spec as it is. */
import type {
  UpdateBudgetRequest,
  UpdateGuardrailRequest,
  UpdatePresetRequest,
  UpdateRateLimitRequest,
} from "@routeplane/contracts/policy";
import { isCalendarWindow } from "@routeplane/admission";
import { invalidField, type DefinedFields, definedFields } from "@routeplane/domain";
import type { PolicyKind, SpecOf } from "@routeplane/policy-spec";
import {
  fromProtoBudget,
  fromProtoGuardrail,
  fromProtoRateLimit,
  VALIDATED_WORDS,
} from "@routeplane/policy-spec/proto";
import { completeBudget } from "./convert-spec.ts";
import type { GuardrailInRequest } from "../domain/policies/spec-rules.ts";

/** Change of a spec by an update request. */
export interface SpecChange<Kind extends PolicyKind> {
  readonly spec: (current: SpecOf<Kind>) => SpecOf<Kind>;
  /** Guardrail that the change brings, to be validated. */
  readonly guardrail?: GuardrailInRequest | undefined;
}

export function budgetChange({
  window: number,
  timeZone,
  limitMicroUsd,
}: UpdateBudgetRequest): SpecChange<"budget"> | undefined {
  const window = number === undefined ? undefined : VALIDATED_WORDS.window(number);
  const change = partsChange<"budget">(definedFields({ window, timeZone, limitMicroUsd }), {});
  return (
    change && {
      spec: (current) => {
        const { timeZone: stored, ...next } = change.spec(current);
        // The time zone of a calendar window goes with it.
        const kept = definedFields({ timeZone: isCalendarWindow(next.window) ? stored : timeZone });
        return { ...next, ...completeBudget({ ...next, ...kept }, "") };
      },
    }
  );
}

export function rateLimitChange(request: UpdateRateLimitRequest): SpecChange<"rate_limit"> | undefined {
  const { windowSecs, maxRequests, maxTokens, maxConcurrent } = request;
  return partsChange<"rate_limit">(definedFields({ windowSecs, maxRequests, maxTokens, maxConcurrent }), {
    maxRequests: request.clearMaxRequests,
    maxTokens: request.clearMaxTokens,
    maxConcurrent: request.clearMaxConcurrent,
  });
}

export function guardrailChange(request: UpdateGuardrailRequest): SpecChange<"guardrail"> | undefined {
  const guardrail = fromProtoGuardrail(request, VALIDATED_WORDS);
  const change = partsChange<"guardrail">(guardrail, {
    modelAllow: request.clearModelAllow,
    modelDeny: request.clearModelDeny,
    maxRequestTokens: request.clearMaxRequestTokens,
    allowStreaming: request.clearAllowStreaming,
    contentPatterns: request.clearContentPatterns,
    uninspectable: request.clearUninspectable,
    serviceTierAllow: request.clearServiceTierAllow,
    modalityAllow: request.clearModalityAllow,
    hostedToolAllow: request.clearHostedToolAllow,
  });
  return change && { ...change, guardrail: { guardrail, fieldPrefix: "" } };
}

export function presetChange(request: UpdatePresetRequest): SpecChange<"preset"> | undefined {
  const guardrail = request.guardrail && fromProtoGuardrail(request.guardrail, VALIDATED_WORDS);
  const rateLimit = request.rateLimit && fromProtoRateLimit(request.rateLimit);
  const budget = request.budget && completeBudget(fromProtoBudget(request.budget, VALIDATED_WORDS), "budget.");
  const change = partsChange<"preset">(definedFields({ guardrail, rateLimit, budget }), {
    guardrail: request.clearGuardrail,
    rateLimit: request.clearRateLimit,
    budget: request.clearBudget,
  });
  return change && { ...change, guardrail: guardrail && { guardrail, fieldPrefix: "guardrail." } };
}

type Parts<Kind extends PolicyKind> = DefinedFields<Omit<SpecOf<Kind>, "kind">>;

/** @param clear parts to remove */
function partsChange<Kind extends PolicyKind>(
  set: Parts<Kind>,
  clear: { readonly [Part in keyof Parts<Kind>]?: boolean },
): SpecChange<Kind> | undefined {
  const cleared = Object.entries(clear).flatMap(([part, isCleared]) => (isCleared === true ? [part] : []));
  for (const part of cleared) {
    if (!(part in set)) continue;
    const field = part.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    throw invalidField(`clear_${field}`, `must not be set together with ${field}`);
  }
  if (cleared.length === 0 && Object.keys(set).length === 0) return undefined;
  const kept = (spec: object) => Object.fromEntries(Object.entries(spec).filter(([part]) => !cleared.includes(part)));
  return { spec: (current) => ({ ...kept(current), ...set }) as SpecOf<Kind> };
}
