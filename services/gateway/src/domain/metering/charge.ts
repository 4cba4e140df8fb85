import { requestCost, reservationCost } from "@routeplane/admission";
import type { Clock } from "@routeplane/domain";
import { type Model, priceAt } from "../request/model-directory.ts";
import type { AdmissionDecision } from "../ports/admissions.ts";
import type { Decisions, Reservation, Settlement } from "../ports/usage-log.ts";
import { type AppliedPrice, NO_RECEIPT } from "./receipt.ts";
import type { RelayResult } from "../response/relay.ts";
import type { Timings } from "./timings.ts";
import type { TokenBounds } from "../request/token-bounds.ts";

/** The most that a request of these bounds costs. Nano-USD. */
export function costBound(model: Model, { inputTokensMax, outputTokensMax }: TokenBounds): bigint {
  return reservationCost(priceAt(model, inputTokensMax), BigInt(inputTokensMax), BigInt(outputTokensMax));
}

type Held = Pick<Extract<AdmissionDecision, { admitted: true }>, "reservedNanoUsd" | "expiresAt">;

/** Life of a reservation without a hold: longer than a request can last. */
const RESERVED_FOR_MS = 15 * 60_000;

/**
 * What every budget that applies holds. Where none does nothing is held, and yet a request of which nothing is heard is not
 * free.
 */
export function reservationOf(
  model: Model,
  granted: TokenBounds,
  { reservedNanoUsd, expiresAt }: Held,
  clock: Clock,
): Reservation {
  const now = clock();
  return {
    reservedNanoUsd: reservedNanoUsd === 0n ? costBound(model, granted) : reservedNanoUsd,
    expiresAt: expiresAt ?? new Date(now + RESERVED_FOR_MS),
    price: appliedPrice(model, granted.inputTokensMax),
    admittedAt: new Date(now),
  };
}

export type Charge = Pick<
  Settlement,
  | "promptTokens"
  | "completionTokens"
  | "cachedPromptTokens"
  | "reasoningTokens"
  | "costNanoUsd"
  | "estimated"
  | "price"
  | "billedModel"
>;

/**
 * Charge for an answer: the final usage, even beyond the reservation; nothing if the upstream did not do the work; else the
 * reservation, or what the upstream had reported by then where that is more, as an estimate. A client that leaves early cannot
 * pay less than that: how far the upstream went on is not known.
 */
export function chargeFor(
  relayed: Pick<RelayResult, "usage" | "reported" | "billable">,
  model: Model,
  granted: TokenBounds,
): Charge {
  const { usage, reported, billable } = relayed;
  if (usage !== undefined) {
    const price = appliedPrice(model, usage.promptTokens);
    const costNanoUsd = requestCost(price, BigInt(usage.promptTokens), BigInt(usage.completionTokens));
    return { ...usage, costNanoUsd, estimated: false, price };
  }
  const untold = { cachedPromptTokens: undefined, reasoningTokens: undefined };
  const price = appliedPrice(model, granted.inputTokensMax);
  if (!billable) return { promptTokens: 0, completionTokens: 0, ...untold, costNanoUsd: 0n, estimated: false, price };
  const promptTokens = Math.max(granted.inputTokensMax, reported?.promptTokens ?? 0);
  const completionTokens = Math.max(granted.outputTokensMax, reported?.completionTokens ?? 0);
  const costNanoUsd = costBound(model, { inputTokensMax: promptTokens, outputTokensMax: completionTokens });
  const estimate = { promptTokens, completionTokens, costNanoUsd, estimated: true };
  return { ...estimate, ...untold, price: appliedPrice(model, promptTokens) };
}

function appliedPrice(model: Model, inputTokens: number): AppliedPrice {
  return { version: model.priceVersion, ...priceAt(model, inputTokens) };
}

const NOT_DENIED = { deniedByPolicyId: "", deniedByBindingId: "", deniedRule: "" };

/** The record of a request that was admitted. */
export function settlementOf(
  charge: Charge,
  { outcome, httpStatus, errorCode }: RelayResult,
  { reservedNanoUsd, admittedAt }: Reservation,
  { shadowDenials, guardrailDecisions }: Decisions,
  { firstTokenMs, upstreamMs }: Timings,
  clock: Clock,
): Settlement {
  const ended = { outcome, httpStatus, errorCode, completedAt: new Date(clock()) };
  const decided = { ...NOT_DENIED, shadowDenials, guardrailDecisions };
  return { ...charge, ...ended, ...decided, reservedNanoUsd, admittedAt, firstTokenMs, upstreamMs };
}

/**
 * The record of a request that was admitted and that a fault of the gateway ended. Computes nothing that could throw once more.
 *
 * @param billable whether the upstream may have worked: then the reservation is charged
 * @param reservation undefined if the fault came before it was known, and so before anything was sent
 */
export function faultSettlement(
  { httpStatus, billable }: { readonly httpStatus: number; readonly billable: boolean },
  { inputTokensMax, outputTokensMax }: TokenBounds,
  reservation: Reservation | undefined,
  { shadowDenials, guardrailDecisions }: Decisions,
): Settlement {
  const reservedNanoUsd = reservation?.reservedNanoUsd ?? 0n;
  const charged = billable
    ? { promptTokens: inputTokensMax, completionTokens: outputTokensMax, costNanoUsd: reservedNanoUsd }
    : { promptTokens: 0, completionTokens: 0, costNanoUsd: 0n };
  const receipt = { ...NO_RECEIPT, price: reservation?.price, admittedAt: reservation?.admittedAt };
  const decided = { ...NOT_DENIED, shadowDenials, guardrailDecisions };
  const ended = { outcome: "failed", httpStatus, errorCode: "internal_error", completedAt: new Date() } as const;
  return { ...receipt, ...charged, estimated: billable, reservedNanoUsd, ...decided, ...ended };
}
