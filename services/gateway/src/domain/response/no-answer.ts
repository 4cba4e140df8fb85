import { DomainError } from "@routeplane/domain";
import { cancelReasonOf } from "./cancellation.ts";
import type { Reply } from "../ports/reply.ts";
import { type UpstreamAnswer, UpstreamFault } from "../ports/upstream.ts";
import { dependencyDown, upstreamFailed } from "../errors/refusal.ts";
import { cancelledResult, isSuccess, refusedResult, type RelayResult } from "./relay.ts";

/** How a request ends of which no answer can be passed on, and whether the upstream may have worked for it all the same. */

/**
 * The admission could not be made safe: NATS or the disk does not do what it is for. Beside that the upstream was called: what
 * it may have done until it was cut is charged, unless it is known that it did nothing.
 *
 * @param answered what became of the call; undefined if there was none
 */
export function notRecordedResult(
  fault: unknown,
  answered: PromiseSettledResult<UpstreamAnswer> | undefined,
): RelayResult {
  const named = fault instanceof DomainError ? fault.metadata["dependency"] : undefined;
  const refusal = refusedResult(dependencyDown(named ?? "spool", fault));
  if (answered === undefined) return { ...refusal, neverSent: true };
  return { ...refusal, billable: isBillable(answered) };
}

/** True if the upstream may have worked for the request, judging by what became of the call. */
export function isBillable(answered: PromiseSettledResult<UpstreamAnswer>): boolean {
  return answered.status === "fulfilled" ? isSuccess(answered.value) : mayHaveWorked(answered.reason);
}

/** The call failed, or was cut, before the head of an answer. */
export function noAnswerResult(fault: unknown, reply: Reply): RelayResult {
  const billable = mayHaveWorked(fault);
  if (reply.signal.aborted) return { ...cancelledResult(cancelReasonOf(reply), undefined, 0), billable };
  return { ...refusedResult(refusalOf(fault)), billable };
}

/** True unless it is known that the request never left the gateway: the upstream may have worked for it. */
function mayHaveWorked(fault: unknown): boolean {
  return !(fault instanceof UpstreamFault) || fault.isSent;
}

function refusalOf(fault: unknown) {
  const kind = fault instanceof UpstreamFault ? fault.kind : "broken";
  if (kind === "unreachable") {
    return upstreamFailed("upstream_unreachable", "the upstream cannot be reached", fault);
  }
  if (kind === "broken") {
    return upstreamFailed("upstream_error", "the upstream broke off before it answered", fault);
  }
  return upstreamFailed("upstream_timeout", "the upstream did not answer in time", fault);
}
