import type { Clock } from "@routeplane/domain";
import type { Logger } from "@routeplane/runtime";
import { type Charge, chargeFor, costBound, faultSettlement, reservationOf, settlementOf } from "./charge.ts";
import type { DecisionLog } from "../guardrails/decision-log.ts";
import { limitExceeded } from "../errors/limit-exceeded.ts";
import type { Denials } from "./denial-recorder.ts";
import { repetitionOf } from "../request/idempotency-key.ts";
import { type Model, priceAt } from "../request/model-directory.ts";
import type {
  AdmissionRequest,
  Admissions,
  CallingKey,
  Debt,
  HoldKey,
  Reply,
  RequestFacts,
  Reservation,
  Settlement,
  UsageLog,
} from "../ports.ts";
import { rateLimitHeaders } from "../response/rate-limit-headers.ts";
import { dependencyDown } from "../errors/refusal.ts";
import type { Relayed } from "../response/relay.ts";
import type { Settlements } from "./settlements.ts";
import type { Timings } from "./timings.ts";
import type { TokenBounds } from "../request/token-bounds.ts";
import type { AnsweredBy } from "./usage.ts";

export interface ReservationDependencies {
  readonly admissions: Admissions;
  readonly usageLog: UsageLog;
  readonly settlements: Settlements;
  readonly denials: Denials;
  readonly log: Logger;
  readonly clock: Clock;
}

/** A charge beyond so many times the reservation means that a bound does not hold, and no longer a slip in counting. */
const OVERRUN_ALARM = 2n;

/** A request that is asked for, and what its settlement is made of. */
export interface ReservedRequest {
  readonly facts: RequestFacts;
  readonly caller: CallingKey;
  readonly model: Model;
  /** The model at the price that is charged for an answer. */
  readonly billedFor: (answeredBy: AnsweredBy) => Model;
  readonly reply: Reply;
  readonly decisions: DecisionLog;
  readonly timings: Timings;
}

export type Asking = TokenBounds & Pick<AdmissionRequest, "choices" | "idempotencyKey">;

/**
 * The reservation of one request, from just before the policy service is asked for it until it is settled. It is settled
 * exactly once, whatever throws in between, provided that `close` is called in the end: what certainly never left is free, and
 * what may have been sent without its usage being known is charged as reserved.
 */
export class OpenReservation {
  readonly #dependencies: ReservationDependencies;
  readonly #request: ReservedRequest;
  /** The debt that was recorded before the policy service was asked. */
  readonly #asked: Debt;
  /** Set once it is admitted; `held` if the policy service counts it. */
  #admission: { readonly granted: TokenBounds; readonly held: boolean } | undefined;
  #reservation: Reservation | undefined;
  #isSent = false;
  /** True if the upstream may have worked for the request. */
  #isBillable = false;
  #isOver = false;

  /** @throws DomainError UNAVAILABLE, or Refusal 503, if nothing new is taken */
  constructor(dependencies: ReservationDependencies, request: ReservedRequest) {
    const { settlements, usageLog } = dependencies;
    if (!settlements.hasRoom()) throw dependencyDown("policy", new Error("too many settlements wait"));
    this.#dependencies = dependencies;
    this.#request = request;
    this.#asked = usageLog.asking(this.#holdKey);
  }

  get #holdKey(): HoldKey {
    const { namespaceId, keyId, requestId } = this.#request.facts;
    return { namespaceId, keyId, requestId };
  }

  /**
   * Reserves the most that the request can use.
   *
   * @returns the bounds that were granted
   * @throws Refusal 402 or 429 if that does not fit; 409 if it is the repetition of another; 503 if it cannot be known
   */
  async admit(asking: Asking): Promise<TokenBounds> {
    const { admissions, clock } = this.#dependencies;
    const { facts, caller, model, reply, decisions } = this.#request;
    const { namespaceId, requestId } = facts;
    const price = priceAt(model, asking.inputTokensMax);
    const decision = await admissions
      .admit({ namespaceId, requestId, lineage: caller.lineage, price, ...asking })
      .catch((error: unknown) => {
        throw repetitionOf(error) ?? error;
      });
    const { inputTokensMax } = asking;
    if (decision.admitted) {
      const granted = { inputTokensMax, outputTokensMax: decision.outputTokensMax };
      this.#admission = { granted, held: decision.expiresAt !== undefined };
      this.#reservation = reservationOf(model, granted, decision, clock);
    }
    const nowMs = clock();
    reply.announce(rateLimitHeaders(decision, nowMs));
    for (const each of decision.shadowDenials) decisions.addShadow(each);
    if (decision.admitted) return { inputTokensMax, outputTokensMax: decision.outputTokensMax };
    const { denial } = decision;
    const refusal = limitExceeded(denial, nowMs);
    this.#isOver = true;
    this.#dependencies.denials.record({ facts, caller, refusal, denial, decisions, asked: this.#asked });
    throw refusal;
  }

  /**
   * Records the admission. The request may go upstream once this returns.
   *
   * @returns a promise that resolves once the record is durable, and rejects with DomainError UNAVAILABLE
   * @throws DomainError UNAVAILABLE if it cannot be recorded at all
   */
  record(): Promise<void> {
    if (this.#reservation === undefined) throw new Error("the request is not admitted");
    return this.#dependencies.usageLog.admitted(this.#request.facts, this.#reservation, this.#asked).durable;
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

  /** Settles an admitted request by how its answer went. */
  settle(relayed: Relayed): void {
    this.#isBillable = relayed.billable;
    const { decisions, timings } = this.#request;
    if (this.#admission === undefined || this.#reservation === undefined)
      throw new Error("the request is not admitted");
    const { granted, held } = this.#admission;
    const charge = this.#chargeOf(relayed, granted);
    const settlement = settlementOf(charge, relayed, this.#reservation, decisions, timings, this.#dependencies.clock);
    this.#end(settlement, held, relayed.neverSent === true);
  }

  /** Settles the request if something threw before that was done. */
  close(): void {
    if (this.#isOver) return;
    if (this.#admission === undefined) {
      this.#isOver = true;
      this.#dependencies.settlements.release(this.#holdKey, this.#asked);
      return;
    }
    const { granted, held } = this.#admission;
    const { reply, decisions } = this.#request;
    const fault = { httpStatus: reply.begun ? 200 : 500, billable: this.#isBillable };
    this.#end(faultSettlement(fault, granted, this.#reservation, decisions), held, !this.#isSent);
  }

  #end(settlement: Settlement, held: boolean, neverSent: boolean): void {
    this.#isOver = true;
    this.#dependencies.settlements.settle(this.#request.facts, settlement, { held, neverSent, asked: this.#asked });
  }

  #chargeOf(relayed: Relayed, granted: TokenBounds): Charge {
    const { model, billedFor } = this.#request;
    const answered = billedFor(relayed.answeredBy ?? {});
    // What is not known is charged as reserved, or dearer where the answer is.
    const isEstimate = relayed.usage === undefined;
    const billed = isEstimate && costBound(answered, granted) <= costBound(model, granted) ? model : answered;
    const charge = chargeFor(relayed, billed, granted);
    const isOther = billed.id !== model.id && relayed.billable;
    this.#report(charge, isOther ? billed.id : undefined);
    return isOther ? { ...charge, billedModel: billed.id } : charge;
  }

  /** Logs what an operator should know of a charge. */
  #report({ costNanoUsd }: Charge, billedModel: string | undefined): void {
    const { facts } = this.#request;
    const { log } = this.#dependencies;
    const reservedNanoUsd = this.#reservation?.reservedNanoUsd ?? 0n;
    const { requestId, namespaceId, keyId, provider, model } = facts;
    const amounts = { costNanoUsd: String(costNanoUsd), reservedNanoUsd: String(reservedNanoUsd) };
    const fields = { requestId, namespaceId, keyId, provider, model, billedModel, ...amounts };
    if (billedModel !== undefined) log.warn(fields, "the upstream answered with another model, whose price is charged");
    if (costNanoUsd > reservedNanoUsd * OVERRUN_ALARM) log.error(fields, "the charge is a multiple of the reservation");
    else if (costNanoUsd > reservedNanoUsd) log.warn(fields, "the charge exceeds the reservation");
  }
}
