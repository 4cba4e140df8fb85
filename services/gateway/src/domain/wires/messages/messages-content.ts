import { sideOf } from "../../guardrails/separate-texts.ts";
import { isWireName } from "../../guardrails/wire-names.ts";
import type { JsonText } from "../../wire/json-texts.ts";
import type { ContentFormat, ContentKind, SiblingOf, TextPlaces, ValueAt } from "../content-format.ts";

/** Test of a value. */
type ValueTest = (value: string) => boolean;

const isOneOf = (names: string): ValueTest => {
  const known = new Set(names.split(" "));
  return (value) => known.has(value);
};

const isRole = isOneOf("user assistant system");
const isBlockType = isOneOf(
  "text image document search_result tool_use tool_result thinking redacted_thinking server_tool_use web_search_tool_result",
);
/** Matches ids of tool calls, without a number longer than a date. */
const isCallId: ValueTest = (value) =>
  /^(?:call|toolu|srvtoolu|fc)[_.:-][\w.:-]{1,64}$|^[A-Za-z0-9]{1,9}$/.test(value) && !/\d{9}/.test(value);
/** Matches names of models and ids of answers: one word without a long number. */
const isName: ValueTest = (value) => /^[\w.:/@+-]{0,128}$/.test(value) && !/\d{13}/.test(value);
const isMediaType = isOneOf("image/jpeg image/png image/gif image/webp application/pdf text/plain");

/** Exempt values of the blocks of a request, by place within the block. */
const BLOCK_VALUES: Readonly<Record<string, ValueTest>> = {
  type: isBlockType,
  id: isCallId,
  tool_use_id: isCallId,
  "source.type": isOneOf("base64 url text content file"),
  "source.media_type": isMediaType,
  "cache_control.type": isOneOf("ephemeral"),
  "cache_control.ttl": isOneOf("5m 1h"),
};

/** Exempt values of a request, by place. */
const REQUEST_VALUES: Readonly<Record<string, ValueTest>> = {
  // Resolved to a model of the configuration.
  model: () => true,
  "messages[].role": isRole,
  "tools[].type": isOneOf("custom"),
  "tools[].cache_control.type": isOneOf("ephemeral"),
  "tools[].cache_control.ttl": isOneOf("5m 1h"),
  "cache_control.type": isOneOf("ephemeral"),
  "cache_control.ttl": isOneOf("5m 1h"),
  "tool_choice.type": isOneOf("auto any tool none"),
  "thinking.type": isOneOf("enabled disabled adaptive"),
  "thinking.display": isOneOf("summarized omitted"),
  "output_config.effort": isOneOf("low medium high xhigh max"),
  "output_config.format.type": isOneOf("json_schema"),
  "output_format.type": isOneOf("json_schema"),
  service_tier: isOneOf("auto standard_only"),
};

/** Places of numeric parameters. */
const REQUEST_NUMBERS = new Set(["max_tokens", "temperature", "top_p", "top_k", "thinking.budget_tokens"]);

/** Matches the place of a block: in messages, in the system prompt, and in results and documents, of which one can be in another. */
const BLOCK = /^(?:messages\[\]\.content|system)\[\](?:\.content\[\]|\.source\.content\[\])*\./;
/** Matches places of blocks that hold media, or references to media. */
const MEDIA = /^(?:source\.(?:data|url|file_id)|file_id|data|encrypted_content|content\[\]\.encrypted_content)$/;
/** Matches texts of blocks that models read as one text. */
const PART = /^(?:text|content|title|context|source|source\.(?:data|content))$/;
/** Members of a block in the order in which models read them. */
const MEMBERS = ["title", "context", "source", "content"];

function requestKindOf(text: JsonText, value: () => string, siblingOf: SiblingOf): ContentKind {
  const { kind, place } = text;
  if (kind === "name") return isExemptName(text, value()) ? "exempt" : "text";
  if (kind === "number") return REQUEST_NUMBERS.has(place) ? "exempt" : "text";
  const placeInBlock = place.replace(BLOCK, "");
  const isInBlock = placeInBlock !== place;
  const values = isInBlock ? BLOCK_VALUES : REQUEST_VALUES;
  const isExempt = Object.hasOwn(values, placeInBlock) ? values[placeInBlock] : undefined;
  if (isExempt !== undefined) return isExempt(value()) ? "exempt" : "text";
  if (!isInBlock || !MEDIA.test(placeInBlock)) return "text";
  // A document can be plain text.
  const isText = placeInBlock === "source.data" && (siblingOf("type") === "text" || !BASE64.test(value()));
  return isText ? "text" : "media";
}

const BASE64 = /^[A-Za-z0-9+/_=\s-]*$/;

/** Message that a text is a part of: by its position; that of the system for the system prompt. */
function messageOfRequest({ kind, place, path }: JsonText): number | undefined {
  if (kind !== "string") return undefined;
  if (place === "messages[].content") return Number(path()[1]);
  if (place === "system") return SYSTEM;
  if (!BLOCK.test(place) || !PART.test(place.replace(BLOCK, ""))) return undefined;
  return place.startsWith("system") ? SYSTEM : Number(path()[1]);
}

const SYSTEM = -1;

/** Positions of a part in its message: by its block and the order of its members; and with all results of tools first. */
function ordersOf({ path }: JsonText, valueAt: ValueAt): readonly (readonly number[])[] {
  const steps = path();
  const [list] = steps;
  if (list !== "messages") return [];
  const within = steps.slice(3).map((step) => (typeof step === "number" ? step : MEMBERS.indexOf(step)));
  const isResult = steps[4] === "content" && valueAt([...steps.slice(0, 4), "type"]) === "tool_result";
  return [within, [isResult ? 0 : 1, ...within]];
}

/** Exempt values of an answer, or an event of one, by place; those of events are within `message`, `content_block` and `delta`. */
const ANSWER_VALUES: Readonly<Record<string, ValueTest>> = {
  id: isName,
  type: isOneOf(
    "message message_start message_delta message_stop content_block_start content_block_delta content_block_stop ping error",
  ),
  role: isRole,
  model: isName,
  stop_reason: isOneOf(
    "end_turn max_tokens stop_sequence tool_use pause_turn refusal model_context_window_exceeded compaction",
  ),
  "usage.service_tier": isOneOf("standard priority batch"),
  "usage.inference_geo": isName,
  "delta.type": isOneOf("text_delta input_json_delta thinking_delta signature_delta citations_delta"),
};
/** Exempt values of the blocks of an answer, by place within the block. */
const ANSWER_BLOCK_VALUES: Readonly<Record<string, ValueTest>> = {
  type: isBlockType,
  id: isName,
  "caller.type": isName,
};

const ANSWER_BLOCK = /^(?:content\[\]|content_block)\./;
const ANSWER_MEDIA = /^(?:source\.data|data|encrypted_content|content\[\]\.encrypted_content)$/;
/** Matches places of counts, which no model writes. */
const ANSWER_NUMBERS = /^(?:usage\..*|message\.usage\..*|index|context_management\..*)$/;

function answerKindOf(text: JsonText, value: () => string): ContentKind {
  const { kind, place } = text;
  if (kind === "name") return /(?:^|\.)usage\./.test(place) || isExemptName(text, value()) ? "exempt" : "text";
  if (kind === "number") return ANSWER_NUMBERS.test(place) || !/^-?\d+$/.test(value()) ? "exempt" : "text";
  const placeInBlock = place.replace(ANSWER_BLOCK, "");
  const isInBlock = placeInBlock !== place;
  const known = isInBlock ? placeInBlock : place.replace(/^message\.|^delta\.(?=stop_reason$)/, "");
  const values = isInBlock ? ANSWER_BLOCK_VALUES : ANSWER_VALUES;
  const isExempt = Object.hasOwn(values, known) ? values[known] : undefined;
  if (isExempt !== undefined) return isExempt(value()) ? "exempt" : "text";
  return isInBlock && ANSWER_MEDIA.test(placeInBlock) ? "media" : "text";
}

function isExemptName({ place }: JsonText, name: string): boolean {
  return isWireName(name, place.slice(0, Math.max(0, place.length - name.length - 1)));
}

const NO_PLACES: ReadonlySet<string> = new Set();
const SHARED = { sideOf: () => undefined, isArguments: () => false, opaque: NO_PLACES };

const REQUEST: TextPlaces = {
  ...SHARED,
  sideOf: ({ place }, value) => (place === "messages[].role" ? sideOf(value()) : undefined),
  kindOf: requestKindOf,
  messageOf: messageOfRequest,
  ordersOf,
  listOf: ({ kind, place, path }) =>
    kind === "string" && place === "messages[].content[].thinking" ? `thinking ${path()[1]}` : undefined,
};
const ANSWER: TextPlaces = {
  ...SHARED,
  kindOf: answerKindOf,
  messageOf: ({ kind, place }) => (kind === "string" && place === "content[].text" ? 0 : undefined),
  listOf: ({ kind, place }) => (kind === "string" && place === "content[].thinking" ? "thinking" : undefined),
  isArguments: ({ kind, place }) => kind === "string" && place === "delta.partial_json",
};

/** Content of messages. */
export const MESSAGES_CONTENT: ContentFormat = {
  request: REQUEST,
  answer: ANSWER,
  isSeparateAnswer: (json) => json.indexOf(TEXT) === json.lastIndexOf(TEXT) && !OTHER_PLACE.test(json),
};

const TEXT = '"text":';
/** Matches members of an answer that hold media or texts in parts. */
const OTHER_PLACE = /"(?:data|encrypted_content|citations|thinking|url|source)"\s*:\s*[^n\s]|"text"\s+:/;
