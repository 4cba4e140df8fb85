import type { TokenPrice } from "@routeplane/admission";
import type { ChatRequest } from "./chat-request.ts";
import { effectOf, isHarmless, type MemberEffect } from "./governed-members.ts";
import type { MemberRules, Model, PriceStep, Surcharge } from "./model-directory.ts";
import { Refusal } from "../errors/refusal.ts";

/** Descriptions, for people, of what a refused member would do. */
const EFFECTS: Readonly<Record<MemberEffect, string>> = {
  routes: "it may route the request to another model",
  redirects: "it may send the request to another address or account",
  surcharge: "it is billed beyond the price of the model's tokens",
  input: "it adds input that the request does not bound",
  output: "it bounds the output in another way than 'max_completion_tokens' or 'max_tokens'",
};

const NOTHING_ALLOWED: MemberRules = { allowed: new Set(), surcharges: [] };

/**
 * Checks the members of a request by the table of governed members and the operator's rules.
 *
 * @returns the surcharges that apply
 * @throws Refusal 400 `member_not_allowed` that names the first member which is not allowed
 */
export function applyMemberRules(
  { text, members, hostedTools }: Pick<ChatRequest, "text" | "members" | "hostedTools">,
  rules: MemberRules = NOTHING_ALLOWED,
): readonly Surcharge[] {
  const pricesOf = (name: string) => rules.surcharges.filter(({ member }) => member === name);
  const ofMembers = members.flatMap(({ key, start, end }) => {
    const name = key.toLowerCase();
    const effect = effectOf(name);
    const prices = pricesOf(name);
    if (name === "tools" || (effect === undefined && prices.length === 0)) return [];
    const value: unknown = JSON.parse(text.slice(start, end));
    if (effect === undefined ? value === null : isHarmless(name, value)) return [];
    if (prices.length > 0) return valuesOf(name, value).map((each) => priceOf(key, each, prices));
    if (effect === undefined || rules.allowed.has(name)) return [];
    throw memberNotAllowed(key, EFFECTS[effect]);
  });
  const ofTools = hostedTools.map(({ path, type }) => priceOf(path, type, pricesOf("tools")));
  // The price is one of the request, however many of its values it is for.
  return [...new Set([...ofMembers, ...ofTools])];
}

const TIER = "service_tier";

/**
 * The surcharges of an answer that says which tier served it: OpenAI may serve a request that asks for priority by default, and
 * one that asks for nothing by the tier of the account.
 *
 * @param applied those of the request
 */
export function surchargesOfTier(
  applied: readonly Surcharge[],
  { surcharges }: MemberRules = NOTHING_ALLOWED,
  tier: string | undefined,
): readonly Surcharge[] {
  if (tier === undefined) return applied;
  const priced = surcharges.find(({ member, value }) => member === TIER && value === tier);
  if (priced === undefined && !isHarmless(TIER, tier)) return applied;
  return [...applied.filter(({ member }) => member !== TIER), ...(priced === undefined ? [] : [priced])];
}

function priceOf(path: string, value: string | undefined, prices: readonly Surcharge[]): Surcharge {
  const price = prices.find((each) => each.value === value) ?? prices.find((each) => each.value === undefined);
  if (price === undefined) throw memberNotAllowed(path, EFFECTS.surcharge, value);
  return price;
}

/** The values of a member that are billed; an object is billed as itself. */
function valuesOf(name: string, value: unknown): readonly (string | undefined)[] {
  const textOf = (each: unknown): string | undefined => {
    return typeof each === "string" || typeof each === "number" || typeof each === "boolean" ? `${each}` : undefined;
  };
  if (!Array.isArray(value)) return [textOf(value)];
  return value.filter((each) => !isHarmless(name, [each])).map(textOf);
}

/** The model at the prices of a request to which the surcharges apply. */
export function withSurcharges(model: Model, surcharges: readonly Surcharge[]): Model {
  if (surcharges.length === 0) return model;
  const [first, ...rest] = model.prices;
  const step = ({ aboveInputTokens, price }: PriceStep): PriceStep => ({
    aboveInputTokens,
    price: surcharges.reduce(surchargedPrice, price),
  });
  return { ...model, prices: [step(first), ...rest.map(step)] };
}

const PPM = 1_000_000n;

function surchargedPrice(price: TokenPrice, { priceFactorPpm, requestPicoUsd }: Surcharge): TokenPrice {
  const scaled = (pico: bigint): bigint => (pico * priceFactorPpm + PPM - 1n) / PPM;
  return {
    inputPicoUsd: scaled(price.inputPicoUsd),
    outputPicoUsd: scaled(price.outputPicoUsd),
    requestPicoUsd: (price.requestPicoUsd ?? 0n) + requestPicoUsd,
  };
}

function memberNotAllowed(param: string, effect: string, value?: string): Refusal {
  const shown = value === undefined ? "" : ` with the value ${JSON.stringify(value.slice(0, 60))}`;
  const message =
    `'${param.slice(0, 60)}'${shown} is not allowed: ${effect}. ` +
    "Leave it out, or ask the operator to allow it in the providers file (allow_members, surcharges).";
  return new Refusal("member_not_allowed", message, { param });
}
