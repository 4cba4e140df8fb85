import type { Denial } from "./denial.ts";
import { ERROR_TABLE } from "./error-table.ts";
import { Refusal } from "./refusal.ts";

/** Longest wait of the OpenAI SDKs: they ignore a `Retry-After` above it and send the request again at once. */
const MAX_RETRY_AFTER_SECS = 60;

/** Refusal for a budget (402) or rate limit (429) that the request does not fit under. */
export function limitExceeded(denial: Denial, nowMs: number): Refusal {
  const { rule, retryAt, message } = denial;
  if (rule === "budget") return new Refusal("budget_exceeded", message, { denial, retryable: retryAt !== undefined });
  const { typeForTokens, type } = ERROR_TABLE.rate_limit_exceeded;
  const options = { denial, type: rule === "rate_limit.max_tokens" ? typeForTokens : type };
  if (retryAt === undefined) return new Refusal("rate_limit_exceeded", message, { ...options, retryable: false });
  const waitSecs = Math.max(1, Math.ceil((retryAt.getTime() - nowMs) / 1_000));
  const retryable = waitSecs < MAX_RETRY_AFTER_SECS;
  return new Refusal("rate_limit_exceeded", message, { ...options, retryable, retryAfter: String(waitSecs) });
}
