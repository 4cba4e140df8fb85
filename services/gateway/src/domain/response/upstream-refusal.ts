import { isObject, MAX_ANSWER_VALUES, parseJsonOrUndefined } from "../wire/json.ts";
import type { UpstreamAnswer } from "../ports/upstream.ts";
import { ERROR_TABLE, type ErrorCode, INVALID_REQUEST } from "../errors/error-table.ts";
import { Refusal, upstreamFailed } from "../errors/refusal.ts";

/** Statuses about the client's request, which are passed on in the upstream's words. */
const REQUEST_STATUSES = new Set([400, 404, 413, 415, 422]);
const MAX_MESSAGE_CHARS = 2_000;
/** Matches a `Retry-After` in seconds or as an HTTP date. Anything else is not passed on: no client could use it. */
const RETRY_AFTER = /^(?:\d{1,9}(?:\.\d{1,9})?|[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT)$/;

/**
 * Refusal for an upstream's status other than 2xx. A status about credentials or payment concerns the operator's account, so it
 * is not passed on to the client.
 */
export function refusalOfUpstreamStatus({ status, retryAfter }: UpstreamAnswer, body: Buffer): Refusal {
  if (REQUEST_STATUSES.has(status)) return passedOn(status, body);
  if (status === 429) return tooManyRequests(body, retryAfter);
  if (status === 401 || status === 402 || status === 403) {
    const message = "the upstream refuses the gateway's own credentials or account; the operator of this node must act";
    return new Refusal("upstream_error", message, { retryable: false });
  }
  if (status === 408 || status === 504) return upstreamFailed("upstream_timeout", "the upstream timed out");
  return upstreamFailed("upstream_error", `the upstream failed with HTTP status ${status}`);
}

function passedOn(status: number, body: Buffer): Refusal {
  const { message, type = INVALID_REQUEST, param, code = null } = readError(body);
  const text = message ?? `the upstream refused the request with HTTP status ${status}`;
  return new Refusal({ status, type, code, retryable: false }, text, { param: param ?? null });
}

function tooManyRequests(body: Buffer, retryAfter: string | undefined): Refusal {
  const { status, type: defaultType } = ERROR_TABLE.rate_limit_exceeded;
  const { message, type = defaultType, code = "rate_limit_exceeded" satisfies ErrorCode } = readError(body);
  const text = message ?? "the upstream receives more requests than it takes; try again later";
  const isUsable = retryAfter !== undefined && RETRY_AFTER.test(retryAfter);
  return new Refusal({ status, type, code, retryable: true }, text, {
    retryAfter: isUsable ? retryAfter : undefined,
  });
}

type ErrorTexts = Partial<Record<"message" | "type" | "param" | "code", string>>;

/** Reads the error object of OpenAI's envelope or of a similar one (`{"error": "text"}`, `{"message": …}`, `{"detail": …}`). */
function readError(body: Buffer): ErrorTexts {
  const envelope = parseJsonOrUndefined(body.toString("utf8"), MAX_ANSWER_VALUES);
  if (!isObject(envelope)) return {};
  const error = envelope["error"] ?? envelope["message"] ?? envelope["detail"] ?? envelope;
  if (typeof error === "string") return { message: bounded(error) };
  if (!isObject(error)) return {};
  const texts = (["message", "type", "param", "code"] as const).flatMap((name) => {
    const value = error[name];
    return typeof value === "string" ? [[name, bounded(value)] as const] : [];
  });
  return Object.fromEntries(texts);
}

function bounded(text: string): string {
  return text.slice(0, MAX_MESSAGE_CHARS);
}
