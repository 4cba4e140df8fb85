import type { TokenPrice } from "@routeplane/admission";
import type { DomainError, Id } from "@routeplane/domain";
import type { GuardrailSpec } from "@routeplane/guardrails";
import type { Denial } from "./errors/denial.ts";
import type { AppliedPrice, ReceiptFacts } from "./metering/receipt.ts";

/** Who calls. */
export type Caller =
  | {
      readonly kind: "key";
      readonly keyId: Id<"key">;
      readonly namespaceId: Id<"ns">;
      /** Effective now. */
      readonly scopes: readonly string[];
      /** From the root key down to this key. */
      readonly lineage: readonly Id<"key">[];
    }
  | { readonly kind: "operator" }
  | { readonly kind: "service" };

export type CallingKey = Extract<Caller, { kind: "key" }>;

/** @throws DomainError UNAUTHENTICATED for a bad token, UNAVAILABLE if it cannot be known. */
export type VerifyKey = (token: string) => Promise<Caller>;

/**
 * As `VerifyKey`, and from then on until `release` tells `heed` what becomes of the token: who calls with it now, or why
 * nobody does any more.
 */
export type FollowKey = (
  token: string,
  heed: (outcome: Caller | DomainError) => void,
) => Promise<{ readonly principal: Caller; readonly release: () => void }>;

/** What is known of a request from its admission on: the same in every record of it. */
export interface RequestFacts {
  readonly requestId: Id<"req">;
  readonly namespaceId: Id<"ns">;
  readonly keyId: Id<"key">;
  /** When the gateway received it. */
  readonly createdAt: Date;
  /** Route, e.g. `/v1/chat/completions`. */
  readonly endpoint: string;
  /** Resolved id, without provider prefix. */
  readonly model: string;
  readonly provider: string;
  readonly streamed: boolean;
}

export interface AdmissionRequest {
  readonly namespaceId: Id<"ns">;
  readonly requestId: Id<"req">;
  readonly lineage: readonly Id<"key">[];
  readonly price: TokenPrice;
  readonly inputTokensMax: number;
  /** Over all choices. */
  readonly outputTokensMax: number;
  readonly choices: number;
  readonly idempotencyKey: string | undefined;
}

export type AdmissionDecision = {
  /** What bindings in shadow mode would have refused it for. */
  readonly shadowDenials: readonly ShadowDenial[];
  /** The tightest rate limit of each kind, this request counted if it is admitted; undefined: there is none. */
  readonly requests: RateLimitState | undefined;
  readonly tokens: RateLimitState | undefined;
} & (
  | {
      readonly admitted: true;
      /** As asked for, or lowered to what is left: a multiple of the choices. */
      readonly outputTokensMax: number;
      /** Nano-USD on every budget that applies; 0 if none does. */
      readonly reservedNanoUsd: bigint;
      /** When the hold ends by itself, charged in full; undefined: there is none, because no limit applies. */
      readonly expiresAt: Date | undefined;
    }
  | { readonly admitted: false; readonly denial: Denial }
);

export interface RateLimitState {
  readonly limit: number;
  readonly remaining: number;
  /** When all of them will be left again, if no more are admitted. */
  readonly resetsAt: Date;
}

/** Each is bounded in time and throws DomainError UNAVAILABLE if the policy service does not answer. All are idempotent. */
export interface Admissions {
  /** @throws DomainError ALREADY_EXISTS if another request of the key has its idempotency key */
  admit(request: AdmissionRequest): Promise<AdmissionDecision>;
  settle(hold: HoldKey, used: Used): Promise<void>;
  /** @param neverSent whether nothing went upstream: then it is as if it had not been admitted */
  release(hold: HoldKey, neverSent: boolean): Promise<void>;
}

/** A guardrail and where it comes from. */
export interface AppliedGuardrail {
  readonly policyId: string;
  readonly policyName: string;
  readonly bindingId: string;
  readonly principalType: "namespace" | "api_key";
  readonly principalId: string;
  /** Shadow: judged and logged, never enforced. */
  readonly mode: "enforce" | "shadow";
  readonly spec: GuardrailSpec;
}

export interface GuardrailDirectory {
  /**
   * Every guardrail that applies to the key. The same array as long as nothing has changed.
   *
   * @throws DomainError UNAVAILABLE if that is not known: the request must be refused
   */
  of(caller: CallingKey): Promise<readonly AppliedGuardrail[]>;
}

/** What a hold of the policy service is found by. */
export type HoldKey = Pick<RequestFacts, "namespaceId" | "keyId" | "requestId">;

/** What a request really used. */
export interface Used {
  readonly costNanoUsd: bigint;
  /** Input and output together. */
  readonly tokens: number;
}

/** What the policy service is to be told of a hold; one of which nothing was used is released. */
export interface HoldEnd extends HoldKey, Used {
  /** Whether nothing went upstream. */
  readonly neverSent: boolean;
}

/** A `HoldEnd` on this gateway's disk, until the policy service knows it. */
export type Debt = number;

export type Outcome = "succeeded" | "failed" | "cancelled" | "denied";

/** How a request ended and what is charged for it. */
export interface Settlement extends ReceiptFacts, Decisions {
  readonly outcome: Outcome;
  readonly completedAt: Date;
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly costNanoUsd: bigint;
  /** As the admission said; 0 if it was denied. */
  readonly reservedNanoUsd: bigint;
  /** True if the usage is not known, so that the bounds of the reservation, or a count that was not final, stand in for it. */
  readonly estimated: boolean;
  /** What the client got. */
  readonly httpStatus: number;
  /** `code` in the client's envelope; empty if there was none. */
  readonly errorCode: string;
  /** Only with outcome `denied`; else empty. */
  readonly deniedByPolicyId: string;
  readonly deniedByBindingId: string;
  /** Which of the policy's rules, e.g. `budget`. */
  readonly deniedRule: string;
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

/** What policies decided about a request, beyond whether they admit it. */
export interface Decisions {
  /** What bindings in shadow mode would have refused it for. */
  readonly shadowDenials: readonly ShadowDenial[];
  /** What content patterns did to it and to its answer. */
  readonly guardrailDecisions: readonly GuardrailDecision[];
}

/** What one content pattern of a guardrail did. Never what it matched. */
export interface GuardrailDecision {
  readonly policyId: string;
  readonly bindingId: string;
  readonly rule: string;
  /** Its name; empty if there was more than can be judged. */
  readonly pattern: string;
  /** How many stretches of text it redacted, also where another pattern then blocked all of it. */
  readonly requestRedactions: number;
  readonly responseRedactions: number;
  readonly blocked: "request" | "response" | undefined;
}

/** A rule that would have refused a request, were its binding not in shadow mode. */
export interface ShadowDenial {
  readonly policyId: string;
  readonly bindingId: string;
  readonly rule: string;
}

/**
 * The most that the request can cost, whether or not a budget holds it: what is charged if nobody ever says how it ended, and
 * from when on. 0 only where the price is.
 */
export interface Reservation {
  readonly reservedNanoUsd: bigint;
  readonly expiresAt: Date;
  readonly price: AppliedPrice;
  readonly admittedAt: Date;
}

/**
 * Where usage, and what the policy service is owed, is recorded before it counts anywhere. What a method returned from is on
 * this gateway's disk: the next process there carries on if this one is killed.
 */
export interface UsageLog {
  /** What earlier processes did not get done. */
  readonly unpaid: readonly { readonly debt: Debt; readonly end: HoldEnd }[];
  /**
   * A hold is about to be asked for: whatever happens, it is ended.
   *
   * @throws DomainError UNAVAILABLE if no new requests are taken
   */
  asking(hold: HoldKey): Debt;
  /**
   * The request may go upstream once this returns. `asked` is paid: the reservation is in the usage log from now on.
   *
   * @returns a promise that resolves once the admission survives the loss of this machine's power too. It rejects with
   * DomainError UNAVAILABLE, in bounded time
   * @throws DomainError UNAVAILABLE if it cannot be recorded at all
   */
  admitted(facts: RequestFacts, reservation: Reservation, asked: Debt): { readonly durable: Promise<void> };
  /** How it ended, and what the policy service is owed for it, if anything. `asked` is paid if it was not. */
  settled(facts: RequestFacts, settlement: Settlement, end: HoldEnd | undefined, asked: Debt): Debt;
  /** The policy service knows, or has nothing to know. */
  paid(debt: Debt): void;
  /** Denied requests that have no row: counted once, whatever becomes of this process afterwards. */
  deniedUnlogged(denials: UnloggedDenials): void;
}

/** The client's side of a request. Writing waits for the client to take what it has: nothing piles up here. */
export interface Reply {
  /** Aborted when the request is cut, by its client or by the gateway; the reason is a `CutReason`. */
  readonly signal: AbortSignal;
  /** Ends the request early, unless it has ended. */
  cut(reason: CutReason): void;
  /** Whether the first byte has left. */
  readonly begun: boolean;
  /** Headers of the answer, whatever it will be. Before the first byte. */
  announce(headers: Readonly<Record<string, string>>): void;
  begin(status: number, headers: Readonly<Record<string, string>>): void;
  /** @throws Error if the client is gone or the request was cut */
  write(bytes: Uint8Array): Promise<void>;
  /** Sends the rest and resolves with whether the client took all of it. */
  end(bytes?: Uint8Array): Promise<boolean>;
}

export type CutReason =
  | "client_gone"
  | "too_long"
  | "stopping"
  | "not_durable"
  /** The upstream went on beyond the output bound that it was given: nothing is reserved for that. */
  | "reservation_exhausted"
  /** What became of the key; `dependency_unavailable` if that could not be known for too long. */
  | "api_key_revoked"
  | "api_key_expired"
  | "insufficient_scope"
  | "dependency_unavailable";
