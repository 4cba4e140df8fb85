import type { ChatRequest } from "./chat-request.ts";
import { effectOf, isHarmless, type MemberEffect } from "./governed-members.ts";
import type { MemberRules, Model, ModelRates, PriceStep, Surcharge } from "./model-directory.ts";
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
  const surchargesOf = (name: string) => rules.surcharges.filter(({ member }) => member === name);
  const ofMembers = members.flatMap(({ key, start, end }) => {
    const name = key.toLowerCase();
    const effect = effectOf(name);
    const prices = surchargesOf(name);
    if (name === "tools" || (effect === undefined && prices.length === 0)) return [];
    const value: unknown = JSON.parse(text.slice(start, end));
    if (effect === undefined ? value === null : isHarmless(name, value)) return [];
    if (prices.length > 0) return valuesOf(name, value).map((billed) => surchargeFor(key, billed, prices));
    if (effect === undefined || rules.allowed.has(name)) return [];
    throw memberNotAllowed(key, EFFECTS[effect]);
  });
  const ofTools = hostedTools.map(({ path, type }) => surchargeFor(path, type, surchargesOf("tools")));
  // A surcharge is billed once for a request, however many of its values it is for.
  return [...new Set([...ofMembers, ...ofTools])];
}

const TIER = "service_tier";

/**
 * Finds the surcharges of an answer that reports its service tier. OpenAI may serve a request for the tier `priority` at the
 * default tier, and a request without a tier at the tier of the account.
 *
 * @param applied surcharges of the request
 */
export function surchargesOfTier(
  applied: readonly Surcharge[],
  { surcharges }: MemberRules = NOTHING_ALLOWED,
  tier: string | undefined,
): readonly Surcharge[] {
  if (tier === undefined) return applied;
  const tierSurcharge = surcharges.find(({ member, value }) => member === TIER && value === tier);
  if (tierSurcharge === undefined && !isHarmless(TIER, tier)) return applied;
  return [...applied.filter(({ member }) => member !== TIER), ...(tierSurcharge === undefined ? [] : [tierSurcharge])];
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

/** Adds surcharges to the prices of a model. */
export function withSurcharges(model: Model, surcharges: readonly Surcharge[]): Model {
  if (surcharges.length === 0) return model;
  const [first, ...rest] = model.prices;
  const step = ({ aboveInputTokens, price }: PriceStep): PriceStep => ({
    aboveInputTokens,
    price: surcharges.reduce(surchargedPrice, price),
  });
  return { ...model, prices: [step(first), ...rest.map(step)] };
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
  return new Refusal("member_not_allowed", message, { param });
}
