import { judgeText, type Work, type WorkMeter } from "@routeplane/guardrails";
import { isResponseContent, LOGPROBS } from "./content-places.ts";
import type { DecisionLog } from "./decision-log.ts";
import type { Guard, GuardRules } from "./guard.ts";
import { blockResponse } from "./guardrail-refusals.ts";
import { applyEdits, type Edit, type JsonText, jsonTexts } from "./json-texts.ts";
import type { Refusal } from "./refusal.ts";
import { watch } from "./request-guard.ts";

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
  if (rules === undefined && watched === undefined) return undefined;
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
  const edits: Edit[] = [];
  for await (const text of jsonTexts(json, walkingWork(responseGuard), LOGPROBS)) {
    if (!isResponseContent(text.place)) continue;
    const edit = await guardWhole(responseGuard, text, json);
    if (edit !== undefined && !("literal" in edit)) return edit;
    if (edit !== undefined) edits.push(edit);
  }
  return edits.length === 0 ? json : applyEdits(json, edits);
}

/** Charged for the search for texts. */
export function walkingWork({ rules, work, shadowWork }: ResponseGuard): Work {
  return rules === undefined ? shadowWork : work;
}

/** @returns what has to change, or why the text must not leave; undefined if it may leave as it is */
export async function guardWhole(
  responseGuard: ResponseGuard,
  { start, end, isString }: JsonText,
  json: string,
): Promise<Edit | Refusal | undefined> {
  const { guard, rules, watched, decisions, work, shadowWork } = responseGuard;
  if (!isString) return rules === undefined ? undefined : { start, end, literal: "null" };
  const text = JSON.parse(json.slice(start, end)) as string;
  if (watched !== undefined) await watch(watched, text, shadowWork, decisions);
  if (rules === undefined) return undefined;
  const { text: passed, redactions, blocked } = await judgeText(rules, text, work);
  if (blocked !== undefined) return blockResponse(guard, decisions, blocked);
  decisions.redacted("response", redactions);
  return passed === text ? undefined : { start, end, literal: JSON.stringify(passed) };
}
