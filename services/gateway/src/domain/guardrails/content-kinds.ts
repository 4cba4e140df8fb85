import type { JsonText } from "../wire/json-texts.ts";
import { isWireName } from "./wire-names.ts";

/**
 * Classification of the strings, names and numbers of a request and of an answer. Whatever is not known to be something else is
 * content: a member that is not known must not be a way around a guardrail, nor an unexpected value of one that is.
 */

/**
 * - `exempt`: no content, such as a role, an id or a count. Only with a value that is known, or that has the form of an id.
 * - `text`: judged.
 * - `media`: stands where media stand: judged if it is text, uninspectable if it is not.
 */
export type ContentKind = "exempt" | "text" | "media";

type Value = (value: string) => boolean;

const words = (names: string): Value => {
  const known = new Set(names.split(" "));
  return (value) => known.has(value);
};

const isRole = words("system developer user assistant tool function");
const isCallType = words("function custom");
/** Matches call ids as providers make them, e.g. `call_…`, `toolu_…`, with no number in them that is longer than a date. */
const isCallId: Value = (value) =>
  /^(?:(?:call|toolu|tool|chatcmpl-tool|fc|tc|ws|functions)[_.:-])?[\w.:-]{1,64}$/.test(value) &&
  /^(?:call|toolu|tool|chatcmpl-tool|fc|tc|ws|functions)[_.:-]|^[A-Za-z0-9]{1,9}$/.test(value) &&
  !/\d{9}/.test(value);
/** Names of models and ids of answers: no text of more than one word. */
const isName: Value = (value) => /^[\w.:/@+-]{0,128}$/.test(value) && !/\d{13}/.test(value);

const REQUEST_VALUES: Readonly<Record<string, Value>> = {
  // Resolved to a model of the configuration.
  model: () => true,
  "messages[].role": isRole,
  "messages[].tool_call_id": isCallId,
  "messages[].tool_calls[].id": isCallId,
  "messages[].tool_calls[].type": isCallType,
  "messages[].content[].type": words(
    "text image_url input_audio file refusal thinking redacted_thinking video_url audio_url input_text input_image input_file",
  ),
  "messages[].content[].image_url.detail": words("low high auto"),
  "messages[].content[].input_audio.format": words("wav mp3 flac opus ogg pcm16 aac m4a webm"),
  "messages[].content[].cache_control.type": words("ephemeral"),
  "messages[].cache_control.type": words("ephemeral"),
  "tools[].type": isCallType,
  tool_choice: words("none auto required any"),
  "tool_choice.type": words("function custom allowed_tools"),
  "response_format.type": words("text json_object json_schema grammar"),
  service_tier: words("auto default flex priority scale standard standard_only on_demand"),
  reasoning_effort: words("none minimal low medium high xhigh max"),
  "reasoning.effort": words("none minimal low medium high xhigh max"),
  verbosity: words("low medium high"),
  "modalities[]": words("text audio image"),
};

/** Parameters that are numbers. */
const REQUEST_NUMBERS = new Set(
  "n max_tokens max_completion_tokens temperature top_p top_k min_p top_a seed presence_penalty frequency_penalty repetition_penalty top_logprobs reasoning.max_tokens".split(
    " ",
  ),
);
const LOGIT_BIAS = /^logit_bias\.\d{1,7}$/;

/** Members of messages that hold media, or refer to them. */
const MEDIA =
  /^messages\[\](?=\.).*[.\]_](?:url|uri|data|bytes|b64_json|base64|file_id|file|image|images|video|audio|document|media|encrypted_content)(?:\[\])*$/;
const AUDIO_ID = "messages[].audio.id";
/** Members of messages that may end like those, and are text. */
const NO_MEDIA = /^messages\[\]\.(?:annotations|tool_calls|function_call)/;

export function requestContentOf(text: JsonText, value: () => string): ContentKind {
  const { kind, place } = text;
  if (kind === "name") return isExemptName(text, value()) ? "exempt" : "text";
  if (kind === "number") return REQUEST_NUMBERS.has(place) || LOGIT_BIAS.test(place) ? "exempt" : "text";
  const isKnown = Object.hasOwn(REQUEST_VALUES, place) ? REQUEST_VALUES[place] : undefined;
  if (isKnown !== undefined) return isKnown(value()) ? "exempt" : "text";
  return place === AUDIO_ID || (MEDIA.test(place) && !NO_MEDIA.test(place)) ? "media" : "text";
}

/** True if a string is a part of the text of a message; the parts of a text are read as one. */
export function isPartOfMessage({ kind, place }: JsonText): boolean {
  return kind === "string" && PART.test(place);
}

const PART =
  /^(?:messages|choices\[\]\.message|choices\[\]\.delta)(?:\[\])?\.content(?:\[\])?(?:\.(?:text|refusal|content))?$/;

/** True if a string stands in a list of a message, or of a prediction, e.g. the text of a step of reasoning. */
export function isInListOfMessage(text: JsonText): boolean {
  return text.kind === "string" && IN_LIST.test(text.place) && !isArguments(text);
}

const IN_LIST = /^(?:messages\[\]|choices\[\]\.message|prediction)\.(?!tool_calls|annotations).*\[\]/;

/** True if a string of a chunk is a piece of reasoning: clients append them, whatever their places in the list. */
export function isReasoningPiece({ place }: JsonText): boolean {
  return /^choices\[\]\.(?:delta|message)\.reasoning_details\[\]\.(?:text|summary)$/.test(place);
}

/** True if a string is the JSON arguments of a tool call: clients parse it, so that it has to stay valid. */
export function isArguments({ kind, place }: JsonText): boolean {
  return kind === "string" && ARGUMENTS.test(place);
}

const ARGUMENTS =
  /^(?:messages\[\]|choices\[\]\.(?:message|delta)(?:\[\])?)\.(?:tool_calls\[\]\.function|function_call)\.arguments$/;

/** The tokens of the answer once more, each by itself: where patterns are to be found they cannot be passed on. */
export const LOGPROBS: ReadonlySet<string> = new Set([
  "choices[].logprobs",
  "choices[].delta.logprobs",
  "choices[].message.logprobs",
  "choices[].prompt_logprobs",
  "choices[].token_ids",
  "prompt_logprobs",
  "prompt_token_ids",
]);

const RESPONSE_VALUES: Readonly<Record<string, Value>> = {
  id: isName,
  object: words("chat.completion chat.completion.chunk text_completion"),
  model: isName,
  system_fingerprint: isName,
  service_tier: words("auto default flex priority scale standard on_demand"),
  "choices[].finish_reason": words(
    "stop length tool_calls function_call content_filter error eos end_turn max_tokens tool_use stop_sequence insufficient_system_resource null",
  ),
};
/** Beneath the message of an answer, or the delta of a chunk. */
const MESSAGE_VALUES: Readonly<Record<string, Value>> = {
  role: isRole,
  "tool_calls[].id": isName,
  "tool_calls[].type": isCallType,
  "audio.id": isName,
};
const MESSAGE = /^choices\[\]\.(?:message|delta)\./;
const RESPONSE_MEDIA =
  /^choices\[\]\.(?:message|delta)(?=[.[]).*[.\]_](?:image_url\.url|image_url|audio\.data|b64_json|base64|images|image|video|inline_data\.data)(?:\[\])*$/;
/** Counts and times: no model writes them. */
const RESPONSE_NUMBERS =
  /^(?:created|usage\..*|timings\..*|x_groq\..*|time_info\..*|choices\[\]\.index|(?:.*\.)?(?:index|start_index|end_index|expires_at|severity))$/;

export function responseContentOf(text: JsonText, value: () => string): ContentKind {
  const { kind, place } = text;
  if (kind === "name") return place.startsWith("usage.") || isExemptName(text, value()) ? "exempt" : "text";
  if (kind === "number") return RESPONSE_NUMBERS.test(place) || !/^-?\d+$/.test(value()) ? "exempt" : "text";
  const inMessage = place.replace(MESSAGE, "");
  const values = inMessage === place ? RESPONSE_VALUES : MESSAGE_VALUES;
  const isKnown = Object.hasOwn(values, inMessage) ? values[inMessage] : undefined;
  if (isKnown !== undefined) return isKnown(value()) ? "exempt" : "text";
  return RESPONSE_MEDIA.test(place) ? "media" : "text";
}

function isExemptName({ place }: JsonText, name: string): boolean {
  const parent = place.slice(0, Math.max(0, place.length - name.length - 1));
  return isWireName(name, parent) || (parent === "logit_bias" && LOGIT_BIAS.test(place));
}

/** Names of tools come whole, and clients do not put them together: each is let out in the chunk in which it came. */
const WHOLE_IN_CHUNK =
  /^choices\[\]\.(?:delta|message)(?:\[\])?\.(?:tool_calls\[\]\.)?(?:function|custom|function_call)\.name$/;

/** Whether a string of a chunk is a piece of a text that goes on in other chunks. */
export function isPieceOfText({ kind, place }: JsonText): boolean {
  return kind === "string" && place.startsWith("choices[].") && !isToolName(place);
}

export function isToolName(place: string): boolean {
  return WHOLE_IN_CHUNK.test(place);
}
