import type { DeniedAmounts } from "@routeplane/contracts/usage";
import { type LimitUnit, limitUnitOf } from "@routeplane/explanations";
import { formatMicroUsd } from "../../output/money.ts";
import { formatTime } from "../../output/time.ts";
import { fromProtoInteger, fromProtoTime } from "../values.ts";

/** Amounts of the limit that denied a request, in the unit of its rule. */
export interface DenialView {
  readonly unit: LimitUnit;
  readonly limit: number;
  /** Smallest bound of the request that could have been admitted. */
  readonly needed: number;
  /** Amount that was left. */
  readonly remaining: number;
  /** Time from which the request would have been admitted, or can be tried again; null if waiting does not help. */
  readonly retry_at: string | null;
}

/** @param rule rule that the denial names @param amounts undefined unless a limit denied it */
export function fromProtoDenial(rule: string | null, amounts: DeniedAmounts | undefined): DenialView | null {
  const unit = limitUnitOf(rule ?? "");
  if (unit === undefined || amounts === undefined) return null;
  return {
    unit,
    limit: fromProtoInteger(amounts.limit),
    needed: fromProtoInteger(amounts.needed),
    remaining: fromProtoInteger(amounts.remaining),
    retry_at: fromProtoTime(amounts.retryAt),
  };
}

/** Fields for the amounts of a denial, e.g. "left: 3 of 100 tokens; the request needed at least 40". */
export function denialFields(denial: DenialView | null): readonly (readonly [string, string])[] {
  if (denial === null) return [];
  const { limit, needed, remaining, retry_at } = denial;
  const amount = (value: number): string => amountText(denial, value);
  return [
    ["left", `${amount(remaining)} of ${amount(limit)}`],
    ["needed", `at least ${amount(needed)}`],
    ["retry", retry_at === null ? "waiting does not help" : `from ${formatTime(retry_at)}`],
  ];
}

/** Text of an amount with its unit. */
function amountText({ unit }: Pick<DenialView, "unit">, value: number): string {
  if (unit === "micro_usd") return formatMicroUsd(value);
  return unit === "requests_at_once" ? `${value} at the same time` : `${value} ${unit}`;
}
