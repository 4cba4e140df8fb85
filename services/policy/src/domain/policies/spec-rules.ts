import type { PolicySpec } from "@routeplane/policy-spec";
import { setImmediate } from "node:timers/promises";
import { type DomainError, invalidField } from "@routeplane/domain";
import { type GuardrailSpec, patternFault } from "@routeplane/guardrails";

/** Guardrail of a request that creates or updates a policy. */
export interface GuardrailInRequest {
  readonly guardrail: GuardrailSpec;
  /** Path that stands before the names of its fields in the request, e.g. `spec.preset.guardrail.`. */
  readonly fieldPrefix: string;
}

/**
 * What a guardrail must mean, beyond its shape. Asked before anything is locked: patterns are compiled, one in each turn of
 * the event loop, because a bad one takes a while.
 *
 * @throws DomainError INVALID_ARGUMENT, naming the field
 */
export async function requireValidSpec(written: GuardrailInRequest | undefined): Promise<void> {
  if (written === undefined) return;
  const { guardrail, fieldPrefix } = written;
  const { modelAllow = [], modelDeny = [], contentPatterns = [] } = guardrail;
  for (const [index, model] of modelAllow.entries()) requireText(model, `${fieldPrefix}model_allow.models[${index}]`);
  for (const [index, model] of modelDeny.entries()) requireText(model, `${fieldPrefix}model_deny.models[${index}]`);
  const names = new Set<string>();
  for (const [index, { name, pattern }] of contentPatterns.entries()) {
    const at = `${fieldPrefix}content_patterns[${index}]`;
    requireText(name, `${at}.name`);
    if (names.has(name)) throw invalidField(`${at}.name`, "is the name of another pattern of this guardrail");
    names.add(name);
    requireText(pattern, `${at}.pattern`);
    const fault = patternFault(pattern);
    if (fault !== undefined) throw invalidField(`${at}.pattern`, fault.message);
    await setImmediate();
  }
}

/** What can be stored, and compared with what a request holds. */
function requireText(text: string, path: string): void {
  if (text.trim() === "") throw invalidField(path, "must not be blank");
  if (!text.isWellFormed() || text.includes("\u0000")) {
    throw invalidField(path, "holds a character that no text holds (U+0000, or half of a pair)");
  }
}

/** @throws DomainError INVALID_ARGUMENT for a spec that has no rule, which is what clearing the last one would leave */
export function requireNonEmptySpec(spec: PolicySpec): PolicySpec {
  const fault = emptinessOf(spec);
  if (fault !== undefined) throw fault;
  return spec;
}

function emptinessOf({ kind, ...rules }: PolicySpec): DomainError | undefined {
  const set = Object.entries(rules).filter(([name]) => name !== "windowSecs");
  if (set.length > 0) return undefined;
  return invalidField("spec", `a ${kind} must keep at least one ${kind === "rate_limit" ? "maximum" : "rule or part"}`);
}
