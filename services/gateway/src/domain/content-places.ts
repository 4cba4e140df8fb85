/**
 * Which strings of a request and of an answer are content. Whatever is not known to be something else is: a member that is new
 * to us must not be a way around a guardrail.
 */

/** Names, kinds and references in a request: what an upstream acts upon, and no model reads. */
const REQUEST_NAMES = new Set([
  "model",
  "messages[].role",
  "messages[].tool_call_id",
  "messages[].tool_calls[].id",
  "messages[].tool_calls[].type",
  "messages[].content[].type",
  "messages[].content[].image_url.detail",
  "messages[].content[].input_audio.format",
  "messages[].content[].file.file_id",
  "messages[].audio.id",
  "tools[].type",
  "tool_choice",
  "tool_choice.type",
  "response_format.type",
  "service_tier",
  "reasoning_effort",
  "verbosity",
  "modalities[]",
]);

/** Images, sounds and files: patterns are for text. */
const REQUEST_MEDIA = new Set([
  "messages[].content[].image_url.url",
  "messages[].content[].input_audio.data",
  "messages[].content[].file.file_data",
]);
const BASE64_URL = /^"data:[^,"]{0,200};base64,/;

export function isRequestContent(place: string, literal: () => string): boolean {
  if (REQUEST_NAMES.has(place)) return false;
  if (!REQUEST_MEDIA.has(place)) return true;
  return place.endsWith(".url") && !BASE64_URL.test(literal());
}

/** The tokens of the answer once more, each by itself: where patterns are to be found they cannot be passed on. */
export const LOGPROBS: ReadonlySet<string> = new Set(["choices[].logprobs"]);

const RESPONSE_NAMES = new Set([
  "id",
  "object",
  "model",
  "system_fingerprint",
  "service_tier",
  "choices[].finish_reason",
]);
/** Beneath the message of an answer, or the delta of a chunk. */
const MESSAGE_NAMES = new Set(["role", "tool_calls[].id", "tool_calls[].type", "audio.id", "audio.data"]);
const MESSAGE = /^choices\[\]\.(?:message|delta)\./;

export function isResponseContent(place: string): boolean {
  if (RESPONSE_NAMES.has(place)) return false;
  const message = MESSAGE.exec(place);
  return message === null || !MESSAGE_NAMES.has(place.slice(message[0].length));
}

/** Names in a delta come whole, and clients do not put them together: each is judged by itself. */
const WHOLE_IN_DELTA = new Set(["tool_calls[].function.name", "function_call.name"]);
const DELTA = "choices[].delta.";

/** Whether a string of a chunk is a piece of a text that goes on in other chunks. */
export function isPieceOfText(place: string): boolean {
  return place.startsWith(DELTA) && !WHOLE_IN_DELTA.has(place.slice(DELTA.length));
}
