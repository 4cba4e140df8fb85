import { DomainError } from "@routeplane/domain";
import { Refusal } from "../errors/refusal.ts";

/**
 * What a client calls a request and every repetition of it, which it sends where no answer came: of those of one key, one goes
 * upstream and is charged. Answers are not kept, so a repetition learns which request that was, and not what came of it.
 */

const HEADER = "Idempotency-Key";
const MAX_LENGTH = 255;

/** @throws Refusal 400 */
export function parseIdempotencyKey(header: string | undefined): string | undefined {
  if (header === undefined || (header.length > 0 && header.length <= MAX_LENGTH)) return header;
  throw new Refusal("invalid_value", `the header '${HEADER}' must have 1 to ${MAX_LENGTH} characters`, {
    param: HEADER,
  });
}

/** 409 if that is why the policy service did not admit a request. */
export function repetitionOf(error: unknown): Refusal | undefined {
  if (!(error instanceof DomainError) || error.reason !== "IDEMPOTENCY_KEY_USED") return undefined;
  const { request_id: requestId = "" } = error.metadata;
  const message =
    `the request ${requestId} has this ${HEADER}, so this one was not sent upstream; \`routeplane cloud request get ` +
    `${requestId}\` tells what became of it; to ask once more, send another key`;
  const details = { request_id: requestId };
  return new Refusal("idempotency_key_used", message, { param: HEADER, details, cause: error });
}
