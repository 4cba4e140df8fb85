import type { Denial } from "./denial.ts";
import { Refusal } from "./refusal.ts";

/** Longest wait of the OpenAI SDKs: they ignore a `Retry-After` above it and send the request again at once. */
const MAX_RETRY_AFTER_SECS = 60;

/** Refusal for a budget (402) or rate limit (429) that the request does not fit under. */
export function limitExceeded(denial: Denial, nowMs: number): Refusal {
  const { rule, retryAt, message } = denial;
  if (rule === "budget") {
    const entry = { status: 402, type: "insufficient_quota", code: "budget_exceeded" };
    return new Refusal({ ...entry, message, denial, retryable: retryAt !== undefined });
  }
  const type = rule === "rate_limit.max_tokens" ? "tokens" : "requests";
  const entry = { status: 429, type, code: "rate_limit_exceeded" };
  if (retryAt === undefined) return new Refusal({ ...entry, message, denial, retryable: false });
  const waitSecs = Math.max(1, Math.ceil((retryAt.getTime() - nowMs) / 1_000));
  const retryable = waitSecs < MAX_RETRY_AFTER_SECS;
  return new Refusal({ ...entry, message, denial, retryable, retryAfter: String(waitSecs) });
}
