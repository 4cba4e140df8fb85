import { formatSse } from "../wire/sse.ts";
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
