import type { Id } from "@routeplane/domain";
import type { AppliedPrice, ReceiptFacts } from "../metering/receipt.ts";
import type { RequestFacts } from "../metering/request-facts.ts";
import type { ReservationKey, SettledAmounts, ShadowDenial } from "./admissions.ts";

/**
 * Upper bound of what a request can cost, whether or not a budget reserves it: the charge from `expiresAt` on if the end of the
 * request is never reported. 0 only where the price is.
 */
export interface Reservation {
  readonly reservedNanoUsd: bigint;
  readonly expiresAt: Date;
  readonly price: AppliedPrice;
  readonly admittedAt: Date;
}

export type Outcome = "succeeded" | "failed" | "cancelled" | "denied";

/** End of a request and its charge. */
export interface Settlement extends ReceiptFacts, Decisions {
  readonly outcome: Outcome;
  readonly completedAt: Date;
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly costNanoUsd: bigint;
  /** Amount of the reservation; 0 if the request was denied. */
  readonly reservedNanoUsd: bigint;
  /** True if the usage is not known, so that the bounds of the reservation, or a count that was not final, stand in for it. */
  readonly estimated: boolean;
  /** Status that the client received. If the request was cancelled before one was sent, 0 or the status of the upstream's answer. */
  readonly httpStatus: number;
  /** `code` in the client's envelope, or the reason of a cancellation; empty if there was neither. */
  readonly errorCode: string;
  /** Only with outcome `denied`; else empty. */
  readonly deniedByPolicyId: string;
  readonly deniedByBindingId: string;
  /** Rule of the policy, e.g. `budget`. */
  readonly deniedRule: string;
}

/** Decisions of policies about a request, beyond its admission. */
export interface Decisions {
  /** Denials that bindings in shadow mode would have made. */
  readonly shadowDenials: readonly ShadowDenial[];
  /** Effects of content patterns on the request and its answer. */
  readonly guardrailDecisions: readonly GuardrailDecision[];
}

/** Effect of one content pattern of a guardrail. Never the text that it matched. */
export interface GuardrailDecision {
  readonly policyId: string;
  readonly bindingId: string;
  readonly rule: string;
  /** Name of the pattern; empty if there was more than can be judged. */
  readonly pattern: string;
  /** Redacted stretches of text, counted also where another pattern then blocked all of it. */
  readonly requestRedactions: number;
  readonly responseRedactions: number;
  readonly blocked: "request" | "response" | undefined;
}

/** Denied requests of one minute that have no row of their own. */
export interface UnloggedDenials {
  readonly namespaceId: Id<"ns">;
  readonly keyId: Id<"key">;
  /** Empty if a root key stands in for the keys below it. */
  readonly model: string;
  readonly provider: string;
  /** First moment of the minute. */
  readonly minute: Date;
  readonly count: number;
}

/** Slices on which a request was admitted by its gateway. */
export interface AdmittedOnSlices {
  /** `gws_…` of the gateway session. */
  readonly sessionId: Id<"gws">;
  /** Number of the limit set of that session: the counters that the request counts on. */
  readonly limitSet: number;
  /** Time at which its rate slices are counted; undefined if no rate limit applies. */
  readonly countedAt: Date | undefined;
  /** Amount that each budget of the limit set has reserved for it. Nano-USD. */
  readonly boundNanoUsd: bigint;
  /** Input and output bound together. */
  readonly tokensMax: number;
}

/** Settlement, or release if no amount was used, that the policy service has not acknowledged yet. */
export interface PendingSettlement extends ReservationKey, SettledAmounts {
  /** True if nothing went upstream. */
  readonly neverSent: boolean;
  /** Slices on which the request was admitted; absent: the policy service admitted it. */
  readonly slices?: AdmittedOnSlices | undefined;
  /** True if the process ended while the request ran: its amounts are its bounds, until a settlement corrects them. */
  readonly isUnknown?: boolean | undefined;
}

/** Offset of a pending settlement in the spool. */
export type OutboxOffset = number;

/**
 * Log of usage events, and outbox of pending settlements. A method that has returned has written to this gateway's spool: if
 * this process is killed, the next one on the spool carries on.
 */
export interface UsageLog {
  /** Pending settlements that earlier processes on this spool left. */
  readonly pendingFromPreviousRun: readonly {
    readonly offset: OutboxOffset;
    readonly settlement: PendingSettlement;
  }[];
  /**
   * Enqueues the release of a reservation that is about to be made, so that it is released if this process dies first.
   *
   * @throws DomainError UNAVAILABLE if no new requests are accepted
   */
  enqueueRelease(key: ReservationKey): OutboxOffset;
  /**
   * Records an admission and completes its pending release. The request may go upstream once this returns.
   *
   * @returns a promise that resolves once the record is committed, and rejects, in bounded time, with DomainError UNAVAILABLE
   * @throws DomainError UNAVAILABLE if it cannot be recorded at all
   */
  recordAdmission(
    facts: RequestFacts,
    reservation: Reservation,
    pendingRelease: OutboxOffset,
  ): { readonly committed: Promise<void> };
  /**
   * Records the end of a request, enqueues the pending settlement of its reservation, if it has one, and completes its pending
   * release unless that was done.
   */
  recordSettlement(
    facts: RequestFacts,
    settlement: Settlement,
    pendingSettlement: PendingSettlement | undefined,
    pendingRelease: OutboxOffset,
  ): OutboxOffset;
  /** Marks a pending settlement as acknowledged by the policy service, or as void. */
  complete(offset: OutboxOffset): void;
  /** Records denied requests without a row. They are counted once, even if this process is killed afterwards. */
  recordUnloggedDenials(denials: UnloggedDenials): void;
}
