import { dearestPrice, reservationCost, type TokenPrice } from "@routeplane/admission";
import type { ErrorCode } from "../errors/error-table.ts";
import { type Clock, MAX_REQUEST_COST_NANO_USD, MAX_REQUEST_TOKENS } from "@routeplane/domain";
import { type Model, priceAt } from "../request/model-directory.ts";
import type { AdmissionDecision } from "../ports/admissions.ts";
import type { Decisions, Reservation, Settlement } from "../ports/usage-log.ts";
import { type AppliedPrice, type Attempt, NO_RECEIPT } from "./receipt.ts";
import type { RelayResult } from "../response/relay-result.ts";
import { type EstimatedRequest, estimateUsage } from "./usage-estimate.ts";
import type { MeteredUsage } from "./answer-meter.ts";
import type { RequestContext } from "../request-context.ts";
import type { TokenBounds } from "../request/token-bounds.ts";
import type { TokenUsage } from "./usage.ts";
import { costOfUsage } from "./usage-cost.ts";

/** Upper bound, in nano-USD, of the cost of a request of these bounds. */
export function costBound(model: Model, { inputTokensMax, outputTokensMax }: TokenBounds): bigint {
  return reservationCost(reservedPrice(model, inputTokensMax), BigInt(inputTokensMax), BigInt(outputTokensMax));
}

/** A model with the bounds of a request to it. */
export interface BoundedHop {
  readonly model: Model;
  readonly bounds: TokenBounds;
}

/** Bounds and price that cover a request to any of the hops. */
export function coveringBounds(hops: readonly BoundedHop[]): TokenBounds & { readonly price: TokenPrice } {
  return {
    inputTokensMax: Math.max(...hops.map(({ bounds }) => bounds.inputTokensMax)),
    outputTokensMax: Math.max(...hops.map(({ bounds }) => bounds.outputTokensMax)),
    price: dearestPrice(hops.map(({ model, bounds }) => reservedPrice(model, bounds.inputTokensMax))),
  };
}

/** The hop that can cost most. */
export function dearestHop(hops: readonly BoundedHop[]): BoundedHop {
  const costOf = ({ model, bounds }: BoundedHop): bigint => costBound(model, bounds);
  return hops.reduce((dearest, hop) => (costOf(hop) > costOf(dearest) ? hop : dearest));
}

/** Dearest price that a request with up to this many input tokens may be charged by. */
export function reservedPrice({ prices, use }: Model, inputTokensMax: number): TokenPrice {
  const reached = (use?.reserved ?? prices).filter(
    ({ aboveInputTokens }) => aboveInputTokens < Math.max(inputTokensMax, 1),
  );
  return dearestPrice(reached.map(({ price }) => price));
}

type Admission = Extract<AdmissionDecision, { admitted: true }>;

/** Life of a reservation that the policy service does not have: longer than a request can last. */
const RESERVATION_LIFE_MS = 15 * 60_000;

/**
 * Reservation of an admitted request: the amount that every budget which applies has reserved. Where none applies, it is the
 * bound of the cost: a request whose end is never reported is not free.
 */
export function reservationOf(
  model: Model,
  granted: TokenBounds,
  { reservedNanoUsd, expiresAt }: Pick<Admission, "reservedNanoUsd" | "expiresAt">,
  clock: Clock,
): Reservation {
  const now = clock();
  return {
    reservedNanoUsd: reservedNanoUsd === 0n ? costBound(model, granted) : reservedNanoUsd,
    expiresAt: expiresAt ?? new Date(now + RESERVATION_LIFE_MS),
    price: appliedPrice(model, granted.inputTokensMax),
    admittedAt: new Date(now),
  };
}

/** Charge for an answer, and the counts and price by which it was computed. */
export type Charge = Pick<
  Settlement,
  keyof TokenUsage | "serviceTier" | "costNanoUsd" | "estimated" | "price" | "billedModel"
>;

/**
 * Charge for an answer: the final usage, even beyond the reservation; nothing if the upstream did not do the work; else an
 * estimate. Never more than can be recorded.
 */
export function chargeFor(...[result, model, request]: Parameters<typeof unboundedCharge>): Charge {
  const charge = unboundedCharge(result, model, request);
  const { promptTokens, completionTokens, costNanoUsd } = charge;
  const isWithin =
    promptTokens <= MAX_REQUEST_TOKENS &&
    completionTokens <= MAX_REQUEST_TOKENS &&
    costNanoUsd <= MAX_REQUEST_COST_NANO_USD;
  if (isWithin) return charge;
  return {
    ...charge,
    promptTokens: Math.min(promptTokens, MAX_REQUEST_TOKENS),
    completionTokens: Math.min(completionTokens, MAX_REQUEST_TOKENS),
    costNanoUsd: costNanoUsd < MAX_REQUEST_COST_NANO_USD ? costNanoUsd : MAX_REQUEST_COST_NANO_USD,
    estimated: true,
  };
}

function unboundedCharge(
  result: MeteredUsage & Pick<RelayResult, "billable">,
  model: Model,
  request: EstimatedRequest,
): Charge {
  const { usage, billable } = result;
  if (usage !== undefined) {
    const price = appliedPrice(model, usage.promptTokens);
    const { costNanoUsd, isEstimated } = costOfUsage(model, usage);
    return { ...usage, costNanoUsd, estimated: isEstimated, price };
  }
  if (!billable) {
    const price = appliedPrice(model, request.granted.inputTokensMax);
    return { promptTokens: 0, completionTokens: 0, costNanoUsd: 0n, estimated: false, price };
  }
  const { promptTokens, completionTokens } = estimateUsage(result, request);
  // The parts that the tokens belong to are not known either.
  const costNanoUsd = costBound(model, { inputTokensMax: promptTokens, outputTokensMax: completionTokens });
  return { promptTokens, completionTokens, costNanoUsd, estimated: true, price: appliedPrice(model, promptTokens) };
}

function appliedPrice(model: Model, inputTokens: number): AppliedPrice {
  return { version: model.priceVersion, ...priceAt(model, inputTokens) };
}

const NOT_DENIED = { deniedByPolicyId: "", deniedByBindingId: "", deniedRule: "" };

/** Settlement of an admitted request whose answer was relayed, or failed to arrive. */
export function settlementOf(
  charge: Charge,
  { outcome, httpStatus, errorCode, upstreamStatus, upstreamRequestId, upstreamError }: RelayResult,
  { reservedNanoUsd, admittedAt }: Reservation,
  { decisions, timings, completedAt, attempts = [] }: SettledRequest,
): Settlement {
  return {
    ...charge,
    outcome,
    httpStatus,
    errorCode,
    completedAt,
    upstreamStatus,
    upstreamRequestId,
    upstreamError,
    deniedByPolicyId: "",
    deniedByBindingId: "",
    deniedRule: "",
    shadowDenials: decisions.shadowDenials,
    guardrailDecisions: decisions.guardrailDecisions,
    reservedNanoUsd,
    admittedAt,
    firstTokenMs: timings.firstTokenMs,
    upstreamMs: timings.upstreamMs,
    attempts,
  };
}

interface SettledRequest extends Pick<RequestContext, "timings"> {
  readonly decisions: Decisions;
  readonly completedAt: Date;
  readonly attempts?: readonly Attempt[] | undefined;
}

/**
 * Settlement of an admitted request that a fault of the gateway ended. Computes nothing that could throw once more.
 *
 * @param fault.billable true if the upstream may have worked: then the reservation is charged
 * @param reservation undefined if the fault came before it was known, and so before anything was sent
 */
export function faultSettlement(
  fault: { readonly httpStatus: number; readonly billable: boolean },
  { inputTokensMax, outputTokensMax }: TokenBounds,
  reservation: Reservation | undefined,
  { shadowDenials, guardrailDecisions, attempts = [] }: Decisions & Pick<SettledRequest, "attempts">,
): Settlement {
  const { httpStatus, billable } = fault;
  const reservedNanoUsd = reservation?.reservedNanoUsd ?? 0n;
  const charged = billable
    ? { promptTokens: inputTokensMax, completionTokens: outputTokensMax, costNanoUsd: reservedNanoUsd }
    : { promptTokens: 0, completionTokens: 0, costNanoUsd: 0n };
  const receipt = { ...NO_RECEIPT, price: reservation?.price, admittedAt: reservation?.admittedAt };
  const decided = { ...NOT_DENIED, shadowDenials, guardrailDecisions };
  const errorCode: ErrorCode = "internal_error";
  const ended = { outcome: "failed", httpStatus, errorCode, completedAt: new Date() } as const;
  return { ...receipt, attempts, ...charged, estimated: billable, reservedNanoUsd, ...decided, ...ended };
}
