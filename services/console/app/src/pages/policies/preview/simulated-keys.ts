import { countOf, formatCount } from "../../../format/money.ts";
import type { SimulatedKey, SimulatePolicyResponse } from "@routeplane/contracts/policy";

/** Maximum number of keys that the chart shows; its table has all. */
export const MAX_BARS = 10;

/** Percentage of a part in a whole, rounded to one digit; 0 if the whole is 0. */
export function percentOf(part: bigint, whole: bigint): number {
  return whole === 0n ? 0 : Number((part * 2_000n + whole) / (2n * whole)) / 10;
}

/** Bar of one key: its requests in proportion to those of the key with the most requests. Percent of the width. */
export interface KeyBar {
  readonly key: SimulatedKey;
  readonly refusedPercent: number;
  readonly admittedPercent: number;
}

/** Bars of the keys with the most refusals. */
export function keyBars(keys: readonly SimulatedKey[]): readonly KeyBar[] {
  const shown = keys.slice(0, MAX_BARS);
  const most = shown.reduce((max, { requestCount }) => (requestCount > max ? requestCount : max), 0n);
  return shown.map((key) => ({
    key,
    refusedPercent: percentOf(key.refusedCount, most),
    admittedPercent: percentOf(key.requestCount - key.refusedCount, most),
  }));
}

/** Texts of rules, by their name in denials. */
const RULES: Readonly<Record<string, string>> = {
  budget: "Spend",
  "rate_limit.max_requests": "Requests in the window",
  "rate_limit.max_tokens": "Tokens in the window",
  "rate_limit.max_concurrent": "Requests at the same time",
  "guardrail.model_allow": "Models that may be called",
  "guardrail.model_deny": "Models that may not be called",
  "guardrail.max_request_tokens": "Tokens of one request",
  "guardrail.allow_streaming": "Streams",
  "guardrail.content_patterns": "Content patterns",
  "guardrail.uninspectable": "Content that cannot be inspected",
  "guardrail.service_tier_allow": "Service tiers",
  "guardrail.modality_allow": "Kinds of output",
  "guardrail.hosted_tool_allow": "Tools run by the provider",
};

/** Text of a rule; for an unknown rule, its name. */
export function ruleTitle(rule: string): string {
  return Object.hasOwn(RULES, rule) ? (RULES[rule] ?? rule) : rule;
}

/** Result of a simulation as a sentence. */
export function simulationSentence({ requestCount, refusedCount }: SimulatePolicyResponse): string {
  if (requestCount === 0n) return "There were no requests to simulate.";
  if (refusedCount === 0n) return "It would have refused none of these requests.";
  const share = `${formatCount(refusedCount)} of ${countOf(requestCount, "request")}`;
  return `It would have refused ${share} (${percentText(refusedCount, requestCount)}).`;
}

/** Percentage in words: rounding must not turn a part into none or all. */
function percentText(part: bigint, whole: bigint): string {
  const percent = percentOf(part, whole);
  if (percent === 0) return "under 0.1 %";
  return percent === 100 && part < whole ? "over 99.9 %" : `${percent} %`;
}
