import type { AdmissionDecision, RateLimitState } from "../ports/admissions.ts";

/** Header of what remains of the tightest budget. Micro-USD. */
export const BUDGET_REMAINING_HEADER = "x-routeplane-budget-remaining-micro-usd";

/** Headers of the limits that apply: `x-ratelimit-*` in the names and formats of the OpenAI API, and what remains of the tightest budget. */
export function limitHeaders(
  {
    requests,
    tokens,
    budgetRemainingMicroUsd,
  }: Pick<AdmissionDecision, "requests" | "tokens" | "budgetRemainingMicroUsd">,
  nowMs: number,
): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {};
  if (requests !== undefined) {
    headers["x-ratelimit-limit-requests"] = String(requests.limit);
    headers["x-ratelimit-remaining-requests"] = String(requests.remaining);
    headers["x-ratelimit-reset-requests"] = formatReset(requests, nowMs);
  }
  if (tokens !== undefined) {
    headers["x-ratelimit-limit-tokens"] = String(tokens.limit);
    headers["x-ratelimit-remaining-tokens"] = String(tokens.remaining);
    headers["x-ratelimit-reset-tokens"] = formatReset(tokens, nowMs);
  }
  if (budgetRemainingMicroUsd !== undefined) headers[BUDGET_REMAINING_HEADER] = String(budgetRemainingMicroUsd);
  return headers;
}

function formatReset({ resetsAt }: RateLimitState, nowMs: number): string {
  return formatDuration(resetsAt.getTime() - nowMs);
}

/** Formats a duration as the OpenAI API does: `86ms`, `8.64s`, `7m12s`, `2h0m5s`. Negative ones are `0s`. */
export function formatDuration(ms: number): string {
  const whole = Math.max(0, Math.ceil(ms));
  if (whole < 1_000) return whole === 0 ? "0s" : `${whole}ms`;
  const hours = Math.floor(whole / 3_600_000);
  const minutes = Math.floor(whole / 60_000) % 60;
  const seconds = (whole % 60_000) / 1_000;
  const larger = hours > 0 ? `${hours}h${minutes}m` : minutes > 0 ? `${minutes}m` : "";
  return `${larger}${seconds}s`;
}
