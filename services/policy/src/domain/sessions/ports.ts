import type { Id } from "@routeplane/domain";
import type { CounterGrant, CounterRequest, GrantState } from "./grants.ts";
import type { ReportOutcome, SettlementReport } from "./reports.ts";
import type { decideRenewal, Renewal, SessionState } from "./session.ts";

/** Gateway sessions of the node. Each call is one transaction. */
export interface SessionStore {
  /**
   * Opens a session with renewal 1, or applies to the locked session what `decide` returns.
   *
   * @returns the state afterwards, `ended` for a session that is left, was refused or is not known
   */
  renew(renewal: Renewal, decide: typeof decideRenewal): Promise<SessionState>;
  /** Allows no further renewal, so that the session ends by itself. Idempotent. @returns the state afterwards; `closed` if it is not known */
  leave(sessionId: Id<"gws">): Promise<SessionState>;
  /** Closes the session for ever. Idempotent. What is set aside for it is freed by `release`. */
  close(sessionId: Id<"gws">): Promise<void>;
  /** Sessions that are open, with the numbers of their last renewals. */
  open(): Promise<readonly { readonly id: Id<"gws">; readonly renewal: bigint }[]>;
  /** Ends a session unless it was renewed since. @returns true if this call ended it */
  end(sessionId: Id<"gws">, renewal: bigint): Promise<boolean>;
  /** Sessions that were closed within the last day. */
  closedLately(): Promise<readonly Id<"gws">[]>;
  /** Deletes sessions that were closed long ago. @returns how many */
  deleteClosed(keptMs: number): Promise<number>;
}

/** Counters, and what is set aside of them for sessions. Each call is one transaction in one namespace. */
export interface SliceStore {
  /**
   * Locks the session and the counters of all requests, and writes what `decide` leaves in the state.
   *
   * @param decide called for each request in order
   * @returns the state of the session, and the answers; none unless it is open
   */
  acquire(
    sessionId: Id<"gws">,
    namespaceId: Id<"ns">,
    requests: readonly SliceRequest[],
    decide: (state: GrantState, counters: readonly CounterRequest[]) => SliceGrant,
  ): Promise<{ readonly state: SessionState; readonly grants: readonly SliceGrant[] }>;
  /** Frees what is set aside for a closed session in one namespace, and forgets its limit sets. Idempotent. */
  release(sessionId: Id<"gws">, namespaceId: Id<"ns">): Promise<void>;
  /** Namespaces in which something is set aside for a session, in order of id, at most 100. */
  namespacesOf(sessionId: Id<"gws">, after: Id<"ns"> | undefined): Promise<readonly Id<"ns">[]>;
  /** Amounts of all slices of the node. */
  totals(): Promise<readonly SliceTotal[]>;
}

export interface SliceTotal {
  readonly dimension: string;
  readonly outstanding: bigint;
  readonly heldBack: bigint;
}

/** Request for slices of counters of one namespace: all of what is needed, or nothing. */
export interface SliceRequest {
  readonly namespaceId: Id<"ns">;
  /** Number of the session's limit set with these counters; 0 for none. */
  readonly limitSet: number;
  readonly counters: readonly CounterRequest[];
}

export interface SliceGrant {
  readonly granted: boolean;
  readonly counters: readonly CounterGrant[];
}

/** Store of settlement reports. */
export interface ReportStore {
  /** Applies reports of distinct requests of one namespace, in one transaction. @returns their outcomes in order */
  apply(namespaceId: Id<"ns">, reports: readonly SettlementReport[]): Promise<readonly ReportOutcome[]>;
  /**
   * Applies reports that need only additions, together, those of each limit set in its own transaction. Other reports change nothing.
   *
   * @returns for each namespace the names of the requests whose reports were applied; the others are left to `apply`
   */
  applyPlain(namespaces: readonly NamespaceReports[]): Promise<readonly ReadonlySet<string>[]>;
}

/** Reports of distinct requests of one namespace. */
export interface NamespaceReports {
  readonly namespaceId: Id<"ns">;
  readonly reports: readonly SettlementReport[];
}
