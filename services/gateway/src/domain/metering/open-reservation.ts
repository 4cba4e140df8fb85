import { type Clock, definedFields } from "@routeplane/domain";
import type { Logger } from "@routeplane/runtime";
import {
  type Charge,
  chargeFor,
  costBound,
  faultSettlement,
  reservationOf,
  reservedPrice,
  settlementOf,
} from "./charge.ts";
import type { DenialRecorder } from "./denial-recorder.ts";
import { repetitionOf } from "../request/idempotency-key.ts";
import type {
  AdmissionDecision,
  AdmissionRequest,
  Admissions,
  LocalAdmissions,
  ReservationKey,
  SlicedAdmission,
} from "../ports/admissions.ts";
import type { OutboxOffset, Reservation, Settlement, UsageLog } from "../ports/usage-log.ts";
import { rateLimitHeaders } from "../response/rate-limit-headers.ts";
import { dependencyDown, limitExceeded } from "../errors/refusal.ts";
import type { Model } from "../request/model-directory.ts";
import type { AnsweredBy } from "./usage.ts";
import type { RelayResult } from "../response/relay-result.ts";
import type { EstimatedRequest } from "./usage-estimate.ts";
import type { Settlements } from "./settlements.ts";
import type { RequestContext } from "../request-context.ts";
import type { TokenCounter } from "../ports/token-counter.ts";
import { type LooseBounds, tightenBounds, type TokenBounds } from "../request/token-bounds.ts";

export interface ReservationDependencies {
  /** Admission in this process; absent: the policy service admits every request. */
  readonly localAdmissions?: LocalAdmissions | undefined;
  readonly admissions: Admissions;
  readonly usageLog: UsageLog;
  readonly settlements: Settlements;
  readonly denialRecorder: DenialRecorder;
  readonly tokenCounter: TokenCounter;
  readonly log: Logger;
  readonly clock: Clock;
}

/** Multiple of the reservation above which a charge means that a bound is wrong, rather than an error in counting. */
const OVERRUN_ALARM = 2n;

/** Rules that deny whatever the bounds of a request are. */
const UNBOUNDED_RULES: ReadonlySet<string> = new Set(["rate_limit.max_requests", "rate_limit.max_concurrent"]);

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
}

/** Answer of the admission in this process. */
type LocalDecision = ReturnType<LocalAdmissions["admit"]>;

/** Upper bounds of a request that are to be reserved. */
export type RequestedReservation = LooseBounds & Pick<AdmissionRequest, "choices" | "idempotencyKey">;

/**
 * Reservation of one request, from just before its admission is requested until it is settled. It is settled exactly once,
 * whatever throws in between, provided that `close` is called in the end: a request that certainly never left is free, and one
 * that may have been sent without its usage being known is charged as reserved.
 */
export class OpenReservation {
  readonly #dependencies: ReservationDependencies;
  readonly #request: ReservedRequest;
  /** Release that was enqueued before the policy service was asked, or unknown end of a request on slices; undefined without one. */
  #pendingRelease: OutboxOffset | undefined;
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
  }

  get #key(): ReservationKey {
    const { namespaceId, keyId, requestId } = this.#request.facts;
    return { namespaceId, keyId, requestId };
  }

  /**
   * Reserves the most that the request can use. Loose bounds that do not fit are tightened first, so that they neither refuse
   * the request nor lower its output.
   *
   * @returns the bounds that were granted, or a promise of them where another process has to be asked
   * @throws Refusal 402 or 429 if that does not fit; 409 if the request repeats another; 503 if the policy service does not answer
   */
  admit(requested: RequestedReservation): TokenBounds | Promise<TokenBounds> {
    const request = this.#admissionRequestOf(requested, requested.loose !== undefined);
    const local = this.#dependencies.localAdmissions?.admit(request);
    const isDecided = local !== undefined && !(local instanceof Promise) && local.admitted;
    return isDecided ? this.#conclude(requested, requested, local) : this.#admitLater(requested, request, local);
  }

  async #admitLater(
    requested: RequestedReservation,
    request: AdmissionRequest,
    local: LocalDecision,
  ): Promise<TokenBounds> {
    const { bounds, decision } = await this.#decide(requested, request, local);
    return this.#conclude(requested, bounds, decision);
  }

  #conclude(
    requested: RequestedReservation,
    { inputTokensMax }: TokenBounds,
    decision: AdmissionDecision,
  ): TokenBounds {
    const { clock, denialRecorder } = this.#dependencies;
    const { facts, caller, model, reply, decisions } = this.#request;
    if (decision.admitted) {
      const granted = { inputTokensMax, outputTokensMax: decision.outputTokensMax };
      const { slices } = decision;
      const hasReservation = decision.expiresAt !== undefined;
      this.#admission = { granted, choices: requested.choices, hasReservation, slices };
      this.#reservation = reservationOf(model, granted, decision, clock);
    }
    const nowMs = clock();
    reply.announce(rateLimitHeaders(decision, nowMs));
    for (const shadowDenial of decision.shadowDenials) decisions.addShadow(shadowDenial);
    if (decision.admitted) return { inputTokensMax, outputTokensMax: decision.outputTokensMax };
    const { denial } = decision;
    const refusal = limitExceeded(denial, nowMs);
    const pendingRelease = this.#pendingRelease;
    this.#isOver = true;
    denialRecorder.record({ facts, caller, refusal, denial, decisions, ...definedFields({ pendingRelease }) });
    throw refusal;
  }

  /** Requests an admission; of loose bounds that are denied, and of which nothing is recorded, once more after a count. */
  async #decide(
    requested: RequestedReservation,
    request: AdmissionRequest,
    local: LocalDecision,
  ): Promise<{ readonly bounds: TokenBounds; readonly decision: AdmissionDecision }> {
    const isLoose = requested.loose !== undefined;
    const first = await this.#requestAdmission(request, local);
    const isFinal = first.admitted || !isLoose || UNBOUNDED_RULES.has(first.denial.rule);
    if (isFinal) return { bounds: requested, decision: first };
    const bounds = await tightenBounds(requested, this.#dependencies.tokenCounter);
    const tightened = this.#admissionRequestOf({ ...requested, ...bounds }, false);
    const secondLocal = this.#dependencies.localAdmissions?.admit(tightened);
    return { bounds, decision: await this.#requestAdmission(tightened, secondLocal) };
  }

  #admissionRequestOf(requested: RequestedReservation, refuseRatherThanLower: boolean): AdmissionRequest {
    const { inputTokensMax, outputTokensMax, choices, idempotencyKey } = requested;
    const { facts, caller, model } = this.#request;
    return {
      namespaceId: facts.namespaceId,
      requestId: facts.requestId,
      lineage: caller.lineage,
      price: reservedPrice(model, inputTokensMax),
      inputTokensMax,
      outputTokensMax,
      choices,
      refuseRatherThanLower,
      idempotencyKey,
    };
  }

  /** Waits for the local decision, and asks the policy service if there is none. */
  async #requestAdmission(request: AdmissionRequest, local: LocalDecision): Promise<AdmissionDecision> {
    const decided = await local;
    if (decided !== undefined) return decided;
    const { localAdmissions, admissions, usageLog } = this.#dependencies;
    this.#pendingRelease ??= usageLog.enqueueRelease(this.#key);
    const keep = localAdmissions?.ask(request);
    try {
      const decision = await admissions.admit(request);
      keep?.(decision);
      return decision;
    } catch (error) {
      throw repetitionOf(error) ?? error;
    }
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
    if (slices === undefined) return usageLog.recordAdmission(facts, reservation, this.#pendingRelease).committed;
    // The process may have been paused since the admission: a session that is over has no amounts any more.
    if (!slices.maySend) throw dependencyDown("policy", new Error("the gateway session is over"));
    const onAcknowledged = (): void => slices.acknowledgeAdmission();
    const pendingRelease = this.#pendingRelease;
    const recorded = usageLog.recordAdmission(facts, reservation, pendingRelease, { slices, onAcknowledged });
    this.#pendingRelease = recorded.pendingEnd;
    return recorded.committed;
  }

  /** Records that from now on the upstream may have the request, and work for it. */
  markSent(): void {
    this.#isSent = true;
    this.#isBillable = true;
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
    const { granted, choices } = this.#admission;
    const { streamed } = this.#request.facts;
    const estimated = { granted, choices, streamed, unseenWorkMs: timings.unseenWorkMs };
    const charge = this.#chargeOf(result, estimated, reservation);
    const completedAt = new Date(this.#dependencies.clock());
    const settlement = settlementOf(charge, result, reservation, { decisions, timings, completedAt });
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
    const { granted } = this.#admission;
    const { reply, decisions } = this.#request;
    const fault = { httpStatus: reply.begun ? 200 : 500, billable: this.#isBillable };
    this.#end(faultSettlement(fault, granted, this.#reservation, decisions), this.#admission, !this.#isSent);
  }

  #end(settlement: Settlement, { hasReservation, slices }: ReservedAdmission, neverSent: boolean): void {
    this.#isOver = true;
    const admission = { hasReservation, neverSent, pendingRelease: this.#pendingRelease, slices };
    this.#dependencies.settlements.settle(this.#request.facts, settlement, admission);
  }

  #chargeOf(result: RelayResult, request: EstimatedRequest, { reservedNanoUsd }: Reservation): Charge {
    const { model, billedModelFor } = this.#request;
    const { answeredBy = {}, billable } = result;
    const answering = billedModelFor(answeredBy);
    const billed = result.usage === undefined ? this.#dearerOf(answering, answeredBy, request.granted) : answering;
    const charge = chargeFor(result, billed, request);
    const billedModel = billed.id !== model.id && billable ? billed.id : undefined;
    this.#report(charge, reservedNanoUsd, billedModel);
    return { ...charge, billedModel, serviceTier: billable ? answeredBy.serviceTier : undefined };
  }

  /** Model by which unknown usage is charged: the requested one, or the answering one where that is dearer. */
  #dearerOf(answering: Model, answeredBy: AnsweredBy, granted: TokenBounds): Model {
    const { model: _, ...servedBy } = answeredBy;
    const requested = this.#request.billedModelFor(servedBy);
    return costBound(answering, granted) <= costBound(requested, granted) ? requested : answering;
  }

  /** Logs what an operator should know of a charge. */
  #report({ costNanoUsd }: Charge, reservedNanoUsd: bigint, billedModel: string | undefined): void {
    if (billedModel === undefined && costNanoUsd <= reservedNanoUsd) return;
    const { log } = this.#dependencies;
    const { requestId, namespaceId, keyId, provider, model } = this.#request.facts;
    const amounts = { costNanoUsd: String(costNanoUsd), reservedNanoUsd: String(reservedNanoUsd) };
    const fields = { requestId, namespaceId, keyId, provider, model, billedModel, ...amounts };
    if (billedModel !== undefined) log.warn(fields, "the upstream answered with another model, whose price is charged");
    if (costNanoUsd > reservedNanoUsd * OVERRUN_ALARM) log.error(fields, "the charge is a multiple of the reservation");
    else if (costNanoUsd > reservedNanoUsd) log.warn(fields, "the charge exceeds the reservation");
  }
}
