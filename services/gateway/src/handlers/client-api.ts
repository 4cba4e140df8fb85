import type { IncomingMessage } from "node:http";
import { ANTHROPIC_ERRORS, type ErrorFormat, OPENAI_ERRORS } from "../domain/errors/error-envelope.ts";

/** True for a client of the Anthropic API: each of its requests names the version of that API. */
export function isAnthropicClient({ headers }: IncomingMessage): boolean {
  return headers["anthropic-version"] !== undefined;
}

/** Rendering of errors for a path that both APIs have, or neither: that of the API which the client speaks. */
export function errorsOfClient(request: IncomingMessage): ErrorFormat {
  return isAnthropicClient(request) ? ANTHROPIC_ERRORS : OPENAI_ERRORS;
}
