import { nameFault } from "@routeplane/domain";
import type { GuardrailSpec } from "@routeplane/guardrails/spec";

/** Text of a guardrail that may not be written into a policy. */
export interface TextFault {
  readonly list: "model_allow" | "model_deny" | "content_patterns";
  readonly index: number;
  /** Member of the pattern; undefined for a model. */
  readonly member: "name" | "pattern" | undefined;
  /** Rule that the text breaks, e.g. `must not be blank`. */
  readonly rule: string;
}

/**
 * Finds the texts of a guardrail that are invalid although their type is correct: blank, not storable, or the same name for two patterns.
 */
export function* guardrailTextFaults({
  modelAllow = [],
  modelDeny = [],
  contentPatterns = [],
}: Pick<GuardrailSpec, "modelAllow" | "modelDeny" | "contentPatterns">): Generator<TextFault> {
  yield* modelFaults("model_allow", modelAllow);
  yield* modelFaults("model_deny", modelDeny);
  const list = "content_patterns";
  const names = new Set<string>();
  for (const [index, { name, pattern }] of contentPatterns.entries()) {
    const rule = nameRule(name) ?? (names.has(name) ? "is the name of another pattern of this guardrail" : undefined);
    if (rule !== undefined) yield { list, index, member: "name", rule };
    names.add(name);
    const patternRule = textRule(pattern);
    if (patternRule !== undefined) yield { list, index, member: "pattern", rule: patternRule };
  }
}

function* modelFaults(list: "model_allow" | "model_deny", models: readonly string[]): Generator<TextFault> {
  for (const [index, model] of models.entries()) {
    const rule = nameRule(model);
    if (rule !== undefined) yield { list, index, member: undefined, rule };
  }
}

/** Returns the rule that a name breaks: it must have a visible character, and pass `textRule`. */
function nameRule(name: string): string | undefined {
  return textRule(name) ?? nameFault(name);
}

/** Returns the rule that a text breaks if it is blank, cannot be stored, or can never occur in a request. */
function textRule(text: string): string | undefined {
  if (text.trim() === "") return "must not be blank";
  return text.isWellFormed() && !text.includes("\u0000")
    ? undefined
    : "must not contain U+0000 or an unpaired surrogate";
}
