import type { MeteredUsage } from "../metering/answer-meter.ts";
import type { TokenUsage } from "../metering/usage.ts";
import type { CancelReason } from "../ports/reply.ts";
import type { Refusal } from "../errors/refusal.ts";
import { refusalOfCancellation } from "./cancellation.ts";

/** Result of relaying an upstream's answer, before anything is charged for it. */
export interface RelayResult extends MeteredUsage {
  readonly outcome: "succeeded" | "failed" | "cancelled";
  /** True if the request is charged even if its usage is not known: the upstream may have billed for it. */
  readonly billable: boolean;
  readonly httpStatus: number;
  readonly errorCode: string;
  /** Refusal that the client has still to be sent. */
  readonly refusal?: Refusal;
  /** Error of the gateway itself that ended the answer, for the log. */
  readonly fault?: unknown;
  /** Status of the upstream's answer; undefined if none came. */
  readonly upstreamStatus?: number | undefined;
  readonly upstreamRequestId?: string | undefined;
  /** Error of the upstream in its own words, for the log and the request row; undefined if it gave none. */
  readonly upstreamError?: string | undefined;
  /** True if nothing went upstream. */
  readonly neverSent?: boolean;
}

/** Result of a request that is refused without a charge: the upstream did not do the work. */
export function refusedResult(refusal: Refusal): RelayResult {
  const { status, code, type, cause } = refusal;
  const errorCode = code ?? type;
  const refused = {
    outcome: "failed",
    usage: undefined,
    billable: false,
    httpStatus: status,
    errorCode,
    refusal,
  } as const;
  return code === "internal_error" ? { ...refused, fault: cause } : refused;
}

/** Result of a request that is refused and charged: the upstream may have done the work. */
export function chargedRefusalResult(refusal: Refusal, metered: MeteredUsage): RelayResult {
  return { ...refusedResult(refusal), ...metered, billable: true };
}

/**
 * Result of a cancelled request. It is charged: the upstream was at work, and its bill is not known unless it reported one. Its
 * status is that of the refusal, or 0 if the client has gone before it got any.
 */
export function cancelledResult(reason: CancelReason, usage?: TokenUsage): RelayResult {
  const refused = { ...refusedResult(refusalOfCancellation(reason)), usage, billable: true };
  return reason === "client_gone" ? { ...refused, outcome: "cancelled", httpStatus: 0 } : refused;
}
