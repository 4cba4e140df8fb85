import { toErrorEnvelope } from "../errors/error-envelope.ts";
import { internalError, Refusal, upstreamFailed } from "../errors/refusal.ts";
import { guardJson, type ResponseGuard } from "../guardrails/response-guard.ts";
import type { MeteredUsage } from "../metering/answer-meter.ts";
import { UpstreamFault } from "../ports/upstream.ts";
import { JsonTooComplex } from "../wire/json.ts";
import { SseOverflow } from "../wire/sse.ts";
import type { RelayContext } from "./relay-context.ts";
import { refusedResult, type RelayResult } from "./relay-result.ts";
import { refusalOfUpstreamWords } from "./upstream-refusal.ts";
import { describeWords, type UpstreamWords } from "./upstream-words.ts";

/**
 * Result of an error that an upstream sent with a status of success, or in a stream.
 *
 * @param billable true if it came after a part of an answer; else it is charged only what it reports itself
 * @throws the reason of the request's signal while the guardrails judge its words
 */
export async function errorResult(
  words: UpstreamWords,
  metered: MeteredUsage,
  { guard, retryAfter }: Pick<RelayContext, "guard" | "retryAfter">,
  billable: boolean,
): Promise<RelayResult> {
  const refusal = await judged(refusalOfUpstreamWords(words, retryAfter), guard);
  const usage = metered.usage ?? (billable ? undefined : metered.reported);
  const charged = { ...metered, usage, billable: billable || usage !== undefined };
  return { ...refusedResult(refusal), ...charged, upstreamError: describeWords(words) };
}

/** Judges the words of an upstream, which may quote the model or the request. @returns the refusal that may leave */
async function judged(refusal: Refusal, guard: ResponseGuard | undefined): Promise<Refusal> {
  if (guard === undefined) return refusal;
  const envelope = toErrorEnvelope(refusal);
  const passed = await guardJson(guard, envelope);
  if (typeof passed !== "string") return passed;
  if (passed === envelope) return refusal;
  const { error } = JSON.parse(passed) as { readonly error: Pick<Refusal, "message" | "type" | "param" | "code"> };
  const { message, type, param, code } = error;
  const { status, retryable, retryAfter } = refusal;
  return new Refusal({ status, type, code, retryable }, message, { param, retryable, retryAfter });
}

export function invalidAnswer(predicate: string): Refusal {
  return upstreamFailed("upstream_invalid_response", `the upstream ${predicate}`);
}

/** Refusal for an answer that a fault ended. @param fault undefined if the answer just ended too early */
export function brokenAnswer(fault: unknown): Refusal {
  if (fault instanceof UpstreamFault && fault.kind === "timeout") {
    return upstreamFailed("upstream_timeout", "the upstream stopped in the middle of its answer", fault);
  }
  if (fault instanceof JsonTooComplex) return invalidAnswer(`gave an answer that ${fault.message}`);
  if (fault instanceof SseOverflow) return invalidAnswer("sent an event that is too large");
  if (fault !== undefined && !(fault instanceof UpstreamFault)) return internalError(fault);
  return upstreamFailed("upstream_error", "the upstream's answer broke off before it was complete", fault);
}
