/**
 * Prices of one request at its moment. Every price that may apply to it is reserved; the price of the model and tier that the answer names
 * is charged.
 */
import type { RequestContext } from "../request-context.ts";
import { modelPriceUnknown } from "../errors/refusal.ts";
import { requireAvailableHop } from "../routing/hop-order.ts";
import type { InferenceRequest } from "./inference-request.ts";
import {
  applyMemberRules,
  NO_MEMBER_RULES,
  type PricedMembers,
  pricedTiersOf,
  pricesOfTier,
  surcharged,
} from "./member-rules.ts";
import {
  type Model,
  modelAt,
  type ModelDirectory,
  type ModelUse,
  type PriceStep,
  type PriceSteps,
  resolveModel,
} from "./model-directory.ts";

/**
 * Resolves the model of a request, and its prices as of the moment of the request.
 *
 * @throws Refusal 404 if there is no such model; 503 if neither its provider nor that of any model in its place has a key; 403 if the
 *   operator refuses it because its price is not known; 400 for a member that is not allowed
 */
export function priceRequest(
  directory: ModelDirectory,
  request: InferenceRequest,
  moment: Date,
): Pick<RequestContext, "model" | "billedModelFor"> {
  const model = resolveModel(directory, request.model);
  requireAvailableHop(directory, model);
  return priceModel(directory, request, model, moment);
}

/**
 * Prices a request to a model as of the moment of the request.
 *
 * @throws Refusal 403 if the operator refuses it because its price is not known; 400 for a member that is not allowed
 */
export function priceModel(
  directory: ModelDirectory,
  request: InferenceRequest,
  model: Model,
  moment: Date,
): Pick<RequestContext, "model" | "billedModelFor"> {
  const resolved = modelAt(model, moment);
  if (resolved.isPriceRefused === true) throw modelPriceUnknown(resolved.id);
  const members = applyMemberRules(request, resolved);
  const caching = cachingOf(request, resolved);
  const isFree = request.wire.answer.isFree === true;
  const asked = { ...members, caching, inputAudio: inputAudioOf(request), isFree };
  const plain = isPlain(asked) ? plainModelOf(resolved, asked) : undefined;
  return {
    model: plain?.requested ?? requestedModel(resolved, asked),
    billedModelFor: ({ model: answeringModel = resolved.id, serviceTier }) => {
      const answering = withRulesOf(resolved, directory.findBilled(resolved, answeringModel, moment));
      if (plain !== undefined && answering === resolved && serviceTier === undefined) return plain.billed;
      const billed = billedPrices(answering, members.serviceTier, serviceTier?.trim().toLowerCase());
      return pricedModel(answering, asked, billed, [billed.prices]);
    },
  };
}

/** A model at the prices of requests that ask for nothing but text. */
interface PlainModel {
  readonly requested: Model;
  readonly billed: Model;
}

/**
 * Prices of plain requests, computed once for each model and period: almost all requests are plain, and computing them costs 3 % of one.
 */
const plainModels = new WeakMap<Model, PlainModel>();

function isPlain({ surcharges, serviceTier, hasOutputAudio, caching, inputAudio, isFree }: Asked): boolean {
  const isText = !hasOutputAudio && inputAudio === "none" && !isFree;
  return isText && surcharges.length === 0 && serviceTier === undefined && caching === "usual";
}

function plainModelOf(resolved: Model, asked: Asked): PlainModel {
  const known = plainModels.get(resolved);
  if (known !== undefined) return known;
  const billed = billedPrices(resolved);
  const plain = {
    requested: requestedModel(resolved, asked),
    billed: pricedModel(resolved, asked, billed, [billed.prices]),
  };
  plainModels.set(resolved, plain);
  return plain;
}

function requestedModel(resolved: Model, asked: Asked): Model {
  const { serviceTier } = asked;
  return pricedModel(resolved, asked, billedPrices(resolved, serviceTier), possiblePrices(resolved, serviceTier));
}

/** Adds the operator's prices of service tiers for the requested model to those of the model that answered. */
function withRulesOf(requested: Model, billed: Model): Model {
  if (requested === billed || requested.memberRules === undefined) return billed;
  const { allowed, surcharges } = billed.memberRules ?? NO_MEMBER_RULES;
  return { ...billed, memberRules: { allowed, surcharges: [...surcharges, ...requested.memberRules.surcharges] } };
}

/** Properties of a request that its price depends on. */
interface Asked extends PricedMembers {
  readonly caching: Caching;
  readonly inputAudio: InputAudio;
  /** True if the answer is free: nothing is then billed for the request itself. */
  readonly isFree: boolean;
}

/** Audio in the input of a request: some, perhaps some in a file of unknown kind, or none. */
type InputAudio = "some" | "perhaps" | "none";

function inputAudioOf({ input: { media } }: InferenceRequest): InputAudio {
  if (media.some(({ kind }) => kind === "audio")) return "some";
  return media.some(({ kind }) => kind === "file") ? "perhaps" : "none";
}

/**
 * @param billed prices that are charged
 * @param possible prices of everything that may be charged
 */
function pricedModel(model: Model, asked: Asked, billed: BilledPrices, possible: readonly PriceSteps[]): Model {
  const { surcharges, hasOutputAudio, caching, inputAudio, isFree } = asked;
  const priced = (steps: PriceSteps): PriceSteps => {
    const ofParts = withCaching(surcharged(steps, surcharges), caching);
    return isFree ? withoutRequest(ofParts) : ofParts;
  };
  const use: ModelUse = {
    reserved: possible.flatMap(priced).map((step) => withoutAudio(step, inputAudio !== "none", hasOutputAudio)),
    hasInputAudio: inputAudio === "some",
    hasOutputAudio,
    hasMixedCaching: caching === "mixed",
  };
  const isPriceEstimated = model.isPriceEstimated === true || billed.isEstimated;
  return { ...model, prices: priced(billed.prices), isPriceEstimated, use };
}

/** Tier of a request that leaves the choice to the settings of the operator's account; an answer never names it. */
const AUTOMATIC = "auto";

/** Prices of every tier that may serve a request. A request that names a tier may fall back to the default tier. */
function possiblePrices(model: Model, requestedTier = AUTOMATIC): readonly PriceSteps[] {
  const requested = requestedTier === AUTOMATIC ? undefined : pricesOfTier(model, requestedTier);
  if (requested === undefined) return [model.prices, ...pricedTiersOf(model)];
  return requested === model.prices ? [requested] : [requested, model.prices];
}

interface BilledPrices {
  readonly prices: PriceSteps;
  readonly isEstimated: boolean;
}

/** Prices of the tier that served a request; an estimate if that tier, or the one that was requested, has no price. */
function billedPrices(model: Model, requestedTier = AUTOMATIC, reportedTier = AUTOMATIC): BilledPrices {
  const isReported = reportedTier !== AUTOMATIC;
  const reported = isReported ? pricesOfTier(model, reportedTier) : undefined;
  if (reported !== undefined) return { prices: reported, isEstimated: false };
  const requested = pricesOfTier(model, requestedTier);
  return { prices: requested ?? model.prices, isEstimated: isReported || requested === undefined };
}

/** Life of the caches that a request asks for: the usual one, an hour, or some of each. */
type Caching = "usual" | "hour" | "mixed";

/** Matches a JSON string `1h` that is written with escapes. */
const ESCAPED_HOUR = /"(?:1|\\u0031)(?:h|\\u0068)"/i;

function cachingOf({ text }: InferenceRequest, { prices }: Model): Caching {
  if (prices.every(({ price }) => price.hourCacheWritePicoUsd === undefined)) return "usual";
  const hours = count(text, '"1h"');
  if (hours > 0) return hours === count(text, "cache_control") ? "hour" : "mixed";
  return text.includes("\\u00") && ESCAPED_HOUR.test(text) ? "mixed" : "usual";
}

function count(text: string, wanted: string): number {
  let found = 0;
  for (let at = text.indexOf(wanted); at !== -1; at = text.indexOf(wanted, at + wanted.length)) found++;
  return found;
}

function withCaching(steps: PriceSteps, caching: Caching): PriceSteps {
  if (caching === "usual") return steps;
  const [first, ...rest] = steps;
  const step = ({ aboveInputTokens, price }: PriceStep): PriceStep => ({
    aboveInputTokens,
    price: { ...price, cacheWritePicoUsd: price.hourCacheWritePicoUsd ?? price.cacheWritePicoUsd },
  });
  return [step(first), ...rest.map(step)];
}

/** Leaves out what is billed for a request in addition to its tokens. */
function withoutRequest([first, ...rest]: PriceSteps): PriceSteps {
  const step = ({ aboveInputTokens, price }: PriceStep): PriceStep => ({
    aboveInputTokens,
    price: { ...price, requestPicoUsd: 0n },
  });
  return [step(first), ...rest.map(step)];
}

/** Leaves out the rates of audio that a request does not have: they would reserve several times what text can cost. */
function withoutAudio({ aboveInputTokens, price }: PriceStep, hasInput: boolean, hasOutput: boolean): PriceStep {
  const { inputAudioPicoUsd, outputAudioPicoUsd, ...others } = price;
  return {
    aboveInputTokens,
    price: { ...others, ...(hasInput && { inputAudioPicoUsd }), ...(hasOutput && { outputAudioPicoUsd }) },
  };
}
