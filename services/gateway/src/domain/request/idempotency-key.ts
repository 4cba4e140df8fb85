import { DomainError } from "@routeplane/domain";
import { Refusal } from "../errors/refusal.ts";

/**
 * Idempotency keys: the name that a client gives to a request and to every repetition of it, which it sends if no answer
 * arrived. Of the requests of one API key with the same name, one goes upstream and is charged. Answers are not kept: the
 * refusal of a repetition names the first request.
 */

const HEADER = "Idempotency-Key";
const MAX_KEY_CHARS = 255;

/** Parses the header. @throws Refusal 400 unless it has 1 to 255 characters */
export function parseIdempotencyKey(header: string | undefined): string | undefined {
  if (header === undefined || (header.length > 0 && header.length <= MAX_KEY_CHARS)) return header;
  throw new Refusal("invalid_value", `the header '${HEADER}' must have 1 to ${MAX_KEY_CHARS} characters`, {
    param: HEADER,
  });
}

/** Refusal (409) for a failed admission whose idempotency key another request has; undefined for any other failure. */
export function repetitionOf(error: unknown): Refusal | undefined {
  if (!(error instanceof DomainError) || error.reason !== "IDEMPOTENCY_KEY_USED") return undefined;
  const { request_id: requestId = "" } = error.metadata;
  const message =
    `this ${HEADER} was used by the request ${requestId}, so this request was not sent upstream; ` +
    `\`routeplane cloud request get ${requestId}\` shows the other one; use a new key to send this one`;
  const details = { request_id: requestId };
  return new Refusal("idempotency_key_used", message, { param: HEADER, details, cause: error });
}
