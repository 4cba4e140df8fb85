import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type EffectiveBudget,
  type EffectiveGuardrail,
  type EffectivePolicy,
  type EffectiveRateLimit,
  type GuardrailSpecSchema,
  type PolicySource,
  PolicySpecSchema,
} from "@routeplane/contracts/policy";
import type { PolicySpec } from "@routeplane/policy-spec";
import { readSpec } from "../spec.ts";
import { type SpecLine, specLines } from "../spec-lines.ts";

/** One rule that applies to a principal, with the policy that it comes from. */
export interface EffectiveRow {
  readonly id: string;
  readonly rule: string;
  readonly value: string;
  /** Policy and binding of the rule; undefined for the draft, which is not in force. */
  readonly source: PolicySource | undefined;
  /** Budget of the rule; undefined for other rules. */
  readonly budget: EffectiveBudget | undefined;
  readonly rateLimit: EffectiveRateLimit | undefined;
  /** True for a rule of the policy that the draft would replace. */
  readonly isReplaced: boolean;
}

/**
 * Rules that apply to a principal, those of the draft first. A rule of a composed guardrail has one row for each policy that has it.
 *
 * @param policyId policy that the draft would replace; undefined for a new policy
 */
export function effectiveRows(
  effective: EffectivePolicy,
  draft: PolicySpec | undefined,
  policyId: string | undefined,
): readonly EffectiveRow[] {
  const rows: EffectiveRow[] = [];
  const add = (
    lines: readonly SpecLine[],
    source: PolicySource | undefined,
    { budget, rateLimit }: { budget?: EffectiveBudget; rateLimit?: EffectiveRateLimit } = {},
  ): void => {
    for (const { rule, value } of lines) {
      const isReplaced = policyId !== undefined && source?.policyId === policyId;
      rows.push({ id: String(rows.length), rule, value, source, budget, rateLimit, isReplaced });
    }
  };
  if (draft !== undefined) add(specLines(draft), undefined);
  for (const budget of effective.budgets) {
    add(linesOf({ kind: { case: "budget", value: budget.spec ?? {} } }), budget.source, { budget });
  }
  for (const rateLimit of effective.rateLimits) {
    add(linesOf({ kind: { case: "rateLimit", value: rateLimit.spec ?? {} } }), rateLimit.source, { rateLimit });
  }
  for (const guardrail of [effective.guardrail, effective.shadowGuardrail]) {
    if (guardrail === undefined) continue;
    for (const [lines, sources] of sourcedLines(guardrail)) for (const source of sources) add(lines, source);
  }
  return rows;
}

/** Rules of a composed guardrail, each with the policies that have it. */
function* sourcedLines(
  guardrail: EffectiveGuardrail,
): Generator<readonly [readonly SpecLine[], readonly PolicySource[]]> {
  const lines = (value: MessageInitShape<typeof GuardrailSpecSchema>) =>
    linesOf({ kind: { case: "guardrail", value } });
  const { maxRequestTokens: cap, allowStreaming: streaming, uninspectableRequest, uninspectableResponse } = guardrail;
  for (const { models, sources } of guardrail.modelAllow) yield [lines({ modelAllow: { models } }), sources];
  for (const { model, sources } of guardrail.modelDeny) yield [lines({ modelDeny: { models: [model] } }), sources];
  if (cap !== undefined) yield [lines({ maxRequestTokens: cap.tokens }), cap.sources];
  if (streaming !== undefined) yield [lines({ allowStreaming: streaming.allowed }), streaming.sources];
  for (const { pattern, sources } of guardrail.contentPatterns) {
    if (pattern !== undefined) yield [lines({ contentPatterns: [pattern] }), sources];
  }
  if (uninspectableRequest !== undefined) yield [uninspectable("requests"), uninspectableRequest.sources];
  if (uninspectableResponse !== undefined) yield [uninspectable("answers"), uninspectableResponse.sources];
  for (const { names, sources } of guardrail.serviceTierAllow) {
    yield [lines({ serviceTierAllow: { tiers: names } }), sources];
  }
  for (const { names, sources } of guardrail.modalityAllow) {
    yield [lines({ modalityAllow: { modalities: names } }), sources];
  }
  for (const { names, sources } of guardrail.hostedToolAllow)
    yield [lines({ hostedToolAllow: { tools: names } }), sources];
}

function uninspectable(direction: string): readonly SpecLine[] {
  return [{ rule: `Content that cannot be inspected, in ${direction}`, value: "refused" }];
}

/** Rules in words. For a spec with a word that only newer nodes know, one line that says so. */
function linesOf(spec: MessageInitShape<typeof PolicySpecSchema>): readonly SpecLine[] {
  const known = readSpec(create(PolicySpecSchema, spec));
  if (known !== undefined) return specLines(known);
  return [{ rule: "Unknown rule", value: "This version of the console does not know it." }];
}
