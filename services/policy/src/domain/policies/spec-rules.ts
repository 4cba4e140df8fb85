import { setImmediate } from "node:timers/promises";
import { invalidField } from "@routeplane/domain";
import { type GuardrailSpec, MAX_COMPOSED_INSTRUCTIONS, measurePattern } from "@routeplane/guardrails";
import { guardrailTextFaults, type PolicySpec } from "@routeplane/policy-spec";

/** Guardrail of a request that creates or updates a policy. */
export interface GuardrailInRequest {
  readonly guardrail: GuardrailSpec;
  /** Path that stands before the names of its fields in the request, e.g. `spec.preset.guardrail.`. */
  readonly fieldPrefix: string;
}

/**
 * Validates what the validation rules of the contract cannot: texts, unique names, that each pattern compiles, and that all patterns
 * together are within the bounds of a gateway. Called before any lock is taken, because a pattern can take milliseconds to compile; each is
 * compiled in its own turn of the event loop.
 *
 * @returns the number of instructions that the patterns compile to
 * @throws DomainError INVALID_ARGUMENT, naming the field
 */
export async function requireValidSpec(inRequest: GuardrailInRequest | undefined): Promise<number> {
  if (inRequest === undefined) return 0;
  const { guardrail, fieldPrefix } = inRequest;
  const [fault] = guardrailTextFaults(guardrail);
  if (fault !== undefined) {
    const { list, index, member, rule } = fault;
    const item = member === undefined ? `.models[${index}]` : `[${index}].${member}`;
    throw invalidField(`${fieldPrefix}${list}${item}`, rule);
  }
  let instructions = 0;
  for (const [index, { pattern }] of (guardrail.contentPatterns ?? []).entries()) {
    const measured = measurePattern(pattern);
    if (typeof measured !== "number") {
      throw invalidField(`${fieldPrefix}content_patterns[${index}].pattern`, measured.message);
    }
    instructions += measured;
    await setImmediate();
  }
  if (instructions <= MAX_COMPOSED_INSTRUCTIONS) return instructions;
  const rule = `compile to ${instructions} instructions together, more than ${MAX_COMPOSED_INSTRUCTIONS}: use fewer patterns or smaller repetitions`;
  throw invalidField(`${fieldPrefix}content_patterns`, rule);
}

/** @throws DomainError INVALID_ARGUMENT for a spec without a rule, as clearing the last one would leave it */
export function requireNonEmptySpec(spec: PolicySpec): PolicySpec {
  const { kind, ...rules } = spec;
  if (Object.keys(rules).some((name) => name !== "windowSecs")) return spec;
  throw invalidField("spec", `a ${kind} must keep at least one ${kind === "rate_limit" ? "maximum" : "rule or part"}`);
}
