import type { Logger } from "@routeplane/runtime";
import type { RequestContext } from "../request-context.ts";
import type { TokenBounds } from "../request/token-bounds.ts";
import type { RelayResult } from "../response/relay-result.ts";
import { type Charge, chargeFor, costBound } from "./charge.ts";
import type { RequestFacts } from "./request-facts.ts";
import type { AnsweredBy } from "./usage.ts";
import type { EstimatedRequest } from "./usage-estimate.ts";
import type { Model } from "../request/model-directory.ts";

/** Multiple of the reservation above which a charge means that a bound is wrong, rather than an error in counting. */
const OVERRUN_ALARM = 2n;

type BilledModelFor = RequestContext["billedModelFor"];

/** Charge for an answer, by the model that answered. */
export function settledCharge(
  result: RelayResult,
  { model, billedModelFor }: Pick<RequestContext, "model" | "billedModelFor">,
  request: EstimatedRequest,
): Charge {
  const { answeredBy = {}, billable } = result;
  const answering = billedModelFor(answeredBy);
  const isKnown = result.usage !== undefined;
  const billed = isKnown ? answering : dearerOf(answering, billedModelFor, answeredBy, request.granted);
  const billedModel = billed.id !== model.id && billable ? billed.id : undefined;
  return {
    ...chargeFor(result, billed, request),
    billedModel,
    serviceTier: billable ? answeredBy.serviceTier : undefined,
  };
}

/** Model by which unknown usage is charged: the requested one, or the answering one where that is dearer. */
function dearerOf(
  answering: Model,
  billedModelFor: BilledModelFor,
  answeredBy: AnsweredBy,
  granted: TokenBounds,
): Model {
  const { model: _, ...servedBy } = answeredBy;
  const requested = billedModelFor(servedBy);
  return costBound(answering, granted) <= costBound(requested, granted) ? requested : answering;
}

/** Logs what an operator should know of a charge. */
export function reportCharge(
  { costNanoUsd, billedModel }: Charge,
  reservedNanoUsd: bigint,
  { requestId, namespaceId, keyId, provider, model }: RequestFacts,
  log: Logger,
): void {
  if (billedModel === undefined && costNanoUsd <= reservedNanoUsd) return;
  const amounts = { costNanoUsd: String(costNanoUsd), reservedNanoUsd: String(reservedNanoUsd) };
  const fields = { requestId, namespaceId, keyId, provider, model, billedModel, ...amounts };
  if (billedModel !== undefined) log.warn(fields, "upstream answered with another model; its price is charged");
  if (costNanoUsd > reservedNanoUsd * OVERRUN_ALARM) log.error(fields, "charge is a multiple of the reservation");
  else if (costNanoUsd > reservedNanoUsd) log.warn(fields, "charge exceeds reservation");
}
