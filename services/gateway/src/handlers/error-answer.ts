import { DomainError } from "@routeplane/domain";
import { safeText } from "@routeplane/rpc";
import type { ErrorFormat } from "../domain/errors/error-envelope.ts";
import { dependencyDown, internalError, Refusal } from "../domain/errors/refusal.ts";

/** HTTP answer for an error. */
export interface ErrorAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/**
 * Renders an error. One that is neither a refusal nor an outage is a fault of the gateway: the client learns the request id and
 * nothing else.
 *
 * @param errors renders the envelope of the route
 * @param redact removes secrets from a text: an upstream's message may repeat its key
 */
export function toErrorAnswer(error: unknown, errors: ErrorFormat, redact: (text: string) => string): ErrorAnswer {
  const { status, type, code, message, param, retryable, retryAfter, details } = refusalOf(error);
  const headers: Record<string, string> = { "content-type": "application/json" };
  // The SDKs send a request again after 408, 409, 429 and 5xx unless this header forbids it.
  if (!retryable) headers["x-should-retry"] = "false";
  if (retryAfter !== undefined) headers["retry-after"] = retryAfter;
  const printed = {
    status,
    type,
    code,
    details,
    message: printable(message),
    param: param === null ? null : printable(param),
  };
  return { status, headers, body: redact(errors.toBody(printed)) };
}

/** Makes a text safe to print. It may quote the request or an upstream: control characters, escape sequences, several lines. */
function printable(text: string): string {
  return safeText(text.replace(/[\r\n\t]+/g, " "));
}

/** Converts an error to a refusal; one that is not known becomes `internal_error`. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof DomainError && error.code === "unavailable") {
    return dependencyDown(error.metadata["dependency"] ?? "a service", error);
  }
  return internalError(error);
}

export function notFound(method: string, path: string): Refusal {
  const message = `Unknown request URL: ${method} ${path.slice(0, 200)}. This gateway serves /v1/chat/completions, /v1/responses, /v1/messages, /v1/embeddings, /v1/models and /v1/key.`;
  return new Refusal("unknown_url", message);
}

export function methodNotAllowed(method: string, allowed: string): Refusal {
  const message = `${method} is not allowed here; allowed: ${allowed}`;
  return new Refusal("method_not_allowed", message);
}
