import type { Counter } from "@routeplane/admission";
import type { Id, IdKind } from "@routeplane/domain";
import type { PolicyKind, PolicySpec } from "@routeplane/policy-spec";
import type { Origin } from "@routeplane/runtime";
import type { AppliedLimits } from "./admission/applied-limits.ts";
import type { Reservation, ReservationChange } from "./admission/reservation.ts";
import type { Applied } from "./effective/applied-policy.ts";
import type { Caller } from "./policies/authority.ts";
import type { Binding, BindingCounts, BoundPolicy, BoundPrincipal, Policy } from "./policies/policy.ts";
import type { PastRequest } from "./simulation/simulation.ts";

/** Page of a list in order of id. */
export interface Page<T> {
  readonly rows: readonly T[];
  /** True if rows follow on a next page. */
  readonly hasMore: boolean;
}

export interface PageRequest<K extends IdKind> {
  readonly size: number;
  /** Last id of the page before; undefined for the first page. */
  readonly after: Id<K> | undefined;
  /** Maximum size of the specs that are read; the page ends before one that exceeds it, but has at least one row. */
  readonly maxBytes: number;
}

export interface PolicyPageRequest extends PageRequest<"pol"> {
  /** Kind of the policies listed; undefined for every kind. */
  readonly kind: PolicyKind | undefined;
}

/** Policies of one namespace at a time. A policy of another namespace is undefined, as one that does not exist. */
export interface PolicyStore {
  /**
   * Adds a policy and its first bindings, all or nothing.
   *
   * @throws DomainError ALREADY_EXISTS if the namespace has a policy of this name; RESOURCE_EXHAUSTED
   */
  add(policy: Policy, bindings: readonly Binding[]): Promise<void>;
  find(namespaceId: Id<"ns">, policyId: Id<"pol">): Promise<Policy | undefined>;
  list(namespaceId: Id<"ns">, page: PolicyPageRequest): Promise<Page<Policy>>;
  /** Writes the policy that `decide` returns. @throws DomainError PERMISSION_DENIED, ALREADY_EXISTS */
  update(caller: Caller, policyId: Id<"pol">, decide: (policy: Policy) => Policy): Promise<Policy | undefined>;
  /** Idempotent. @throws DomainError PERMISSION_DENIED */
  enable(caller: Caller, policyId: Id<"pol">): Promise<Policy | undefined>;
  /** Idempotent. @throws DomainError PERMISSION_DENIED */
  disable(caller: Caller, policyId: Id<"pol">, at: Date): Promise<Policy | undefined>;
  /**
   * Removes a policy and its bindings, unless `decide` throws.
   *
   * @returns the removed bindings
   * @throws DomainError PERMISSION_DENIED
   */
  remove(
    caller: Caller,
    policyId: Id<"pol">,
    decide: (bindings: readonly Binding[]) => void,
  ): Promise<readonly Binding[] | undefined>;
}

/** Bindings of one namespace at a time, as `PolicyStore`. */
export interface BindingStore {
  /**
   * Adds a binding unless its policy is bound to its principal already.
   *
   * @param check runs while the policy cannot change; nothing is bound if it throws
   * @returns the policy and the binding that exists now; undefined if there is no such policy
   * @throws DomainError RESOURCE_EXHAUSTED
   */
  add(binding: Binding, check: (policy: Policy) => void): Promise<BoundPolicy | undefined>;
  /** Removes a binding and returns it. @throws DomainError PERMISSION_DENIED */
  remove(caller: Caller, policyId: Id<"pol">, bindingId: Id<"bnd">): Promise<Binding | undefined>;
  /**
   * Removes several bindings of a policy, all or nothing, and returns them.
   *
   * @param choose from the bindings of the policy, in order of id, those to remove; nothing is removed if it throws
   * @throws DomainError PERMISSION_DENIED
   */
  removeMany(
    caller: Caller,
    policyId: Id<"pol">,
    choose: (bindings: readonly Binding[]) => readonly Binding[],
  ): Promise<readonly Binding[] | undefined>;
  /**
   * Removes bindings of a revoked key and of the keys below it, a limited number at a time. Bindings with open reservations stay, because
   * those are still to be settled. Policies that hold the limits which these keys were minted with are removed too, once they are bound to
   * nothing.
   *
   * @returns true if nothing is bound to them any more
   */
  removeOfRevoked(namespaceId: Id<"ns">, keyId: Id<"key">): Promise<boolean>;
  /** Bindings of a policy; undefined if there is no such policy. */
  ofPolicy(namespaceId: Id<"ns">, policyId: Id<"pol">, page: PageRequest<"bnd">): Promise<Page<Binding> | undefined>;
  /** Numbers of bindings of each policy, and its oldest ones, at most `maxCount`; no entry for a policy without any. */
  oldestOfPolicies(
    namespaceId: Id<"ns">,
    policyIds: readonly Id<"pol">[],
    maxCount: number,
  ): Promise<ReadonlyMap<Id<"pol">, { readonly counts: BindingCounts; readonly bindings: readonly Binding[] }>>;
  ofPrincipal(principal: BoundPrincipal, namespaceId: Id<"ns">, page: PageRequest<"bnd">): Promise<Page<BoundPolicy>>;
}

/** Revocation of a key whose bindings are to be removed. */
export interface Revocation {
  readonly namespaceId: Id<"ns">;
  readonly keyId: Id<"key">;
  readonly revokedAt: Date;
  /** Origin of the call that revoked the key. */
  readonly origin: Origin;
}

/** Revocations of the whole node that are not acknowledged, of the auth service. */
export interface RevocationLog {
  /** Lists them in order of namespace and key, page by page. @param after last one of the page before. @throws DomainError UNAVAILABLE */
  list(after: Pick<Revocation, "namespaceId" | "keyId"> | undefined): Promise<readonly Revocation[]>;
  /** Idempotent; at most 100 at once. @throws DomainError UNAVAILABLE */
  acknowledge(keyIds: readonly Id<"key">[]): Promise<void>;
}

/** Policies that apply to keys. */
export interface AppliedPolicies {
  /**
   * Every enabled policy that is bound to the namespace or to a key of the lineage, in order of binding id.
   *
   * @throws Error if one of them cannot be read: a request that it applies to must be refused
   */
  of(namespaceId: Id<"ns">, lineage: readonly Id<"key">[]): Promise<readonly Applied<PolicySpec>[]>;
}

/** Counter, with the parts of what it has reserved that are set aside for gateway sessions. */
export interface ReadCounter extends Counter {
  /** Outstanding in slices. Nano-USD. */
  readonly leasedNano: bigint;
  /** Held back of lost sessions. Nano-USD. */
  readonly heldBackNano: bigint;
  /** Slots that are outstanding in slices. */
  readonly leasedSlots: bigint;
}

/** Reader of counters. It takes no lock and waits for no admission. */
export interface CounterReader {
  /** Counters of these bindings in one snapshot, taken at `now`; no entry for a binding that does not exist any more. */
  ofBindings(
    namespaceId: Id<"ns">,
    bindingIds: readonly Id<"bnd">[],
  ): Promise<{ readonly now: Date; readonly counters: ReadonlyMap<Id<"bnd">, ReadCounter> }>;
}

/** Request log of the usage service, for simulations. */
export interface RequestHistory {
  /**
   * Requests of a namespace that no policy refused, newest first.
   *
   * @param from inclusive
   * @param to exclusive
   * @throws DomainError UNAVAILABLE
   */
  pages(namespaceId: Id<"ns">, from: Date, to: Date): AsyncIterable<readonly PastRequest[]>;
}

/** Keys of the auth service. */
export interface KeyDirectory {
  /**
   * Key of this namespace; undefined if there is none.
   *
   * @throws DomainError UNAVAILABLE
   */
  find(namespaceId: Id<"ns">, keyId: Id<"key">): Promise<KnownKey | undefined>;
}

/** Mints of keys with limits, of the auth service. */
export interface MintDirectory {
  /** A mint that is in progress; undefined if there is none. @throws DomainError UNAVAILABLE */
  find(namespaceId: Id<"ns">, keyId: Id<"key">): Promise<Mint | undefined>;
}

/** Mint of a key with limits, in progress. */
export interface Mint {
  /** Key ids from the root key down to the key. */
  readonly lineage: readonly Id<"key">[];
  /** Origin of the call that mints. */
  readonly origin: Origin;
}

export interface KnownKey {
  /** True if the key or a key above it is revoked. */
  readonly revoked: boolean;
  /** First moment at which the key, or a key above it, has expired; undefined: never. */
  readonly expiresAt?: Date | undefined;
  /** Key ids from the root key down to the key itself. */
  readonly lineage: readonly Id<"key">[];
}

/** Name of the reservation of a request. */
export interface ReservationKey {
  readonly namespaceId: Id<"ns">;
  /** Key that made the request. */
  readonly keyId: Id<"key">;
  readonly requestId: Id<"req">;
}

/** Request for which a reservation is wanted. */
export interface ReservationRequest {
  readonly key: ReservationKey;
  /** Key ids from the root key down to the calling key. */
  readonly lineage: readonly Id<"key">[];
  /** Idempotency key of the request; undefined if it has none. */
  readonly idempotencyKey: string | undefined;
  /** Gateway session of the caller; undefined if it has none. */
  readonly sessionId: Id<"gws"> | undefined;
  /** Service credential of the caller; undefined if it uses none. */
  readonly serviceCredentialId?: Id<"svc"> | undefined;
}

/** State that an admission is decided on. None of it changes until the decision is written. */
export interface AdmissionState {
  /** Clock of the database, read once the counters were locked. */
  readonly now: Date;
  /** Every binding of an enabled policy with limits, on the namespace or on a key of the lineage. */
  readonly bindings: readonly AppliedLimits[];
  /** Amounts of the counters that are outstanding in slices, read before the locks; no entry for a counter without any. */
  readonly outstanding: ReadonlyMap<Id<"bnd">, Outstanding>;
  /** Reservation that the request has already, in any state. */
  readonly reservation: Reservation | undefined;
  /** Another request of the calling key that has the same idempotency key and is not voided. */
  readonly idempotencyKeyUsedBy: Id<"req"> | undefined;
  /** True if open reservations of the namespace are due to expire. */
  readonly isExpiryDue: boolean;
}

/** Amounts of one counter that are outstanding in the slices of all sessions. */
export interface Outstanding {
  readonly nano: bigint;
  readonly slots: bigint;
}

/** Result of an admission, and the reservation to write before the result is returned. */
export interface AdmissionDecision<T> {
  readonly result: T;
  readonly reservation?: NewReservation;
}

export interface NewReservation extends Pick<
  Reservation,
  "reservedNano" | "tokens" | "outputTokensMax" | "openedAt" | "expiresAt"
> {
  /** Bindings of the state that the reservation counts on, with their counters after it. */
  readonly bindings: readonly AppliedLimits[];
}

/** Store of reservations and counters. Each call is one transaction: all of it happens, or nothing. */
export interface Ledger {
  /**
   * Locks the counters that apply to the lineage, and writes the reservation that `decide` returns.
   *
   * @param decide pure: it is called again if another transaction changed the same rows first
   * @throws DomainError FAILED_PRECONDITION if the request names a session that is not open
   */
  admit<T>(request: ReservationRequest, decide: (state: AdmissionState) => AdmissionDecision<T>): Promise<T>;
  /** Locks the reservation and its counters, and writes the change that `end` returns. Does nothing without a reservation. */
  settle(key: ReservationKey, end: EndReservation): Promise<void>;
  /**
   * Does the same as `settle`. Without a reservation it writes a voided one, so that an admission that is still running cannot
   * make one.
   */
  void(key: ReservationKey, end: EndReservation): Promise<void>;
  /** Ends open reservations of the namespace that are due to expire, in order of expiry, at most 100. */
  expireDue(namespaceId: Id<"ns">, end: EndReservation): Promise<void>;
}

export interface OpenTotals {
  readonly reservations: bigint;
  readonly reservedNano: bigint;
}

/** Partitions by day in which reservations are stored. */
export interface ReservationPartitions {
  /** Bounds the table of earlier releases, so that partitions by day can follow it. @returns false if it has one */
  boundLegacy(): Promise<boolean>;
  /** Creates the partitions of the next days. @returns their names; none while the table of earlier releases has no bound */
  create(): Promise<readonly string[]>;
  /** Drops the oldest partition whose reservations all ended and expired a day ago. @returns its name; undefined if there is none */
  dropOldest(): Promise<string | undefined>;
  /** Deletes at most `maxCount` ended reservations whose ids belong to no partition of a day. @returns how many it deleted */
  deleteStray(maxCount: number): Promise<number>;
  /** Reads how many reservations are open, and what they reserve. */
  openTotals(): Promise<OpenTotals>;
  /** Finds the next namespace, in order of id, with reservations that should have expired an hour ago. */
  nextOverdueNamespace(after: Id<"ns"> | undefined): Promise<Id<"ns"> | undefined>;
}

/** Function that returns the change of a reservation at `now`; undefined for none. */
export type EndReservation = (reservation: Reservation, now: Date) => ReservationChange | undefined;
