/** Unit of the amounts of a limit. */
export type LimitUnit = "micro_usd" | "requests" | "tokens" | "requests_at_once";

const UNITS: ReadonlyMap<string, LimitUnit> = new Map([
  ["budget", "micro_usd"],
  ["rate_limit.max_requests", "requests"],
  ["rate_limit.max_tokens", "tokens"],
  ["rate_limit.max_concurrent", "requests_at_once"],
]);

/** Unit in which a rule counts; undefined for a rule that has no amounts, e.g. of a guardrail. */
export function limitUnitOf(rule: string): LimitUnit | undefined {
  return UNITS.get(rule);
}
