import { DomainError } from "@routeplane/domain";
import { cancelReasonOf } from "./cancellation.ts";
import type { Reply } from "../ports/reply.ts";
import { type UpstreamAnswer, UpstreamFault } from "../ports/upstream.ts";
import { dependencyDown, type Refusal, upstreamFailed } from "../errors/refusal.ts";
import { isSuccess } from "./relay.ts";
import { cancelledResult, refusedResult, type RelayResult } from "./relay-result.ts";

/**
 * Result of a request whose admission could not be committed, because NATS or the disk failed. The upstream was called meanwhile:
 * the request is charged, unless the upstream certainly did no work.
 *
 * @param callOutcome outcome of the upstream call; undefined if there was none
 */
export function notRecordedResult(
  fault: unknown,
  callOutcome: PromiseSettledResult<UpstreamAnswer> | undefined,
): RelayResult {
  const dependency = fault instanceof DomainError ? fault.metadata["dependency"] : undefined;
  const refusal = refusedResult(dependencyDown(dependency ?? "spool", fault));
  if (callOutcome === undefined) return { ...refusal, neverSent: true };
  return { ...refusal, billable: isBillable(callOutcome) };
}

/** True if the upstream may have worked for the request, by the outcome of its call. */
export function isBillable(callOutcome: PromiseSettledResult<UpstreamAnswer>): boolean {
  if (callOutcome.status === "rejected") return mayHaveWorked(callOutcome.reason);
  return isSuccess(callOutcome.value) && callOutcome.value.failure === undefined;
}

/** Result of a request whose upstream call failed, or was cancelled, before the head of an answer arrived. */
export function noAnswerResult(fault: unknown, reply: Reply): RelayResult {
  const billable = mayHaveWorked(fault);
  if (reply.signal.aborted) return { ...cancelledResult(cancelReasonOf(reply)), billable };
  return { ...refusedResult(refusalOf(fault)), billable };
}

/** True unless the request certainly never left the gateway. */
function mayHaveWorked(fault: unknown): boolean {
  return !(fault instanceof UpstreamFault) || fault.isSent;
}

function refusalOf(fault: unknown): Refusal {
  const kind = fault instanceof UpstreamFault ? fault.kind : "broken";
  if (kind === "unreachable") {
    return upstreamFailed("upstream_unreachable", "the upstream cannot be reached", fault);
  }
  if (fault instanceof UpstreamFault && kind === "invalid") {
    return upstreamFailed("upstream_invalid_response", fault.message, fault);
  }
  if (kind === "broken") {
    return upstreamFailed("upstream_error", "the upstream broke off before it answered", fault);
  }
  return upstreamFailed("upstream_timeout", "the upstream did not answer in time", fault);
}
