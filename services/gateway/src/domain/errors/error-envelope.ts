import { formatNamedSse, formatSse } from "../wire/sse.ts";
import type { Refusal } from "./refusal.ts";

/** Parts of a refusal that an envelope has. */
export type EnvelopeParts = Pick<Refusal, "message" | "type" | "param" | "code" | "details" | "status">;

/** Rendering of errors by an API. */
export interface ErrorFormat {
  /** Renders a refusal as the body of an answer. */
  toBody(refusal: EnvelopeParts): string;
  /** Renders a refusal as the last event of a stream that has begun. */
  toEvent(refusal: EnvelopeParts): Buffer;
}

/** Renders a refusal as the OpenAI API words it. Members are in the order that OpenAI uses. */
export function toErrorEnvelope({ message, type, param, code, details }: Omit<EnvelopeParts, "status">): string {
  return JSON.stringify({ error: { message, type, param, code, ...details } });
}

/** Errors of the OpenAI API. */
export const OPENAI_ERRORS: ErrorFormat = {
  toBody: toErrorEnvelope,
  toEvent: (refusal) => formatSse(toErrorEnvelope(refusal)),
};

/** Errors of Anthropic's API, with OpenAI's members in addition to its own: code and param say more than the few types. */
export const ANTHROPIC_ERRORS: ErrorFormat = {
  toBody: toAnthropicEnvelope,
  toEvent: (refusal) => formatNamedSse("error", toAnthropicEnvelope(refusal)),
};

function toAnthropicEnvelope({ message, param, code, details, status }: EnvelopeParts): string {
  return JSON.stringify({ type: "error", error: { type: anthropicType(status), message, code, param, ...details } });
}

/** Types of Anthropic's errors, by HTTP status. */
const ANTHROPIC_TYPES: ReadonlyMap<number, string> = new Map([
  [401, "authentication_error"],
  [402, "billing_error"],
  [403, "permission_error"],
  [404, "not_found_error"],
  [413, "request_too_large"],
  [429, "rate_limit_error"],
  [503, "overloaded_error"],
  [504, "timeout_error"],
  [529, "overloaded_error"],
]);

function anthropicType(status: number): string {
  return ANTHROPIC_TYPES.get(status) ?? (status < 500 ? "invalid_request_error" : "api_error");
}
