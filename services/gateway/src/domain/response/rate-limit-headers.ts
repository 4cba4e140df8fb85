import type { AdmissionDecision, RateLimitState } from "../ports/admissions.ts";

/** Headers `x-ratelimit-*`, in the names and formats of the OpenAI API, for the rate limits that apply. */
export function rateLimitHeaders(
  { requests, tokens }: Pick<AdmissionDecision, "requests" | "tokens">,
  nowMs: number,
): Readonly<Record<string, string>> {
  return { ...headersOf("requests", requests, nowMs), ...headersOf("tokens", tokens, nowMs) };
}

function headersOf(unit: string, state: RateLimitState | undefined, nowMs: number): Readonly<Record<string, string>> {
  if (state === undefined) return {};
  return {
    [`x-ratelimit-limit-${unit}`]: String(state.limit),
    [`x-ratelimit-remaining-${unit}`]: String(state.remaining),
    [`x-ratelimit-reset-${unit}`]: formatDuration(state.resetsAt.getTime() - nowMs),
  };
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
