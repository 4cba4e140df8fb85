import { effectOf } from "../domain/request/governed-members.ts";
import { NO_MEMBER_RULES, SERVICE_TIER } from "../domain/request/member-rules.ts";
import type { MemberRules, Surcharge } from "../domain/request/model-directory.ts";
import { MAX_FACTOR, MAX_USD_PER_REQUEST } from "./price-field.ts";
import type { Field } from "./yaml-field.ts";

/** Fields of a provider and of a model that allow and price members of requests. */
export const MEMBER_FIELDS = ["allow_members", "surcharges"] as const;

const NAME = /^[\x21-\x7e]{1,100}$/;
const NAME_RULE = "the name of a member, without blanks";

/**
 * Reads both fields of a provider or a model.
 *
 * @param providerRules rules of the provider, which apply to the model too; the model's own prices come before them
 * @throws ProvidersFileError also for a member that is allowed, billed as a surcharge and not priced: its cost would not be charged
 */
export function readMemberRules(field: Field, providerRules: MemberRules = NO_MEMBER_RULES): MemberRules {
  const own = field.optional("surcharges")?.items().map(readSurcharge) ?? [];
  const surcharges = [...own, ...providerRules.surcharges];
  const allowed = field.optional("allow_members")?.items().map(readAllowed(surcharges)) ?? [];
  return { allowed: new Set([...allowed, ...providerRules.allowed]), surcharges };
}

function readAllowed(surcharges: readonly Surcharge[]): (field: Field) => string {
  return (field) => {
    const name = field.text(NAME, NAME_RULE).toLowerCase();
    // A service tier that is allowed without a price is charged at another one's, as an estimate.
    const isBilled = name === "tools" || (name !== SERVICE_TIER && effectOf(name) === "surcharge");
    if (isBilled && !surcharges.some(({ member }) => member === name)) {
      throw field.fault(`${name} is billed beyond the price of tokens: price it under surcharges`);
    }
    return name;
  };
}

function readSurcharge(field: Field): Surcharge {
  field.onlyMembers(["member", "value", "price_factor", "usd_per_request"]);
  const factor = field.optional("price_factor");
  const perRequest = field.optional("usd_per_request");
  if (factor === undefined && perRequest === undefined) {
    throw field.fault("needs price_factor, usd_per_request or both; price_factor: 1 is the price of the model");
  }
  return {
    member: field.required("member").text(NAME, NAME_RULE).toLowerCase(),
    value: field.optional("value")?.text(/^.{1,100}$/, "1 to 100 characters"),
    priceFactorPpm: BigInt(Math.round((factor?.number(0, MAX_FACTOR) ?? 1) * 1e6)),
    requestPicoUsd: BigInt(Math.round((perRequest?.number(0, MAX_USD_PER_REQUEST) ?? 0) * 1e12)),
  };
}
