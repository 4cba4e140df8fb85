import { setImmediate } from "node:timers/promises";
import { DomainError, FairSlots, type Id, invalidField } from "@routeplane/domain";
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
 * together are within the bounds of a gateway. Called before any lock is taken, because a pattern can take milliseconds to compile.
 *
 * @returns the number of instructions that the patterns compile to
 * @throws DomainError INVALID_ARGUMENT, naming the field; RESOURCE_EXHAUSTED if the namespace has too many specs to compile
 */
export type RequireValidSpec = (namespaceId: Id<"ns">, inRequest: GuardrailInRequest | undefined) => Promise<number>;

/** Number of guardrails that are compiled at a time. The largest takes half a second of processor time. */
const MAX_CONCURRENT_COMPILATIONS = 3;
/** Slots of one namespace: one guardrail is compiled and others wait, so that many calls of one delay no service of another. */
const PER_NAMESPACE = { perOwner: 1, waitingPerOwner: 50 };
/** Longest wait for a slot, below the deadline of a call by another service. */
const SLOT_WAIT_MS = 4_000;

/** Creates the validation of the guardrails of all requests of a process. */
export function createRequireValidSpec(): RequireValidSpec {
  const slots = new FairSlots({
    total: MAX_CONCURRENT_COMPILATIONS,
    ...PER_NAMESPACE,
    waitMs: SLOT_WAIT_MS,
    refusal: tooManySpecs,
  });
  return async (namespaceId, inRequest) => {
    if (inRequest === undefined) return 0;
    const { guardrail, fieldPrefix } = inRequest;
    const [fault] = guardrailTextFaults(guardrail);
    if (fault !== undefined) {
      const { list, index, member, rule } = fault;
      const item = member === undefined ? `.models[${index}]` : `[${index}].${member}`;
      throw invalidField(`${fieldPrefix}${list}${item}`, rule);
    }
    if (guardrail.contentPatterns === undefined) return 0;
    return slots.run(namespaceId, () => measurePatterns(guardrail, fieldPrefix));
  };
}

/** Compiles each pattern in its own turn of the event loop. @throws DomainError INVALID_ARGUMENT */
async function measurePatterns({ contentPatterns = [] }: GuardrailSpec, fieldPrefix: string): Promise<number> {
  let instructions = 0;
  for (const [index, { pattern }] of contentPatterns.entries()) {
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

function tooManySpecs(): DomainError {
  const message =
    "too many guardrails of this namespace, or of the node, are being compiled: try again in a few seconds";
  const metadata = { limit: String(PER_NAMESPACE.perOwner + PER_NAMESPACE.waitingPerOwner) };
  return new DomainError("resource_exhausted", "LIMIT_REACHED", message, { metadata });
}

/** @throws DomainError INVALID_ARGUMENT for a spec without a rule, as clearing the last one would leave it */
export function requireNonEmptySpec(spec: PolicySpec): PolicySpec {
  const { kind, ...rules } = spec;
  if (Object.keys(rules).some((name) => name !== "windowSecs")) return spec;
  throw invalidField("spec", `a ${kind} must keep at least one ${kind === "rate_limit" ? "maximum" : "rule or part"}`);
}
