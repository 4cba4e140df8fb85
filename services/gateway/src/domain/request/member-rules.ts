import type { InferenceRequest } from "./inference-request.ts";
import { effectOf, isHarmless, type MemberEffect } from "./governed-members.ts";
import type { MemberRules, Model, ModelRates, PriceStep, PriceSteps, Surcharge } from "./model-directory.ts";
import { type ErrorDetails, Refusal } from "../errors/refusal.ts";

/** Descriptions, for people, of what a refused member would do. */
const EFFECTS: Readonly<Record<MemberEffect, string>> = {
  routes: "it may route the request to another model",
  redirects: "it may send the request to another address or account",
  surcharge: "it is billed beyond the price of the model's tokens",
  input: "it adds input that the request does not bound",
  output: "it bounds the output in another way than 'max_completion_tokens' or 'max_tokens'",
};

/** Error details that clients act upon. With those of `thread`, Anthropic's clients send the whole conversation in each request. */
const DETAILS: ReadonlyMap<string, ErrorDetails> = new Map([
  ["thread", { details: { error_code: "thread_unsupported_request" } }],
]);

/** Rules that allow and price nothing beyond the defaults. */
export const NO_MEMBER_RULES: MemberRules = { allowed: new Set(), surcharges: [] };

/** Member that names the service tier of a request. */
export const SERVICE_TIER = "service_tier";

/** Members that ask for audio: priced by the tokens of a model that has a rate for them. */
const OUTPUT_AUDIO = new Set(["modalities", "audio"]);

/** Part of a model by which its service tiers are priced. */
type TierPriced = Pick<Model, "prices" | "serviceTiers" | "memberRules">;

/** Part of a request's members that its price depends on. */
export interface PricedMembers {
  /** Surcharges that apply, in addition to that of the service tier. */
  readonly surcharges: readonly Surcharge[];
  /** Service tier that the client names, in lower case; undefined if it names none. */
  readonly serviceTier: string | undefined;
  readonly hasOutputAudio: boolean;
}

/**
 * Checks the members of a request by the table of governed members and the operator's rules.
 *
 * @param model model of the request, at the prices of its moment
 * @throws Refusal 400 `member_not_allowed` that names the first member which is not allowed
 */
export function applyMemberRules(
  { text, members, hostedTools, wire }: Pick<InferenceRequest, "text" | "members" | "hostedTools" | "wire">,
  model: TierPriced,
): PricedMembers {
  const { readMembers } = wire.request;
  const { memberRules: rules = NO_MEMBER_RULES } = model;
  const surchargesOf = (name: string) => rules.surcharges.filter(({ member }) => member === name);
  let serviceTier: string | undefined;
  let hasOutputAudio = false;
  const ofMembers = members.flatMap(({ key, start, end }) => {
    const name = key.toLowerCase();
    const effect = effectOf(name, readMembers);
    const prices = surchargesOf(name);
    if (name === "tools" || (effect === undefined && prices.length === 0)) return [];
    const value: unknown = JSON.parse(text.slice(start, end));
    if (name === SERVICE_TIER) {
      serviceTier = typeof value === "string" ? value.toLowerCase() : undefined;
      const isPriced = serviceTier !== undefined && pricesOfTier(model, serviceTier) !== undefined;
      // Where tiers are priced, those that are not are refused, as other members are.
      const isAllowed = typeof value === "string" && rules.allowed.has(name) && pricedTiersOf(model).length === 0;
      if (isHarmless(name, value) || isPriced || isAllowed) return [];
      throw memberNotAllowed(key, EFFECTS.surcharge, serviceTier);
    }
    if (effect === undefined ? value === null : isHarmless(name, value)) return [];
    if (OUTPUT_AUDIO.has(name)) hasOutputAudio = true;
    if (prices.length > 0) return valuesOf(name, value).map((billed) => surchargeFor(key, billed, prices));
    if (OUTPUT_AUDIO.has(name) && isTokenPriced(name, value, model)) return [];
    if (effect === undefined || rules.allowed.has(name)) return [];
    throw memberNotAllowed(key, EFFECTS[effect]);
  });
  const ofTools = hostedTools.map(({ path, type }) => surchargeFor(path, type, surchargesOf("tools")));
  // A surcharge is billed once for a request, however many of its values it is for.
  return { surcharges: [...new Set([...ofMembers, ...ofTools])], serviceTier, hasOutputAudio };
}

/** True if a member asks for nothing but text and audio, and the model has a rate for tokens of audio. */
function isTokenPriced(name: string, value: unknown, { prices }: Pick<Model, "prices">): boolean {
  if (prices[0].price.outputAudioPicoUsd === undefined) return false;
  if (name !== "modalities") return true;
  return Array.isArray(value) && value.every((modality) => modality === "text" || modality === "audio");
}

/**
 * Finds the prices of a service tier: the model's own, else by the operator's surcharge for it, else those of the default tier
 * for one of its names. Undefined if the tier has no price.
 *
 * @param tier in lower case
 */
export function pricesOfTier(
  { prices, serviceTiers, memberRules = NO_MEMBER_RULES }: TierPriced,
  tier: string,
): PriceSteps | undefined {
  const own = serviceTiers?.get(tier);
  if (own !== undefined) return own;
  const ofTier = memberRules.surcharges.filter(({ member }) => member === SERVICE_TIER);
  const surcharge =
    ofTier.find(({ value }) => value?.toLowerCase() === tier) ??
    (isHarmless(SERVICE_TIER, tier) ? undefined : ofTier.find(({ value }) => value === undefined));
  if (surcharge !== undefined) return surcharged(prices, [surcharge]);
  return isHarmless(SERVICE_TIER, tier) ? prices : undefined;
}

/** Prices of all service tiers that have their own. */
export function pricedTiersOf({ prices, serviceTiers, memberRules }: TierPriced): readonly PriceSteps[] {
  const surcharges = memberRules?.surcharges.filter(({ member }) => member === SERVICE_TIER) ?? [];
  return [...(serviceTiers?.values() ?? []), ...surcharges.map((surcharge) => surcharged(prices, [surcharge]))];
}

/** Finds the surcharge of a value of a member, or of the member itself. @throws Refusal 400 if it is not priced */
function surchargeFor(path: string, value: string | undefined, prices: readonly Surcharge[]): Surcharge {
  const surcharge = prices.find((price) => price.value === value) ?? prices.find((price) => price.value === undefined);
  if (surcharge === undefined) throw memberNotAllowed(path, EFFECTS.surcharge, value);
  return surcharge;
}

/** Values of a member that are billed: of a list its items, else the value itself. */
function valuesOf(name: string, value: unknown): readonly (string | undefined)[] {
  const textOf = (item: unknown): string | undefined => {
    return typeof item === "string" || typeof item === "number" || typeof item === "boolean" ? `${item}` : undefined;
  };
  if (!Array.isArray(value)) return [textOf(value)];
  return value.filter((item) => !isHarmless(name, [item])).map(textOf);
}

/** Adds surcharges to prices. The providers file has none that raise a price beyond what can be charged. */
export function surcharged(prices: PriceSteps, surcharges: readonly Surcharge[]): PriceSteps {
  if (surcharges.length === 0) return prices;
  const [first, ...rest] = prices;
  const step = ({ aboveInputTokens, price }: PriceStep): PriceStep => ({
    aboveInputTokens,
    price: surcharges.reduce(surchargedPrice, price),
  });
  return [step(first), ...rest.map(step)];
}

/** Parts per million in 1. */
const PPM = 1_000_000n;

function surchargedPrice(
  { inputPicoUsd, outputPicoUsd, requestPicoUsd: ownRequestPicoUsd = 0n, ...parts }: ModelRates,
  { priceFactorPpm, requestPicoUsd }: Surcharge,
): ModelRates {
  const scaled = (pico: bigint): bigint => (pico * priceFactorPpm + PPM - 1n) / PPM;
  const scaledParts = Object.entries(parts).flatMap(([name, pico]): [string, bigint][] =>
    pico === undefined ? [] : [[name, scaled(pico)]],
  );
  return {
    ...Object.fromEntries(scaledParts),
    inputPicoUsd: scaled(inputPicoUsd),
    outputPicoUsd: scaled(outputPicoUsd),
    requestPicoUsd: ownRequestPicoUsd + requestPicoUsd,
  };
}

function memberNotAllowed(param: string, effect: string, value?: string): Refusal {
  const shown = value === undefined ? "" : ` with the value ${JSON.stringify(value.slice(0, 60))}`;
  const message =
    `'${param.slice(0, 60)}'${shown} is not allowed: ${effect}. ` +
    "Leave it out, or ask the operator to allow it in the providers file (allow_members, surcharges).";
  return new Refusal("member_not_allowed", message, { param, details: DETAILS.get(param) ?? {} });
}
