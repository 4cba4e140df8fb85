import type { ErrorCode } from "../errors/error-table.ts";
import { readRetryAfter } from "../errors/retry-after.ts";
import { type UpstreamAnswer, UpstreamFault, type UpstreamFaultKind } from "../ports/upstream.ts";

/** Kind of the outcome of one attempt, as metrics name it. */
export type OutcomeKind =
  | "succeeded"
  | "refused"
  | "rate_limited"
  | "server_error"
  | "unreachable"
  | "timed_out"
  | "broken"
  | "cancelled";

/** Outcome of one attempt, before anything of its answer is passed on. */
export interface AttemptOutcome {
  readonly kind: OutcomeKind;
  /**
   * True if the request may go to an upstream once more: this one has certainly not worked for it, and the fault is not the
   * request's own.
   */
  readonly canTryAgain: boolean;
  /** Evidence about the health of the model at its provider; undefined if there is none, e.g. of a cancelled call. */
  readonly isHealthy: boolean | undefined;
  /** Status of the answer; undefined if there is none. */
  readonly status: number | undefined;
  /** Error code by which the attempt is recorded; empty for a success. */
  readonly errorCode: ErrorCode | "";
  /** Wait that the upstream asks for; undefined if it asks for none. */
  readonly retryAfterMs: number | undefined;
}

type Verdict = Pick<AttemptOutcome, "kind" | "canTryAgain" | "isHealthy" | "errorCode">;

const SUCCEEDED: Verdict = { kind: "succeeded", canTryAgain: false, isHealthy: true, errorCode: "" };
const CANCELLED: Verdict = { kind: "cancelled", canTryAgain: false, isHealthy: undefined, errorCode: "" };
const RATE_LIMITED: Verdict = {
  kind: "rate_limited",
  canTryAgain: true,
  isHealthy: undefined,
  errorCode: "rate_limit_exceeded",
};
const OVERLOADED: Verdict = {
  kind: "server_error",
  canTryAgain: true,
  isHealthy: false,
  errorCode: "upstream_overloaded",
};
const FAILED: Verdict = { kind: "server_error", canTryAgain: true, isHealthy: false, errorCode: "upstream_error" };
/** A request that an upstream refuses shows that the upstream works. */
const REFUSED: Verdict = { kind: "refused", canTryAgain: false, isHealthy: true, errorCode: "upstream_error" };
/** The upstream may have worked, and bill for it. */
const TIMED_OUT: Verdict = { kind: "timed_out", canTryAgain: false, isHealthy: false, errorCode: "upstream_timeout" };

const FAULTS: Readonly<Record<UpstreamFaultKind, Verdict>> = {
  unreachable: { kind: "unreachable", canTryAgain: true, isHealthy: false, errorCode: "upstream_unreachable" },
  connect_timeout: { kind: "unreachable", canTryAgain: true, isHealthy: false, errorCode: "upstream_timeout" },
  timeout: TIMED_OUT,
  invalid: { kind: "broken", canTryAgain: false, isHealthy: false, errorCode: "upstream_invalid_response" },
  broken: { kind: "broken", canTryAgain: false, isHealthy: false, errorCode: "upstream_error" },
};

/** Statuses with which an upstream says that it, or one behind it, timed out. */
const TIMEOUT_STATUSES: ReadonlySet<number> = new Set([408, 504, 524]);

/**
 * Outcome of an attempt, by the head of its answer or, where that begins with an error, by what the error says.
 *
 * @param isCancelled true if the request was cancelled before the attempt ended
 */
export function attemptOutcomeOf(
  result: PromiseSettledResult<Pick<UpstreamAnswer, "status" | "retryAfter" | "isLocal" | "failure">>,
  isCancelled: boolean,
  nowMs: number,
): AttemptOutcome {
  if (result.status === "rejected") {
    const verdict = isCancelled ? CANCELLED : verdictOfFault(result.reason);
    return { ...verdict, status: undefined, retryAfterMs: undefined };
  }
  const { status, retryAfter, isLocal = false, failure } = result.value;
  const stated = verdictOfStatus(failure?.status ?? status);
  const verdict = isLocal ? { ...stated, isHealthy: undefined } : stated;
  return { ...verdict, status, retryAfterMs: readRetryAfter(retryAfter, nowMs) ?? failure?.retryAfterMs };
}

function verdictOfFault(reason: unknown): Verdict {
  return FAULTS[reason instanceof UpstreamFault ? reason.kind : "broken"];
}

function verdictOfStatus(status: number): Verdict {
  if (status >= 200 && status <= 299) return SUCCEEDED;
  if (status === 429) return RATE_LIMITED;
  if (TIMEOUT_STATUSES.has(status)) return TIMED_OUT;
  if (status === 503 || status === 529) return OVERLOADED;
  return status >= 500 ? FAILED : REFUSED;
}
