import { judgeUninspectable, type Work, type WorkMeter } from "@routeplane/guardrails";
import { type ContentGuard, type JudgedContent, judgeContent } from "./content-guard.ts";
import type { DecisionLog } from "./decision-log.ts";
import { CONTENT_RULE, type DirectionRules, type Guard, type GuardRules, inspects } from "./guard.ts";
import { blockResponse, refusalOfResponseViolation } from "./guardrail-refusals.ts";
import { applyEdits } from "../wire/json-edits.ts";
import type { Refusal } from "../errors/refusal.ts";
import { recordUninspectable } from "./uninspectable.ts";
import type { ContentFormat } from "../wires/content-format.ts";
import type { CancelSignal } from "../ports/cancel-signal.ts";

/** Guardrails, budgets and decision log by which one answer is judged, whole or as a stream. */
export interface ResponseGuard {
  readonly guard: Guard;
  /** Content of the wire of the answer. */
  readonly content: ContentFormat;
  /** Patterns of enforced guardrails; undefined if there are none, and the answer passes unchanged. */
  readonly rules: GuardRules | undefined;
  /** Patterns of guardrails in shadow mode. */
  readonly shadowRules: GuardRules | undefined;
  readonly decisions: DecisionLog;
  readonly work: Work;
  readonly shadowWork: Work;
}

/**
 * Creates the guard of one answer; undefined if no guardrail applies to answers, and every byte passes unchanged.
 *
 * @param signal stops the judging once it is aborted
 */
export function responseGuardOf(
  { guard, content, decisions }: Pick<ResponseGuard, "guard" | "content" | "decisions">,
  signal: CancelSignal,
  meter: WorkMeter,
): ResponseGuard | undefined | Promise<ResponseGuard | undefined> {
  const guardBy = (enforced: DirectionRules, shadow: DirectionRules): ResponseGuard | undefined => {
    const [rules, shadowRules] = [enforced.response, shadow.response];
    if (rules === undefined && shadowRules === undefined && !inspects(guard, "response")) return undefined;
    const [work, shadowWork] = [guard.createWork(signal, meter), guard.createWork(signal, meter)];
    return { guard, content, rules, shadowRules, decisions, work, shadowWork };
  };
  const [enforced, shadow] = [guard.rules(), guard.shadowRules()];
  return enforced instanceof Promise || shadow instanceof Promise
    ? Promise.all([enforced, shadow]).then((both) => guardBy(...both))
    : guardBy(enforced, shadow);
}

/**
 * Judges an answer, or a chunk of one, whose texts are complete.
 *
 * @param json valid JSON
 * @returns the JSON that may leave, unchanged where it need not change; or the refusal if it must not; a promise where that takes time
 * @throws the reason of the signal once it is aborted
 */
export function guardJson(responseGuard: ResponseGuard, json: string): string | Refusal | Promise<string | Refusal> {
  const isSeparate = responseGuard.content.isSeparateAnswer(json);
  const judged = judgeContent(contentGuardOf(responseGuard), json, isSeparate);
  return judged instanceof Promise
    ? judged.then((content) => applyJudgement(responseGuard, json, content))
    : applyJudgement(responseGuard, json, judged);
}

function applyJudgement(
  responseGuard: ResponseGuard,
  json: string,
  { edits, blocked, isUninspectable }: JudgedContent,
): string | Refusal {
  const { guard, decisions } = responseGuard;
  if (blocked !== undefined) return blockResponse(guard, decisions, blocked);
  const refusal = isUninspectable ? guardUninspectable(responseGuard) : undefined;
  if (refusal !== undefined) return refusal;
  return edits.length === 0 ? json : applyEdits(json, edits);
}

/** Judges that an answer has content which cannot be inspected. @returns the refusal; undefined if it may leave */
export function guardUninspectable({ guard, decisions }: ResponseGuard): Refusal | undefined {
  recordUninspectable(guard, decisions, "response");
  const violation = judgeUninspectable(guard.effective, "response");
  return violation && refusalOfResponseViolation(guard, violation);
}

/** Content guard for the texts of an answer. */
export function contentGuardOf({
  content,
  rules,
  shadowRules,
  work,
  shadowWork,
  decisions,
}: ResponseGuard): ContentGuard {
  return {
    rules,
    shadowRules,
    work,
    shadowWork,
    places: content.answer,
    onRedactions: (redactions) => decisions.addRedactions("response", redactions),
    onShadowMatch: ({ bindingId }) => decisions.addShadowViolation(bindingId, CONTENT_RULE),
  };
}

/** Budget that is charged for finding the texts of an answer. */
export function scanWork({ rules, work, shadowWork }: ResponseGuard): Work {
  return rules === undefined ? shadowWork : work;
}
