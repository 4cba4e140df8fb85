import type { PolicyKind, PolicySpec } from "@routeplane/policy-spec";
import type { Counter } from "@routeplane/admission";
import type { Id, IdKind } from "@routeplane/domain";
import type { Applied } from "./effective/applied-policy.ts";
import type { AppliedLimits } from "./admission/applied-limits.ts";
import type { Reservation, ReservationChange } from "./admission/reservation.ts";
import type { PastRequest } from "./simulation/simulation.ts";
import type { Caller } from "./policies/authority.ts";
import type { Binding, BoundPolicy, BoundPrincipal, Policy } from "./policies/policy.ts";

/** A page of a list in order of id, and whether there is more. */
export interface Page<T> {
  readonly rows: readonly T[];
  readonly more: boolean;
}

export interface PageRequest<K extends IdKind> {
  readonly size: number;
  /** Start after this id; undefined: from the beginning. */
  readonly after: Id<K> | undefined;
}

export interface PolicyPageRequest extends PageRequest<"pol"> {
  /** Undefined: every kind. */
  readonly kind: PolicyKind | undefined;
}

/** Policies of one namespace at a time. Those of another are as good as none, which is undefined. */
export interface PolicyStore {
  /**
   * Adds a policy and its first bindings, or nothing.
   *
   * @throws DomainError ALREADY_EXISTS if the namespace has a policy of this name; RESOURCE_EXHAUSTED
   */
  add(policy: Policy, bindings: readonly Binding[]): Promise<void>;
  find(namespaceId: Id<"ns">, policyId: Id<"pol">): Promise<Policy | undefined>;
  list(namespaceId: Id<"ns">, page: PolicyPageRequest): Promise<Page<Policy>>;
  /** Writes what `decide` makes of it. @throws DomainError PERMISSION_DENIED, ALREADY_EXISTS */
  update(caller: Caller, policyId: Id<"pol">, decide: (policy: Policy) => Policy): Promise<Policy | undefined>;
  /** Does nothing to one that is enabled. @throws DomainError PERMISSION_DENIED */
  enable(caller: Caller, policyId: Id<"pol">): Promise<Policy | undefined>;
  /** Does nothing to one that is disabled. @throws DomainError PERMISSION_DENIED */
  disable(caller: Caller, policyId: Id<"pol">, at: Date): Promise<Policy | undefined>;
  /** With its bindings, unless `decide` throws at them: those that are gone. @throws DomainError PERMISSION_DENIED */
  remove(
    caller: Caller,
    policyId: Id<"pol">,
    decide: (bindings: readonly Binding[]) => void,
  ): Promise<readonly Binding[] | undefined>;
}

/** Bindings of one namespace at a time, likewise. */
export interface BindingStore {
  /**
   * Adds a binding unless its policy is bound to its principal already. Returns the policy and the binding that is there now;
   * undefined if there is no such policy.
   *
   * @param check runs while the policy cannot change; nothing is bound if it throws
   * @throws DomainError RESOURCE_EXHAUSTED
   */
  add(binding: Binding, check: (policy: Policy) => void): Promise<BoundPolicy | undefined>;
  /** The binding that is gone. @throws DomainError PERMISSION_DENIED */
  remove(caller: Caller, policyId: Id<"pol">, bindingId: Id<"bnd">): Promise<Binding | undefined>;
  /** Undefined: no such policy. */
  ofPolicy(namespaceId: Id<"ns">, policyId: Id<"pol">, page: PageRequest<"bnd">): Promise<Page<Binding> | undefined>;
  /** Number of bindings of each policy, and its oldest ones, at most `atMost`; no entry for a policy without any. */
  oldestOfPolicies(
    namespaceId: Id<"ns">,
    policyIds: readonly Id<"pol">[],
    atMost: number,
  ): Promise<ReadonlyMap<Id<"pol">, { readonly count: number; readonly bindings: readonly Binding[] }>>;
  ofPrincipal(principal: BoundPrincipal, namespaceId: Id<"ns">, page: PageRequest<"bnd">): Promise<Page<BoundPolicy>>;
}

/** What applies to a key. */
export interface AppliedPolicies {
  /**
   * Every policy bound to the namespace or to a key of the lineage, in order of binding id; without those switched off.
   *
   * @throws Error if one of them cannot be read: whoever is to enforce it must refuse
   */
  of(namespaceId: Id<"ns">, lineage: readonly Id<"key">[]): Promise<readonly Applied<PolicySpec>[]>;
}

/** What the limits of bindings have counted. */
export interface CounterReader {
  /** As of one moment, which is `now`. Without those that are gone. */
  ofBindings(
    namespaceId: Id<"ns">,
    bindingIds: readonly Id<"bnd">[],
  ): Promise<{ readonly now: Date; readonly counters: ReadonlyMap<Id<"bnd">, Counter> }>;
}

/** What the usage service knows of requests. */
export interface RequestHistory {
  /**
   * Those of a namespace that no policy refused, newest first, from a moment on and before another one.
   *
   * @throws DomainError UNAVAILABLE if that cannot be known
   */
  pages(namespaceId: Id<"ns">, from: Date, to: Date): AsyncIterable<readonly PastRequest[]>;
}

/** What the auth service knows of keys. */
export interface KeyDirectory {
  /**
   * A key of this namespace; undefined if there is none.
   *
   * @throws DomainError UNAVAILABLE if it cannot be known.
   */
  find(namespaceId: Id<"ns">, keyId: Id<"key">): Promise<KnownKey | undefined>;
}

export interface KnownKey {
  /** It, or a key above it. */
  readonly revoked: boolean;
  /** From the root key down to it. */
  readonly lineage: readonly Id<"key">[];
}

/** Names a request's hold. */
export interface ReservationKey {
  readonly namespaceId: Id<"ns">;
  /** The key that called. */
  readonly keyId: Id<"key">;
  readonly requestId: Id<"req">;
}

/** A request that asks for a hold. */
export interface ReservationRequest {
  readonly key: ReservationKey;
  /** From the root key down to the calling key. */
  readonly lineage: readonly Id<"key">[];
  /** Undefined: it is compared with no other request. */
  readonly idempotencyKey: string | undefined;
}

/** What an admission decides on. None of it changes until the decision is written. */
export interface AdmissionState {
  /** The database's clock, read once the counters were locked. */
  readonly now: Date;
  /** Every binding of an enabled policy with limits, on the namespace or on a key of the lineage. */
  readonly bindings: readonly AppliedLimits[];
  /** The hold that this request has already, in whatever state. */
  readonly reservation: Reservation | undefined;
  /** The other request of this key that has its idempotency key, unless it was voided. */
  readonly idempotencyKeyUsedBy: Id<"req"> | undefined;
  /** Whether the namespace has open holds whose time is over. */
  readonly isExpiryDue: boolean;
}

/** An answer, and the hold to open before it is given. */
export interface AdmissionDecision<T> {
  readonly result: T;
  readonly reservation?: NewReservation;
}

export interface NewReservation extends Pick<
  Reservation,
  "reservedNano" | "tokens" | "outputTokensMax" | "openedAt" | "expiresAt"
> {
  /** Those of the state that it takes from, with their counters as they are afterwards. */
  readonly bindings: readonly AppliedLimits[];
}

/** Where holds and counters are kept. Each call is one transaction: all of it happens, or nothing. */
export interface Ledger {
  /** Locks the counters that apply to the lineage, and writes what `step` makes of them. */
  admit<T>(asking: ReservationRequest, step: (state: AdmissionState) => AdmissionDecision<T>): Promise<T>;
  /** Locks a request's hold and its counters, and writes what `close` makes of it. No hold: nothing happens. */
  settle(key: ReservationKey, close: EndReservation): Promise<void>;
  /** As `settle`. Without a hold it leaves a voided one, so that an admission that is still under way cannot open one. */
  void(key: ReservationKey, close: EndReservation): Promise<void>;
  /** Closes open holds of the namespace whose time is over, the longest overdue first. */
  expireDue(namespaceId: Id<"ns">, close: EndReservation): Promise<void>;
}

/** What becomes of a hold now; undefined if nothing. */
export type EndReservation = (hold: Reservation, now: Date) => ReservationChange | undefined;
