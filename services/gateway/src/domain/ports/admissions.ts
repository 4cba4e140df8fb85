import type { TokenPrice } from "@routeplane/admission";
import type { Id } from "@routeplane/domain";
import type { Denial } from "../errors/denial.ts";

/** Upper bounds of what a request can use, to be reserved. */
export interface AdmissionRequest {
  readonly namespaceId: Id<"ns">;
  readonly requestId: Id<"req">;
  /** Lineage of the calling key, from the root key down. */
  readonly lineage: readonly Id<"key">[];
  readonly price: TokenPrice;
  readonly inputTokensMax: number;
  /** Output bound over all choices. */
  readonly outputTokensMax: number;
  readonly choices: number;
  /** True if the bounds can still be tightened: they are denied if they do not fit as they are, also under shadow bindings. */
  readonly refuseRatherThanLower: boolean;
  readonly idempotencyKey: string | undefined;
}

/** Answer of the policy service to an admission request. */
export type AdmissionDecision = {
  /** Denials that bindings in shadow mode would have made. */
  readonly shadowDenials: readonly ShadowDenial[];
  /** Tightest rate limit of requests, this one counted if it is admitted; undefined if none applies. */
  readonly requests: RateLimitState | undefined;
  /** Tightest rate limit of tokens, this request's counted if it is admitted; undefined if none applies. */
  readonly tokens: RateLimitState | undefined;
  /**
   * Micro-USD that remain of the budget with the least left, the bound of this request counted if it is admitted; rounded down, and a
   * lower bound as of the last answer of the policy service. Absent: none is enforced, or it is not known.
   */
  readonly budgetRemainingMicroUsd?: number | undefined;
} & (
  | {
      readonly admitted: true;
      /** Output bound as requested, or lowered to what is left: a multiple of the choices. */
      readonly outputTokensMax: number;
      /** Nano-USD reserved on every budget that applies; 0 if none does. */
      readonly reservedNanoUsd: bigint;
      /** Time at which the reservation expires, charged in full; undefined if there is none, because no limit applies. */
      readonly expiresAt: Date | undefined;
      /** Slices that it was admitted on; absent: the policy service admitted it, or no limit applies. */
      readonly slices?: SlicedAdmission;
    }
  | { readonly admitted: false; readonly denial: Denial }
);

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

/** Request that this process admitted on slices of its session, from its admission to its report. */
export interface SlicedAdmission extends AdmittedOnSlices {
  /** True while the request may be sent: its session has neither expired nor ended. */
  readonly maySend: boolean;
  /** Called once the log has acknowledged the admission. */
  acknowledgeAdmission(): void;
  /** Called once the request is over: its slots are free. */
  end(): void;
  /** Called once the log has acknowledged the settlement: what was not used is free. */
  settle(costNanoUsd: bigint): void;
  /** Called once the policy service has the report. */
  markReported(): void;
}

/** State of one rate limit after an admission. */
export interface RateLimitState {
  readonly limit: number;
  readonly remaining: number;
  /** Time at which all of the limit is left again, if nothing more is admitted. */
  readonly resetsAt: Date;
}

/** Denial that a binding in shadow mode would have made. */
export interface ShadowDenial {
  readonly policyId: string;
  readonly bindingId: string;
  readonly rule: string;
}

/** Key by which the policy service finds a reservation. */
export interface ReservationKey {
  readonly namespaceId: Id<"ns">;
  readonly keyId: Id<"key">;
  readonly requestId: Id<"req">;
}

/** Amounts that replace those of a reservation at its settlement. */
export interface SettledAmounts {
  readonly costNanoUsd: bigint;
  /** Input and output together. */
  readonly tokens: number;
}

/**
 * The policy service's reservations. Every method is idempotent, bounded in time, and throws DomainError UNAVAILABLE if the
 * service does not answer.
 */
export interface Admissions {
  /** @throws DomainError ALREADY_EXISTS if another request of the key has its idempotency key */
  admit(request: AdmissionRequest): Promise<AdmissionDecision>;
  settle(key: ReservationKey, amounts: SettledAmounts): Promise<void>;
  /** @param neverSent true if nothing went upstream: the request is then treated as if it had not been admitted */
  release(key: ReservationKey, neverSent: boolean): Promise<void>;
}

/** Admission in this process. */
export interface LocalAdmissions {
  /**
   * Admits a request, or denies it as the policy service has just denied one like it; undefined if the policy service has to decide. Waits
   * for at most one call.
   */
  admit(request: AdmissionRequest): AdmissionDecision | undefined | Promise<AdmissionDecision | undefined>;
  /** Called before the policy service decides on a request. @returns function to be called with the decision */
  ask(request: AdmissionRequest): (decision: AdmissionDecision) => void;
}
