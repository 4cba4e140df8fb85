import type { PolicySpec } from "@routeplane/policy-spec";
import { type PolicyDraft, toDraftJson } from "./draft.ts";
import { type Faults, policyNameFault, readWritten, specFaults } from "./spec-faults.ts";

/** Spec of a draft, from its fields or its JSON, and its faults. */
export interface JudgedDraft {
  /** Undefined while there are faults. */
  readonly spec: PolicySpec | undefined;
  /** Faults, without those of patterns, which are compiled separately. */
  readonly faults: Faults;
  /** Patterns to compile, by the path of their field. */
  readonly patterns: ReadonlyMap<string, string>;
}

/**
 * Validates a draft by the rules of the service.
 *
 * @param jsonText spec as JSON, in place of the fields of the draft; undefined: the fields are used
 */
export function judgeDraft(draft: PolicyDraft, jsonText: string | undefined): JudgedDraft {
  const json = jsonText === undefined ? toDraftJson(draft) : parseJson(jsonText);
  const faults = new Map(json instanceof Error ? [["spec", json.message]] : specFaults(draft.kind, json));
  const spec = faults.size === 0 ? readWritten(draft.kind, json) : undefined;
  const nameRule = policyNameFault(draft.name);
  if (nameRule !== undefined) faults.set("name", nameRule);
  return { spec, faults, patterns: spec === undefined ? new Map() : patternsOf(spec) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    return new Error(`is not JSON: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

function patternsOf(spec: PolicySpec): ReadonlyMap<string, string> {
  const [guardrail, path] =
    spec.kind === "preset"
      ? [spec.guardrail, "spec.guardrail"]
      : [spec.kind === "guardrail" ? spec : undefined, "spec"];
  const patterns = guardrail?.contentPatterns ?? [];
  return new Map(patterns.map(({ pattern }, index) => [`${path}.content_patterns[${index}].pattern`, pattern]));
}
