import { invalidField } from "@routeplane/domain";
import type { GuardrailSpec, PolicySpec } from "./policy.ts";

/**
 * What a spec must mean, beyond its shape.
 *
 * @throws DomainError INVALID_ARGUMENT, naming the field
 */
export function requireSound(spec: PolicySpec): PolicySpec {
  if (spec.kind === "guardrail") requireSoundGuardrail(spec, "spec.guardrail");
  if (spec.kind === "preset") requireSoundGuardrail(spec.guardrail ?? {}, "spec.preset.guardrail");
  return spec;
}

function requireSoundGuardrail({ contentPatterns = [] }: GuardrailSpec, path: string): void {
  const names = new Set<string>();
  for (const [index, { name }] of contentPatterns.entries()) {
    const at = `${path}.content_patterns[${index}]`;
    if (names.has(name)) throw invalidField(`${at}.name`, "is the name of another pattern of this guardrail");
    names.add(name);
  }
}
