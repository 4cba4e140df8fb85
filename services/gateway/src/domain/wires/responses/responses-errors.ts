import { type EnvelopeParts, type ErrorFormat, toErrorEnvelope } from "../../errors/error-envelope.ts";
import { formatNamedSse } from "../../wire/sse.ts";

/** Errors of responses: the envelope of the OpenAI API and, in a stream, an event of the type `error` that has it too. */
export const RESPONSES_ERRORS: ErrorFormat = { toBody: toErrorEnvelope, toEvent };

function toEvent(refusal: EnvelopeParts): Buffer {
  const { code, message, param } = refusal;
  const envelope = JSON.parse(toErrorEnvelope(refusal)) as object;
  // The stream's own numbers end where it was cut off.
  const event = { type: "error", sequence_number: 0, code, message, param, ...envelope };
  return formatNamedSse("error", JSON.stringify(event));
}
