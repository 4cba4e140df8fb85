import type { Id } from "@routeplane/domain";
import type { DeniedAmounts, Denial } from "../errors/denial.ts";
import type { AppliedPrice, ReceiptFacts } from "../metering/receipt.ts";
import type { RequestFacts } from "../metering/request-facts.ts";
import type { AdmittedOnSlices, ReservationKey, SettledAmounts, ShadowDenial } from "./admissions.ts";

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
  /** Amounts of the limit that denied it, and when to try again; absent unless a budget or a rate limit did. */
  readonly deniedAmounts?: (DeniedAmounts & Pick<Denial, "retryAt">) | undefined;
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

/** Admission on slices, as it is recorded. */
export interface SlicedRecord {
  readonly slices: AdmittedOnSlices;
  /** Called once the log has acknowledged the admission. */
  readonly onAcknowledged: () => void;
}

/** Session that an earlier process on this spool did not close. */
export interface RecordedSession {
  readonly sessionId: Id<"gws">;
  readonly offset: OutboxOffset;
  /** True if the process that had it is certainly dead, and everything that it wrote was read. */
  readonly hasProof: boolean;
}

/** Records of the gateway sessions of the processes on this spool. */
export interface SessionRecords {
  /** Resolves to the sessions that earlier processes left open, once it is known whether those processes are dead. */
  readonly sessionsFromPreviousRun: Promise<readonly RecordedSession[]>;
  /** Resolves once the log has acknowledged all events of earlier processes. */
  readonly previousRunAcknowledged: Promise<void>;
  /** Records a session before it is used. @throws DomainError UNAVAILABLE if no new requests are accepted */
  recordSession(sessionId: Id<"gws">): OutboxOffset;
  /** True while the folder of the spool is this process's. */
  isOwner(): boolean;
  /** Marks a pending settlement or a session as acknowledged by the policy service, or as void. */
  complete(offset: OutboxOffset): void;
}

/**
 * Log of usage events, and outbox of pending settlements. A method that has returned has written to this gateway's spool: if
 * this process is killed, the next one on the spool carries on.
 */
export interface UsageLog extends SessionRecords {
  /** Pending settlements that earlier processes on this spool left. */
  readonly pendingFromPreviousRun: readonly {
    readonly offset: OutboxOffset;
    readonly settlement: PendingSettlement;
  }[];
  /** @throws DomainError UNAVAILABLE if no new requests are accepted */
  requireCapacity(): void;
  /**
   * Enqueues the release of a reservation that is about to be made, so that it is released if this process dies first.
   *
   * @throws DomainError UNAVAILABLE if no new requests are accepted
   */
  enqueueRelease(key: ReservationKey): OutboxOffset;
  /**
   * Records an admission and completes its pending release, if it has one. The request may go upstream once this returns. For a request on
   * slices, an unknown end is enqueued with it, which is reported if this process dies.
   *
   * @returns the offset of that end, 0 without slices; and a promise that resolves once the record is committed, and rejects, in
   * bounded time, with DomainError UNAVAILABLE
   * @throws DomainError UNAVAILABLE if it cannot be recorded at all
   */
  recordAdmission(
    facts: RequestFacts,
    reservation: Reservation,
    pendingRelease: OutboxOffset | undefined,
    sliced?: SlicedRecord,
  ): { readonly committed: Promise<void>; readonly pendingEnd?: OutboxOffset };
  /**
   * Records the end of a request, enqueues the pending settlement of its reservation, if it has one, and completes its pending
   * release or unknown end unless that was done.
   *
   * @param onAcknowledged called once the log has acknowledged the settlement
   */
  recordSettlement(
    facts: RequestFacts,
    settlement: Settlement,
    pendingSettlement: PendingSettlement | undefined,
    completes: OutboxOffset | undefined,
    onAcknowledged?: () => void,
  ): OutboxOffset;
  /** Records denied requests without a row. They are counted once, even if this process is killed afterwards. */
  recordUnloggedDenials(denials: UnloggedDenials): void;
}
