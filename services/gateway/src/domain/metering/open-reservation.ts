import { type Clock, definedFields } from "@routeplane/domain";
import type { Logger } from "@routeplane/runtime";
import {
  type AdmissionDependencies,
  AdmissionRequests,
  type DecidedAdmission,
  type RequestedReservation,
} from "./admission-requests.ts";
import { AttemptRecord, type ReservedHop } from "./attempt-record.ts";
import { type BoundedHop, dearestHop, faultSettlement, reservationOf, settlementOf } from "./charge.ts";
import type { DenialRecorder } from "./denial-recorder.ts";
import type { ReservationKey, SlicedAdmission } from "../ports/admissions.ts";
import type { OutboxOffset, Reservation, Settlement } from "../ports/usage-log.ts";
import { limitHeaders } from "../response/limit-headers.ts";
import { dependencyDown, limitExceeded } from "../errors/refusal.ts";
import type { RelayResult } from "../response/relay-result.ts";
import type { Attempt } from "./receipt.ts";
import { reportCharge, settledCharge } from "./settled-charge.ts";
import type { Settlements } from "./settlements.ts";
import type { RequestContext } from "../request-context.ts";
import type { TokenBounds } from "../request/token-bounds.ts";

export interface ReservationDependencies extends AdmissionDependencies {
  readonly settlements: Settlements;
  readonly denialRecorder: DenialRecorder;
  readonly log: Logger;
  readonly clock: Clock;
}

/** The part of a request context by which a reservation is made and settled. */
type ReservedRequest = Pick<
  RequestContext,
  "facts" | "caller" | "model" | "billedModelFor" | "reply" | "decisions" | "timings"
>;

/** Admission of a request as it is settled. */
interface ReservedAdmission {
  readonly granted: TokenBounds;
  readonly choices: number;
  /** True if the request counts against a limit, so that its end has to be reported. */
  readonly hasReservation: boolean;
  readonly slices: SlicedAdmission | undefined;
  /** Further models that the reservation covers. */
  readonly covered: readonly ReservedHop[];
}

/**
 * Reservation of one request, from just before its admission is requested until it is settled. It is settled exactly once,
 * whatever throws in between, provided that `close` is called in the end: a request that certainly never left is free, and one
 * that may have been sent without its usage being known is charged as reserved.
 */
export class OpenReservation {
  readonly #dependencies: ReservationDependencies;
  readonly #request: ReservedRequest;
  readonly #requests: AdmissionRequests;
  readonly #attempts: AttemptRecord;
  /** Unknown end of a request on slices, once it was recorded with its admission, which completes the pending release. */
  #pendingEnd: { readonly offset: OutboxOffset | undefined } | undefined;
  /** Set once the request is admitted. */
  #admission: ReservedAdmission | undefined;
  #reservation: Reservation | undefined;
  #isSent = false;
  /** True if the upstream may have worked for the request. */
  #isBillable = false;
  #isOver = false;

  /** @throws DomainError UNAVAILABLE, or Refusal 503, if no new requests are accepted */
  constructor(dependencies: ReservationDependencies, request: ReservedRequest) {
    const { settlements, usageLog } = dependencies;
    if (!settlements.hasCapacity()) throw dependencyDown("policy", new Error("too many settlements are pending"));
    usageLog.requireCapacity();
    this.#dependencies = dependencies;
    this.#request = request;
    this.#requests = new AdmissionRequests(dependencies, request);
    this.#attempts = new AttemptRecord(request);
  }

  /** Release that was enqueued before the policy service was asked, or unknown end of a request on slices; undefined without one. */
  get #pendingRelease(): OutboxOffset | undefined {
    return this.#pendingEnd === undefined ? this.#requests.pendingRelease : this.#pendingEnd.offset;
  }

  get #key(): ReservationKey {
    const { namespaceId, keyId, requestId } = this.#request.facts;
    return { namespaceId, keyId, requestId };
  }

  /**
   * Reserves the most that the request can use. Loose bounds that do not fit are tightened first, so that they neither refuse
   * the request nor lower its output.
   *
   * @param others further models that the request may go to. They are left out where they do not fit: no request is refused, or
   *   lowered, because of a model that it may never go to. `covers` says which are left
   * @returns the bounds that were granted, or a promise of them where another process has to be asked
   * @throws Refusal 402 or 429 if that does not fit; 409 if the request repeats another; 503 if the policy service does not answer
   */
  admit(requested: RequestedReservation, others: readonly ReservedHop[] = []): TokenBounds | Promise<TokenBounds> {
    const decided =
      others.length === 0 ? this.#requests.decide(requested) : this.#requests.decideForAny(requested, others);
    if (!(decided instanceof Promise)) return this.#conclude(requested, decided);
    return decided.then((known) => this.#conclude(requested, known));
  }

  #conclude(requested: RequestedReservation, { bounds, decision, covered }: DecidedAdmission): TokenBounds {
    const { clock, denialRecorder } = this.#dependencies;
    const { facts, caller, model, reply, decisions } = this.#request;
    if (decision.admitted) {
      const granted = { inputTokensMax: bounds.inputTokensMax, outputTokensMax: decision.outputTokensMax };
      const { slices } = decision;
      const hasReservation = decision.expiresAt !== undefined;
      this.#admission = { granted, choices: requested.choices, hasReservation, slices, covered };
      const hops = [{ model, bounds: requested }, ...covered];
      const dearest = dearestHop(hops.map((hop) => ({ model: hop.model, bounds: this.grantedTo(hop) })));
      this.#reservation = reservationOf(dearest.model, dearest.bounds, decision, clock);
    }
    const nowMs = clock();
    reply.announce(limitHeaders(decision, nowMs));
    for (const shadowDenial of decision.shadowDenials) decisions.addShadow(shadowDenial);
    if (decision.admitted) return this.grantedTo({ model, bounds: requested });
    const { denial } = decision;
    const refusal = limitExceeded(denial, nowMs);
    const pendingRelease = this.#pendingRelease;
    this.#isOver = true;
    denialRecorder.record({ facts, caller, refusal, denial, decisions, ...definedFields({ pendingRelease }) });
    throw refusal;
  }

  /** True if the reservation covers a request to this model too. */
  covers(hop: ReservedHop): boolean {
    return this.#admission?.covered.includes(hop) === true;
  }

  /** Bounds that are granted to a request to a model that the reservation covers. */
  grantedTo({ bounds: { inputTokensMax, outputTokensMax } }: BoundedHop): TokenBounds {
    if (this.#admission === undefined) throw new Error("the request is not admitted");
    const { granted } = this.#admission;
    return {
      inputTokensMax: Math.min(granted.inputTokensMax, inputTokensMax),
      outputTokensMax: Math.min(granted.outputTokensMax, outputTokensMax),
    };
  }

  /**
   * Records the admission. The request may go upstream once this returns.
   *
   * @returns a promise that resolves once the record is committed, and rejects with DomainError UNAVAILABLE
   * @throws DomainError UNAVAILABLE if it cannot be recorded at all
   */
  recordAdmission(): Promise<void> {
    const [reservation, slices] = [this.#reservation, this.#admission?.slices];
    if (reservation === undefined) throw new Error("the request is not admitted");
    const { usageLog } = this.#dependencies;
    const { facts } = this.#request;
    const pendingRelease = this.#pendingRelease;
    if (slices === undefined) return usageLog.recordAdmission(facts, reservation, pendingRelease).committed;
    // The process may have been paused since the admission: a session that is over has no amounts any more.
    if (!slices.maySend) throw dependencyDown("policy", new Error("the gateway session is over"));
    const onAcknowledged = (): void => slices.acknowledgeAdmission();
    const recorded = usageLog.recordAdmission(facts, reservation, pendingRelease, { slices, onAcknowledged });
    this.#pendingEnd = { offset: recorded.pendingEnd };
    return recorded.committed;
  }

  /**
   * Records that from now on an upstream may have the request, and work for it. The request is charged by the model that was
   * marked last.
   */
  markSent(hop: ReservedHop): void {
    this.#attempts.begin(hop, this.grantedTo(hop));
    this.#isSent = true;
    this.#isBillable = true;
  }

  /** Records that an attempt failed after which another follows. */
  addFailedAttempt(outcome: Pick<Attempt, "status" | "errorCode">): void {
    this.#attempts.addFailed(outcome);
  }

  /** Records that the upstream has certainly not worked for the request. */
  markRefused(): void {
    this.#isBillable = false;
  }

  /** Settles an admitted request by the result of its relay. */
  settle(result: RelayResult): void {
    this.#isBillable = result.billable;
    const { decisions, timings } = this.#request;
    const reservation = this.#reservation;
    if (this.#admission === undefined || reservation === undefined) throw new Error("the request is not admitted");
    const { choices } = this.#admission;
    const { granted = this.#admission.granted } = this.#attempts;
    const { streamed } = this.#request.facts;
    const estimated = { granted, choices, streamed, unseenWorkMs: timings.unseenWorkMs };
    const charge = settledCharge(result, this.#attempts.current, estimated);
    reportCharge(charge, reservation.reservedNanoUsd, this.#attempts.settledFacts(), this.#dependencies.log);
    const completedAt = new Date(this.#dependencies.clock());
    const attempts = this.#attempts.allWith({ status: result.upstreamStatus, errorCode: result.errorCode });
    const settlement = settlementOf(charge, result, reservation, { decisions, timings, completedAt, attempts });
    this.#end(settlement, this.#admission, result.neverSent === true);
  }

  /** Settles the request if something threw before that was done. */
  close(): void {
    if (this.#isOver) return;
    if (this.#admission === undefined) {
      this.#isOver = true;
      if (this.#pendingRelease !== undefined) this.#dependencies.settlements.release(this.#key, this.#pendingRelease);
      return;
    }
    const { granted = this.#admission.granted, failed: attempts } = this.#attempts;
    const { reply, decisions } = this.#request;
    const fault = { httpStatus: reply.begun ? 200 : 500, billable: this.#isBillable };
    const { shadowDenials, guardrailDecisions } = decisions;
    const known = { shadowDenials, guardrailDecisions, attempts };
    this.#end(faultSettlement(fault, granted, this.#reservation, known), this.#admission, !this.#isSent);
  }

  #end(settlement: Settlement, { hasReservation, slices }: ReservedAdmission, neverSent: boolean): void {
    this.#isOver = true;
    const admission = { hasReservation, neverSent, pendingRelease: this.#pendingRelease, slices };
    this.#dependencies.settlements.settle(this.#attempts.settledFacts(), settlement, admission);
  }
}
