import { isObject, MAX_ANSWER_VALUES, parseJsonOrUndefined } from "../wire/json.ts";
import type { UpstreamAnswer } from "../ports/upstream.ts";
import { ERROR_TABLE, type ErrorCode, INVALID_REQUEST } from "../errors/error-table.ts";
import { Refusal, upstreamFailed } from "../errors/refusal.ts";

/** Statuses that are about the client's own request: it needs to hear them, in the upstream's words. */
const ABOUT_THE_REQUEST = new Set([400, 404, 413, 415, 422]);
const MAX_MESSAGE_LENGTH = 2_000;
/** Seconds or an HTTP date. Anything else is not passed on: a client could not use it, and it may say anything. */
const RETRY_AFTER = /^(?:\d{1,9}(?:\.\d{1,9})?|[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT)$/;

/**
 * What a client hears of an upstream's status other than 2xx. The upstream's own refusal of credentials or payment is about
 * the operator's account, so the client must not take it for its own.
 */
export function refusalOfUpstreamStatus({ status, retryAfter }: UpstreamAnswer, body: Buffer): Refusal {
  if (ABOUT_THE_REQUEST.has(status)) return inTheUpstreamsWords(status, body);
  if (status === 429) return tooMany(body, retryAfter);
  if (status === 401 || status === 402 || status === 403) {
    const message = "the upstream refuses the gateway's own credentials or account; the operator of this node must act";
    return new Refusal("upstream_error", message, { retryable: false });
  }
  if (status === 408 || status === 504) return upstreamFailed("upstream_timeout", "the upstream timed out");
  return upstreamFailed("upstream_error", `the upstream failed with HTTP status ${status}`);
}

function inTheUpstreamsWords(status: number, body: Buffer): Refusal {
  const { message, type = INVALID_REQUEST, param, code = null } = readError(body);
  const text = message ?? `the upstream refused the request with HTTP status ${status}`;
  return new Refusal({ status, type, code, retryable: false }, text, { param: param ?? null });
}

function tooMany(body: Buffer, retryAfter: string | undefined): Refusal {
  const { status, type: defaultType } = ERROR_TABLE.rate_limit_exceeded;
  const { message, type = defaultType, code = "rate_limit_exceeded" satisfies ErrorCode } = readError(body);
  const text = message ?? "the upstream receives more requests than it takes; try again later";
  const isReadable = retryAfter !== undefined && RETRY_AFTER.test(retryAfter);
  return new Refusal({ status, type, code, retryable: true }, text, {
    retryAfter: isReadable ? retryAfter : undefined,
  });
}

type ErrorTexts = Partial<Record<"message" | "type" | "param" | "code", string>>;

/** The error object of OpenAI's envelope, or of what resembles it (`{"error": "text"}`, `{"message": …}`, `{"detail": …}`). */
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
  return text.slice(0, MAX_MESSAGE_LENGTH);
}
