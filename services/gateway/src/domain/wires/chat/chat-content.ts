import { isSeparateAnswer, sideOf } from "../../guardrails/separate-texts.ts";
import { isWireName } from "../../guardrails/wire-names.ts";
import type { JsonText } from "../../wire/json-texts.ts";
import type { ContentFormat, ContentKind, TextPlaces } from "../content-format.ts";

/** Test of a value. */
type ValueTest = (value: string) => boolean;

const isOneOf = (names: string): ValueTest => {
  const known = new Set(names.split(" "));
  return (value) => known.has(value);
};

const isRole = isOneOf("system developer user assistant tool function");
const isCallType = isOneOf("function custom");
/** Matches ids of tool calls as providers make them, e.g. `call_…`, `toolu_…`, without a number longer than a date. */
const isCallId: ValueTest = (value) =>
  /^(?:(?:call|toolu|tool|chatcmpl-tool|fc|tc|ws|functions)[_.:-])?[\w.:-]{1,64}$/.test(value) &&
  /^(?:call|toolu|tool|chatcmpl-tool|fc|tc|ws|functions)[_.:-]|^[A-Za-z0-9]{1,9}$/.test(value) &&
  !/\d{9}/.test(value);
/** Matches names of models and ids of answers: one word without a long number. */
const isName: ValueTest = (value) => /^[\w.:/@+-]{0,128}$/.test(value) && !/\d{13}/.test(value);

/** Exempt values in a request, by place. */
const REQUEST_VALUES: Readonly<Record<string, ValueTest>> = {
  // Resolved to a model of the configuration.
  model: () => true,
  "messages[].role": isRole,
  "messages[].tool_call_id": isCallId,
  "messages[].tool_calls[].id": isCallId,
  "messages[].tool_calls[].type": isCallType,
  "messages[].content[].type": isOneOf(
    "text image_url input_audio file refusal thinking redacted_thinking video_url audio_url input_text input_image input_file",
  ),
  "messages[].content[].image_url.detail": isOneOf("low high auto"),
  "messages[].content[].input_audio.format": isOneOf("wav mp3 flac opus ogg pcm16 aac m4a webm"),
  "messages[].content[].cache_control.type": isOneOf("ephemeral"),
  "messages[].cache_control.type": isOneOf("ephemeral"),
  "tools[].type": isCallType,
  tool_choice: isOneOf("none auto required any"),
  "tool_choice.type": isOneOf("function custom allowed_tools"),
  "response_format.type": isOneOf("text json_object json_schema grammar"),
  service_tier: isOneOf("auto default flex priority scale standard standard_only on_demand"),
  reasoning_effort: isOneOf("none minimal low medium high xhigh max"),
  "reasoning.effort": isOneOf("none minimal low medium high xhigh max"),
  verbosity: isOneOf("low medium high"),
  "modalities[]": isOneOf("text audio image"),
};

/** Places of numeric parameters. */
const REQUEST_NUMBERS = new Set(
  "n max_tokens max_completion_tokens temperature top_p top_k min_p top_a seed presence_penalty frequency_penalty repetition_penalty top_logprobs reasoning.max_tokens".split(
    " ",
  ),
);
const LOGIT_BIAS = /^logit_bias\.\d{1,7}$/;

/** Matches places in messages that hold media, or references to media. */
const MEDIA =
  /^messages\[\](?=\.).*[.\]_](?:url|uri|data|bytes|b64_json|base64|file_id|file|image|images|video|audio|document|media|encrypted_content)(?:\[\])*$/;
const AUDIO_ID = "messages[].audio.id";
/** Matches places in messages that end like those of media, and hold text. */
const NO_MEDIA = /^messages\[\]\.(?:annotations|tool_calls|function_call)/;

/** Kind of a text of a request. */
function requestContentKindOf(text: JsonText, value: () => string): ContentKind {
  const { kind, place } = text;
  if (kind === "name") return isExemptName(text, value()) ? "exempt" : "text";
  if (kind === "number") return REQUEST_NUMBERS.has(place) || LOGIT_BIAS.test(place) ? "exempt" : "text";
  const isExempt = Object.hasOwn(REQUEST_VALUES, place) ? REQUEST_VALUES[place] : undefined;
  if (isExempt !== undefined) return isExempt(value()) ? "exempt" : "text";
  return place === AUDIO_ID || (MEDIA.test(place) && !NO_MEDIA.test(place)) ? "media" : "text";
}

/** True if a string is a part of the content of a message; the parts are read as one text. */
export function isPartOfMessage({ kind, place }: JsonText): boolean {
  return kind === "string" && PART.test(place);
}

const PART =
  /^messages\[\]\.refusal$|^(?:messages|choices\[\]\.message|choices\[\]\.delta)(?:\[\])?\.content(?:\[\])?(?:\.(?:text|refusal|content))?$/;

/** True if a string is in a list of a message, or of a prediction, e.g. the text of a step of reasoning. */
function isInListOfMessage(text: JsonText): boolean {
  return text.kind === "string" && IN_LIST.test(text.place) && !isArguments(text);
}

const IN_LIST = /^(?:messages\[\]|choices\[\]\.message|prediction)\.(?!tool_calls|annotations).*\[\]/;

/** True if a string of a chunk is a piece of reasoning. Clients append the pieces, whatever their positions in the list. */
export function isReasoningPiece({ place }: JsonText): boolean {
  return /^choices\[\]\.(?:delta|message)\.reasoning_details\[\]\.(?:text|summary)$/.test(place);
}

/** True if a string is the arguments of a tool call: clients parse it as JSON, so it must stay valid. */
export function isArguments({ kind, place }: JsonText): boolean {
  return kind === "string" && ARGUMENTS.test(place);
}

const ARGUMENTS =
  /^(?:messages\[\]|choices\[\]\.(?:message|delta)(?:\[\])?)\.(?:tool_calls\[\]\.function|function_call)\.arguments$/;

/** Places that repeat the tokens of the answer one by one. They cannot be judged, and become `null` if rules are enforced. */
export const LOGPROBS: ReadonlySet<string> = new Set([
  "choices[].logprobs",
  "choices[].delta.logprobs",
  "choices[].message.logprobs",
  "choices[].prompt_logprobs",
  "choices[].token_ids",
  "prompt_logprobs",
  "prompt_token_ids",
]);

/** Exempt values in an answer, by place. */
const RESPONSE_VALUES: Readonly<Record<string, ValueTest>> = {
  id: isName,
  object: isOneOf("chat.completion chat.completion.chunk text_completion"),
  model: isName,
  system_fingerprint: isName,
  service_tier: isOneOf("auto default flex priority scale standard on_demand"),
  "choices[].finish_reason": isOneOf(
    "stop length tool_calls function_call content_filter error eos end_turn max_tokens tool_use stop_sequence insufficient_system_resource null",
  ),
};
/** Exempt values in the message of an answer, or the delta of a chunk, by place within it. */
const MESSAGE_VALUES: Readonly<Record<string, ValueTest>> = {
  role: isRole,
  "tool_calls[].id": isName,
  "tool_calls[].type": isCallType,
  "audio.id": isName,
};
const MESSAGE = /^choices\[\]\.(?:message|delta)\./;
const RESPONSE_MEDIA =
  /^choices\[\]\.(?:message|delta)(?=[.[]).*[.\]_](?:image_url\.url|image_url|audio\.data|b64_json|base64|images|image|video|inline_data\.data)(?:\[\])*$/;
/** Matches places of counts and times, which no model writes. */
const RESPONSE_NUMBERS =
  /^(?:created|usage\..*|timings\..*|x_groq\..*|time_info\..*|choices\[\]\.index|(?:.*\.)?(?:index|start_index|end_index|expires_at|severity))$/;

/** Kind of a text of an answer, or of a chunk of one. */
export function responseContentKindOf(text: JsonText, value: () => string): ContentKind {
  const { kind, place } = text;
  if (kind === "name") return place.startsWith("usage.") || isExemptName(text, value()) ? "exempt" : "text";
  if (kind === "number") return RESPONSE_NUMBERS.test(place) || !/^-?\d+$/.test(value()) ? "exempt" : "text";
  const { isExempt, isMedia } = responsePlaceOf(place);
  if (isExempt !== undefined) return isExempt(value()) ? "exempt" : "text";
  return isMedia ? "media" : "text";
}

/** Classification of a string of an answer by its place alone. */
interface ResponsePlace {
  /** Test of the values that are not content; undefined if all are content. */
  readonly isExempt: ValueTest | undefined;
  readonly isMedia: boolean;
}

/** Places that were classified lately: answers repeat a dozen, and the expressions for one take 1 us. Cleared when it is full. */
const responsePlaces = new Map<string, ResponsePlace>();
const MAX_RESPONSE_PLACES = 500;

function responsePlaceOf(place: string): ResponsePlace {
  const known = responsePlaces.get(place);
  if (known !== undefined) return known;
  const placeInMessage = place.replace(MESSAGE, "");
  const values = placeInMessage === place ? RESPONSE_VALUES : MESSAGE_VALUES;
  const isExempt = Object.hasOwn(values, placeInMessage) ? values[placeInMessage] : undefined;
  if (responsePlaces.size >= MAX_RESPONSE_PLACES) responsePlaces.clear();
  const classified = { isExempt, isMedia: RESPONSE_MEDIA.test(place) };
  // A copy: the place can be a view of the whole answer, which it would keep in memory.
  responsePlaces.set(place.split("").join(""), classified);
  return classified;
}

function isExemptName({ place }: JsonText, name: string): boolean {
  const parent = place.slice(0, Math.max(0, place.length - name.length - 1));
  return isWireName(name, parent) || (parent === "logit_bias" && LOGIT_BIAS.test(place));
}

/** Matches names of tools. They are sent whole, and clients do not join them: each is judged in its own chunk. */
const TOOL_NAME =
  /^choices\[\]\.(?:delta|message)(?:\[\])?\.(?:tool_calls\[\]\.)?(?:function|custom|function_call)\.name$/;

/** True if a string of a chunk is a piece of a text that other chunks continue. */
export function isPieceOfText({ kind, place }: JsonText): boolean {
  return kind === "string" && place.startsWith("choices[].") && !isToolName(place);
}

export function isToolName(place: string): boolean {
  return TOOL_NAME.test(place);
}

/** Message that a part is of: its position in the list of messages, or of choices. */
function messageOf(text: JsonText): number | undefined {
  return isPartOfMessage(text) ? Number(text.path()[1] ?? 0) : undefined;
}

function listOf(text: JsonText): string | undefined {
  return isInListOfMessage(text) ? `${text.path()[1]} ${text.place}` : undefined;
}

const NO_PLACES: ReadonlySet<string> = new Set();
const SHARED: Pick<TextPlaces, "sideOf" | "messageOf" | "listOf" | "isArguments"> = {
  sideOf: ({ place }, value) => (place === "messages[].role" ? sideOf(value()) : undefined),
  messageOf,
  listOf,
  isArguments,
};

/** Position of a part in its message: a refusal comes behind the content. */
function ordersOf({ place }: JsonText): readonly (readonly number[])[] {
  return [[place === "messages[].refusal" ? 1 : 0]];
}

/** Content of chat completions. */
export const CHAT_CONTENT: ContentFormat = {
  request: { ...SHARED, ordersOf, kindOf: requestContentKindOf, opaque: NO_PLACES },
  answer: { ...SHARED, kindOf: responseContentKindOf, opaque: LOGPROBS },
  isSeparateAnswer,
};
