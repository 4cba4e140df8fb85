import { sideOf } from "../../guardrails/separate-texts.ts";
import { isWireName } from "../../guardrails/wire-names.ts";
import type { JsonText } from "../../wire/json-texts.ts";
import type { ContentFormat, ContentKind, SiblingOf, TextPlaces } from "../content-format.ts";

/** Test of a value. */
type ValueTest = (value: string) => boolean;

const isOneOf = (names: string): ValueTest => {
  const known = new Set(names.split(" "));
  return (value) => known.has(value);
};

const isRole = isOneOf("user assistant system developer");
const isItemType = isOneOf(
  "message function_call function_call_output custom_tool_call custom_tool_call_output reasoning item_reference local_shell_call local_shell_call_output apply_patch_call apply_patch_call_output",
);
const isPartType = isOneOf(
  "input_text input_image input_file input_audio output_text refusal summary_text reasoning_text",
);
const isStatus = isOneOf("in_progress completed incomplete failed cancelled queued");
/** Matches ids of items and calls, without a number longer than a date. */
const isId: ValueTest = (value) =>
  /^(?:msg|rs|fc|ctc|call|toolu|tool|resp)[_.:-][\w.:-]{1,80}$|^[A-Za-z0-9]{1,9}$/.test(value) && !/\d{9}/.test(value);
/** Matches names of models and ids of answers: one word without a long number. */
const isName: ValueTest = (value) => /^[\w.:/@+-]{0,128}$/.test(value) && !/\d{13}/.test(value);
const isEffort = isOneOf("none minimal low medium high xhigh max");
const isSummary = isOneOf("auto concise detailed");
const isTier = isOneOf("auto default flex priority scale standard on_demand fast ultrafast");
const isFormat = isOneOf("text json_object json_schema");
const isVerbosity = isOneOf("low medium high");
const isToolType = isOneOf("function custom local_shell apply_patch");
const isChoice = isOneOf("none auto required");

/** Exempt values of a request, by place. */
const REQUEST_VALUES: Readonly<Record<string, ValueTest>> = {
  // Resolved to a model of the configuration.
  model: () => true,
  "input[].type": isItemType,
  "input[].role": isRole,
  "input[].id": isId,
  "input[].call_id": isId,
  "input[].status": isStatus,
  "input[].phase": isOneOf("commentary final_answer"),
  "input[].content[].type": isPartType,
  "input[].content[].detail": isOneOf("low high auto original"),
  "input[].output[].type": isPartType,
  "input[].output[].detail": isOneOf("low high auto original"),
  "input[].summary[].type": isPartType,
  "input[].content[].input_audio.format": isOneOf("wav mp3"),
  "tools[].type": isToolType,
  "tools[].format.type": isOneOf("text grammar"),
  "tools[].format.syntax": isOneOf("lark regex"),
  tool_choice: isChoice,
  "tool_choice.type": isOneOf("function custom allowed_tools"),
  "text.format.type": isFormat,
  "text.verbosity": isVerbosity,
  "reasoning.effort": isEffort,
  "reasoning.summary": isSummary,
  "include[]": isOneOf("reasoning.encrypted_content message.output_text.logprobs message.input_image.image_url"),
  service_tier: isTier,
  truncation: isOneOf("auto disabled"),
};

/** Places of numeric parameters. */
const REQUEST_NUMBERS = new Set(["max_output_tokens", "max_tool_calls", "temperature", "top_p", "top_logprobs"]);

/** Matches places of input that hold media, or references to media. */
const MEDIA =
  /^input\[\]\.(?:(?:content|output)(?:\[\])?\.(?:image_url|file_data|file_url|file_id|input_audio\.data)|encrypted_content|result)$/;
/** Matches texts of a message, or of the result of a tool, which models read as one text. */
const PART = /^input\[\]\.(?:content|output)(?:\[\](?:\.(?:text|refusal))?)?$/;
const RESULT = /^input\[\]\.output(?:$|\[)/;
const SUMMARY = "input[].summary[].text";

function requestKindOf(text: JsonText, value: () => string): ContentKind {
  const { kind, place } = text;
  if (kind === "name") return isExemptName(text, value()) ? "exempt" : "text";
  if (kind === "number") return REQUEST_NUMBERS.has(place) ? "exempt" : "text";
  const isExempt = Object.hasOwn(REQUEST_VALUES, place) ? REQUEST_VALUES[place] : undefined;
  if (isExempt !== undefined) return isExempt(value()) ? "exempt" : "text";
  return MEDIA.test(place) ? "media" : "text";
}

/** Exempt values of a response, by place. Those of an event are at the place that they have in the response: see `inResponse`. */
const ANSWER_VALUES: Readonly<Record<string, ValueTest>> = {
  id: isName,
  object: isOneOf("response"),
  model: isName,
  status: isStatus,
  service_tier: isTier,
  previous_response_id: isName,
  "incomplete_details.reason": isOneOf("max_output_tokens content_filter pause"),
  "output[].type": isItemType,
  "output[].id": isName,
  "output[].call_id": isName,
  "output[].role": isRole,
  "output[].status": isStatus,
  "output[].phase": isOneOf("commentary final_answer"),
  "output[].content[].type": isPartType,
  "output[].summary[].type": isPartType,
  "text.format.type": isFormat,
  "text.verbosity": isVerbosity,
  "reasoning.effort": isEffort,
  "reasoning.summary": isSummary,
  tool_choice: isChoice,
  "tools[].type": isToolType,
  truncation: isOneOf("auto disabled"),
  // Of events.
  type: (value) => /^(?:response(?:\.[a-z_]{1,40}){1,3}|error)$/.test(value),
  item_id: isName,
};

/** Matches places of counts, times and parameters, which no model writes. */
const ANSWER_NUMBERS =
  /^(?:created_at|completed_at|usage\..*|max_output_tokens|max_tool_calls|temperature|top_p|top_logprobs|frequency_penalty|presence_penalty|sequence_number|output_index|content_index|summary_index|annotation_index|.*\.(?:index|start_index|end_index))$/;

/** Place of a text in the response that an event is about. */
export function inResponse(place: string): string {
  if (place.startsWith("response.")) return place.slice("response.".length);
  if (place.startsWith("item.")) return `output[].${place.slice("item.".length)}`;
  return place.startsWith("part.") ? `output[].content[].${place.slice("part.".length)}` : place;
}

function answerKindOf(text: JsonText, value: () => string, siblingOf: SiblingOf): ContentKind {
  const { kind } = text;
  const place = inResponse(text.place);
  if (kind === "name") {
    return place.startsWith("usage.") || isExemptName({ ...text, place }, value()) ? "exempt" : "text";
  }
  if (kind === "number") return ANSWER_NUMBERS.test(place) || !/^-?\d+$/.test(value()) ? "exempt" : "text";
  const isExempt = Object.hasOwn(ANSWER_VALUES, place) ? ANSWER_VALUES[place] : undefined;
  if (isExempt !== undefined) return isExempt(value()) ? "exempt" : "text";
  if (place === "delta") return siblingOf("type") === AUDIO_DELTA ? "media" : "text";
  return ANSWER_MEDIA.test(place) ? "media" : "text";
}

/** Type of the events whose delta is audio. */
export const AUDIO_DELTA = "response.audio.delta";
/** Matches places of an answer that hold media, those of events included. */
const ANSWER_MEDIA = /^(?:output\[\]\.(?:result|content\[\]\.(?:image_url|data))|partial_image_b64)$/;

/** Names that the API defines, in addition to those that other APIs have too. */
const OWN_NAMES = new Set(
  `input instructions output item part response store previous_response_id conversation background include
  max_output_tokens max_tool_calls truncation reasoning status phase call_id item_id output_text input_text input_image
  input_file file_url encrypted_content incomplete_details reason created_at completed_at sequence_number output_index
  content_index summary_index annotation annotation_index annotations input_tokens output_tokens input_tokens_details
  output_tokens_details cache_write_tokens error safety_identifier prompt_cache_key prompt_cache_retention verbosity
  allowed_callers output_schema generate_summary include_obfuscation obfuscation delta arguments`.split(/\s+/),
);
const CLIENT_NAMES = /(?:^|\.)(?:properties|patternProperties|\$defs|definitions|metadata|variables)$/;

function isExemptName({ place }: Pick<JsonText, "place">, name: string): boolean {
  const parent = place.slice(0, Math.max(0, place.length - name.length - 1));
  return isWireName(name, parent) || (OWN_NAMES.has(name) && !CLIENT_NAMES.test(parent));
}

/** Message of the instructions, which come before those of the input. */
const SYSTEM = -1;

const REQUEST: TextPlaces = {
  kindOf: requestKindOf,
  sideOf: ({ place }, value) => {
    if (place === "input[].role") return sideOf(value());
    return RESULT.test(place) ? "user" : undefined;
  },
  messageOf: ({ kind, place, path }) => {
    if (kind !== "string") return undefined;
    if (place === "instructions") return SYSTEM;
    return PART.test(place) ? Number(path()[1]) : undefined;
  },
  listOf: ({ kind, place, path }) => (kind === "string" && place === SUMMARY ? `${path()[1]}` : undefined),
  isArguments: ({ kind, place }) => kind === "string" && place === "input[].arguments",
  opaque: new Set(["input[].content[].logprobs"]),
};

/** Places that repeat the tokens of the answer one by one. */
const LOGPROBS: ReadonlySet<string> = new Set(
  ["logprobs", "part.logprobs", "item.content[].logprobs", "output[].content[].logprobs"].concat(
    "response.output[].content[].logprobs",
  ),
);

const [TEXTS, THINKING] = [0, 1];
/** Matches texts of messages, and of reasoning. Clients read those of all items as one: a translated answer has one for each run. */
const ANSWER_PART = /^output\[\]\.content\[\]\.(?:text|refusal)$/;
const ANSWER_SUMMARY = /^output\[\]\.summary\[\]\.text$/;

const ANSWER: TextPlaces = {
  sideOf: () => undefined,
  kindOf: answerKindOf,
  messageOf: ({ kind, place }, siblingOf) => {
    if (kind !== "string") return undefined;
    const known = inResponse(place);
    if (ANSWER_SUMMARY.test(known)) return THINKING;
    if (!ANSWER_PART.test(known)) return undefined;
    return siblingOf("type") === "reasoning_text" ? THINKING : TEXTS;
  },
  listOf: () => undefined,
  isArguments: ({ kind, place }) => kind === "string" && /^(?:output\[\]\.)?arguments$/.test(inResponse(place)),
  opaque: LOGPROBS,
};

/** Content of responses. */
export const RESPONSES_CONTENT: ContentFormat = {
  request: REQUEST,
  answer: ANSWER,
  isSeparateAnswer: (json) => (json.match(TEXT)?.length ?? 0) <= 1 && !OTHER_PLACE.test(json),
};

/** Matches the text of a part: not that of the format, which is an object. */
const TEXT = /"(?:text|refusal)"\s*:\s*"/g;
/** Matches members of an answer that hold media, or repeat its tokens. */
const OTHER_PLACE =
  /"(?:image_url|result|data|partial_image_b64|logprobs)"\s*:\s*(?!\[\s*\]|null)|"response\.audio\.delta"/;
