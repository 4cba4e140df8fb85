import type { Id } from "@routeplane/domain";

/** State of a gateway session at the policy service. Nothing is granted unless it is open. */
export type SessionState = "open" | "ended" | "settled" | "closed";

export type SliceDimension = "money" | "requests" | "tokens" | "concurrent";

/** Request for a slice of one counter. Amounts are whole numbers up to 2^53 - 1: nano-USD, requests, tokens or slots. */
export interface CounterRequest {
  readonly bindingId: string;
  readonly dimension: SliceDimension;
  /** Sums since the session began, of money and slots; 0 of others. */
  readonly granted: number;
  readonly returned: number;
  /** Amount without which nothing is granted on any counter of the request. */
  readonly needed: number;
  /** Amount beyond it, granted as far as it is fair. */
  readonly wanted: number;
  /** Free part of the slice, without what is needed. */
  readonly free: number;
  /** Most that may be in doubt; of money only. */
  readonly doubt: number;
  /** Unused parts of rate slices that are over: reported once, and never again. */
  readonly unused: readonly { readonly amount: number; readonly countedAtMs: number }[];
}

/** Request for slices of several counters of one namespace: all of what is needed, or nothing. */
export interface SliceRequest {
  readonly namespaceId: Id<"ns">;
  /** Number of the limit set of these counters; 0 for none. */
  readonly limitSet: number;
  readonly counters: readonly CounterRequest[];
}

/** Answer about one counter. */
export interface CounterGrant {
  /** Sum of all grants of money or slots since the session began. */
  readonly granted: number;
  readonly doubt: number;
  readonly rate: { readonly amount: number; readonly countedAtMs: number; readonly validMs: number } | undefined;
  /** Amount that remains of the limit. */
  readonly remaining: number;
  readonly resetsAtMs: number | undefined;
}

export interface SliceGrant {
  /** True if everything that was needed is granted. */
  readonly granted: boolean;
  /** Answers in the order of the request. */
  readonly counters: readonly CounterGrant[];
}

/** Thrown when the policy service is of a release without gateway sessions. */
export class NoGatewaySessions extends Error {
  override readonly name = "NoGatewaySessions";
}

/** The policy service's gateway sessions. Every method throws DomainError UNAVAILABLE if the service does not answer in time. */
export interface GatewaySessions {
  /**
   * Opens a session, with renewal 1, or renews it.
   *
   * @param nonce random number of the renewal, the same in each repetition
   * @throws NoGatewaySessions
   */
  renew(
    sessionId: Id<"gws">,
    renewal: number,
    nonce: bigint,
  ): Promise<{ readonly state: SessionState; readonly lengthMs: number }>;
  /**
   * Acquires and returns slices. A failed call is not repeated: the next one reports the sums of its own time.
   *
   * @returns answers in order; undefined for a request that was not processed
   */
  acquire(
    sessionId: Id<"gws">,
    requests: readonly SliceRequest[],
  ): Promise<{ readonly state: SessionState; readonly grants: readonly (SliceGrant | undefined)[] }>;
  /** @param isComplete true if every request of the session has been reported, and nobody can make another one */
  close(sessionId: Id<"gws">, isComplete: boolean): Promise<void>;
}

/** Maximum number of requests in one `acquire`, and of counters in one request. */
export const MAX_SLICE_REQUESTS = 64;
export const MAX_COUNTERS = 1_024;
