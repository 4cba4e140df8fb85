import type { AdmissionDecision, RateLimitState } from "../ports/admissions.ts";

/** `x-ratelimit-*`, in the names and formats of the OpenAI API, for the limits that there are. */
export function rateLimitHeaders(
  { requests, tokens }: Pick<AdmissionDecision, "requests" | "tokens">,
  nowMs: number,
): Readonly<Record<string, string>> {
  return { ...headersOf("requests", requests, nowMs), ...headersOf("tokens", tokens, nowMs) };
}

function headersOf(what: string, state: RateLimitState | undefined, nowMs: number): Readonly<Record<string, string>> {
  if (state === undefined) return {};
  return {
    [`x-ratelimit-limit-${what}`]: String(state.limit),
    [`x-ratelimit-remaining-${what}`]: String(state.remaining),
    [`x-ratelimit-reset-${what}`]: formatDuration(state.resetsAt.getTime() - nowMs),
  };
}

/** As that API writes them: `86ms`, `8.64s`, `7m12s`, `2h0m5s`. */
export function formatDuration(ms: number): string {
  const whole = Math.max(0, Math.ceil(ms));
  if (whole < 1_000) return whole === 0 ? "0s" : `${whole}ms`;
  const hours = Math.floor(whole / 3_600_000);
  const minutes = Math.floor(whole / 60_000) % 60;
  const seconds = (whole % 60_000) / 1_000;
  const larger = hours > 0 ? `${hours}h${minutes}m` : minutes > 0 ? `${minutes}m` : "";
  return `${larger}${seconds}s`;
}
