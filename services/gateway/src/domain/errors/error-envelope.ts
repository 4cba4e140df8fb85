import type { Refusal } from "./refusal.ts";

/**
 * Renders a refusal as the OpenAI API words it. The body of an answer and, in a stream that has begun, the data of its last
 * event. Members are in the order that OpenAI uses.
 */
export function toErrorEnvelope({
  message,
  type,
  param,
  code,
  details,
}: Pick<Refusal, "message" | "type" | "param" | "code" | "details">): string {
  return JSON.stringify({ error: { message, type, param, code, ...details } });
}
