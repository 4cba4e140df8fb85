import { judgeUninspectable, type Work, type WorkMeter } from "@routeplane/guardrails";
import { type ContentGuard, judgeContent } from "./content-guard.ts";
import { LOGPROBS, responseContentOf } from "./content-kinds.ts";
import type { DecisionLog } from "./decision-log.ts";
import { CONTENT_RULE, type Guard, type GuardRules, inspects } from "./guard.ts";
import { blockResponse, refuseResponse } from "./guardrail-refusals.ts";
import { applyEdits } from "../wire/json-texts.ts";
import type { Refusal } from "../errors/refusal.ts";
import { noteUninspectable } from "./request-guard.ts";

/** What judges one answer: everything in it that is content, as a whole or as a stream. */
export interface ResponseGuard {
  readonly guard: Guard;
  /** Those that are enforced; undefined if nothing is, and the answer passes as it is. */
  readonly rules: GuardRules | undefined;
  readonly watched: GuardRules | undefined;
  readonly decisions: DecisionLog;
  readonly work: Work;
  readonly shadowWork: Work;
}

/**
 * Makes the guard of one answer; undefined if no pattern applies to answers: then every byte passes as it is.
 *
 * @param signal stops the judging once it is aborted
 */
export async function responseGuardOf(
  guard: Guard,
  decisions: DecisionLog,
  signal: AbortSignal,
  meter: WorkMeter,
): Promise<ResponseGuard | undefined> {
  const { response: rules } = await guard.rules();
  const { response: watched } = await guard.shadowRules();
  if (rules === undefined && watched === undefined && !inspects(guard, "response")) return undefined;
  return { guard, rules, watched, decisions, work: guard.work(signal, meter), shadowWork: guard.work(signal, meter) };
}

/**
 * Judges an answer, or a chunk of one, whose texts are whole.
 *
 * @param json that has been parsed
 * @returns the JSON that may leave, every byte that need not change as it was; or why it must not
 * @throws the reason of the signal once it is aborted
 */
export async function guardJson(responseGuard: ResponseGuard, json: string): Promise<string | Refusal> {
  const { guard, decisions } = responseGuard;
  const { edits, blocked, isUninspectable } = await judgeContent(contentGuardOf(responseGuard), json, LOGPROBS);
  if (blocked !== undefined) return blockResponse(guard, decisions, blocked);
  const refusal = isUninspectable ? guardUninspectable(responseGuard) : undefined;
  if (refusal !== undefined) return refusal;
  return edits.length === 0 ? json : applyEdits(json, edits);
}

/** @returns why an answer with content that cannot be inspected must not leave; undefined if it may */
export function guardUninspectable({ guard, decisions }: ResponseGuard): Refusal | undefined {
  noteUninspectable(guard, decisions, "response");
  const violation = judgeUninspectable(guard.effective, "response");
  return violation && refuseResponse(guard, violation);
}

export function contentGuardOf({ rules, watched, work, shadowWork, decisions }: ResponseGuard): ContentGuard {
  return {
    rules,
    watched,
    work,
    shadowWork,
    kindOf: responseContentOf,
    redacted: (redactions) => decisions.redacted("response", redactions),
    noted: ({ bindingId }) => decisions.noteShadow(bindingId, CONTENT_RULE),
  };
}

/** Charged for the search for texts. */
export function walkingWork({ rules, work, shadowWork }: ResponseGuard): Work {
  return rules === undefined ? shadowWork : work;
}
