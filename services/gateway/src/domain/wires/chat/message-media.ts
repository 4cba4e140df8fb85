import { isObject } from "../../wire/json.ts";
import { badField } from "../../errors/refusal.ts";
import type { InputCollector } from "../../request/input-collector.ts";

type JsonObject = Readonly<Record<string, unknown>>;

/** Members of a message other than `content`, with the shape in which their bytes bound their tokens. */
const TEXT_MEMBERS: ReadonlyMap<string, (value: unknown) => boolean> = new Map([
  ["role", isText],
  ["name", isText],
  ["refusal", isText],
  ["tool_call_id", isText],
  ["tool_calls", isListOf(isToolCall)],
  ["function_call", (value) => isObject(value) && hasOnly(value, CALLED_FUNCTION_MEMBERS)],
  ["cache_control", isCacheControl],
  // Reasoning of earlier answers, as DeepSeek, OpenRouter and LiteLLM return it and take it back.
  ["reasoning", isText],
  ["reasoning_content", isText],
  ["thinking", isText],
  ["reasoning_details", isListOf(isReasoningDetail)],
  ["thinking_blocks", isListOf(isTextPart)],
  ["provider_specific_fields", isObject],
  ["extra_content", isSignature],
  // Cohere's reasoning before its tool calls.
  ["tool_plan", isText],
  // OpenRouter's annotations may also repeat a file with its images.
  [
    "annotations",
    isListOf(
      (annotation) =>
        isObject(annotation) && annotation["type"] === "url_citation" && hasOnly(annotation, CITATION_MEMBERS),
    ),
  ],
]);

const CALLED_FUNCTION_MEMBERS = new Set(["name", "arguments", "input"]);
const TOOL_CALL_MEMBERS = new Set([
  "id",
  "type",
  "index",
  "function",
  "custom",
  "cache_control",
  "extra_content",
  "provider_specific_fields",
]);
const CITATION_MEMBERS = new Set(["type", "url_citation"]);

const IMAGE_MEMBERS = new Set(["url", "detail", "format"]);
const AUDIO_MEMBERS = new Set(["data", "format"]);
const FILE_MEMBERS = new Set(["file_data", "filename"]);

/** Members of any part, in addition to its content. */
const COMMON_PART_MEMBERS = ["type", "cache_control", "prompt_cache_breakpoint"];

interface KnownPart {
  readonly members: ReadonlySet<string>;
  /** Adds the content of a part. @returns false if it may be of any length */
  collect(part: JsonObject, input: InputCollector): boolean;
}

const KNOWN_PARTS: ReadonlyMap<unknown, KnownPart> = new Map(
  Object.entries({
    text: { members: membersOf("text"), collect: ({ text }, input) => collectText(text, input) },
    refusal: { members: membersOf("refusal"), collect: ({ refusal }, input) => collectText(refusal, input) },
    thinking: {
      members: membersOf("thinking", "signature"),
      collect: ({ thinking, signature }, input) => collectText(thinking, input) && collectText(signature, input),
    },
    redacted_thinking: { members: membersOf("data"), collect: ({ data }, input) => collectText(data, input) },
    image_url: { members: membersOf("image_url"), collect: ({ image_url }, input) => collectImage(image_url, input) },
    input_audio: {
      members: membersOf("input_audio"),
      collect: ({ input_audio }, input) => collectAudio(input_audio, input),
    },
    file: { members: membersOf("file"), collect: ({ file }, input) => collectFile(file, input) },
  } satisfies Record<string, KnownPart>),
);

function membersOf(...names: readonly string[]): ReadonlySet<string> {
  return new Set([...COMMON_PART_MEMBERS, ...names]);
}

/**
 * Collects the input of messages: texts; images, audio and files in base64, which count by what they hold and not as text; and
 * everything of unknown shape by its bytes, and additionally as a file, because it may refer to something of any length.
 *
 * @throws Refusal 400 that names the content or part which has no shape that the API knows
 */
export function collectMessages(messages: readonly JsonObject[], input: InputCollector): void {
  messages.forEach((message, index) => {
    input.messages++;
    for (const [name, value] of Object.entries(message)) {
      if (name === "content") collectContent(value, `messages[${index}].content`, input);
      else collectMember(name, value, input);
    }
  });
}

function collectContent(content: unknown, path: string, input: InputCollector): void {
  if (content === null || typeof content === "string") return input.addText(content);
  if (!Array.isArray(content)) throw badField(path, "must be a string or an array of parts");
  content.forEach((part: unknown, index) => {
    if (!isObject(part)) throw badField(`${path}[${index}]`, "must be an object");
    collectPart(part, input);
  });
}

function collectPart(part: JsonObject, input: InputCollector): void {
  const known = KNOWN_PARTS.get(part["type"]);
  const { cache_control: caching, prompt_cache_breakpoint: breakpoint } = part;
  const hasKnownShape = known !== undefined && hasOnly(part, known.members);
  if (hasKnownShape && (isEmpty(caching) || isCacheControl(caching)) && known.collect(part, input)) {
    input.addOther(caching);
    input.addOther(breakpoint);
    input.addNames(part, known.members);
  } else addUnknown(part, input);
}

/** Adds a value of unknown kind. */
function addUnknown(value: unknown, input: InputCollector, name = ""): void {
  input.addOther(name);
  input.addOther(value);
  input.addMedium({ kind: "file", base64: undefined, mediaType: undefined });
}

/** Roles and values of that kind: templates make them a token or two, which the allowance for a message covers. */
const MAX_ROLE_CHARS = 20;

function collectMember(name: string, value: unknown, input: InputCollector): void {
  if (isEmpty(value)) {
    if (!TEXT_MEMBERS.has(name)) input.addOther(name);
    return input.addOther(value);
  }
  if (TEXT_MEMBERS.get(name)?.(value) !== true) return addUnknown(value, input, name);
  if (name === "role" && typeof value === "string" && value.length <= MAX_ROLE_CHARS) return;
  if (name === "tool_calls" && Array.isArray(value)) input.toolCalls += value.length;
  if (name === "function_call") input.toolCalls++;
  input.addTextsOf(value);
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}

function isReasoningDetail(detail: unknown): boolean {
  return isObject(detail) && typeof detail["type"] === "string" && detail["type"].startsWith("reasoning.");
}

function isListOf(isElement: (element: unknown) => boolean): (value: unknown) => boolean {
  return (value) => Array.isArray(value) && value.every(isElement);
}

const TEXT_PARTS: ReadonlySet<unknown> = new Set(["text", "refusal", "thinking", "redacted_thinking"]);

function isTextPart(part: unknown): boolean {
  if (!isObject(part) || !TEXT_PARTS.has(part["type"])) return false;
  const known = KNOWN_PARTS.get(part["type"]);
  const isTextOrCaching = (value: unknown) => isEmpty(value) || isText(value) || isCacheControl(value);
  return known !== undefined && hasOnly(part, known.members) && Object.values(part).every(isTextOrCaching);
}

function isToolCall(call: unknown): boolean {
  if (!isObject(call) || !hasOnly(call, TOOL_CALL_MEMBERS)) return false;
  const { extra_content: extra } = call;
  if (!isEmpty(extra) && !isSignature(extra)) return false;
  return [call["function"], call["custom"]].every(
    (called) => isEmpty(called) || (isObject(called) && hasOnly(called, CALLED_FUNCTION_MEMBERS)),
  );
}

/** Signature of reasoning, as Gemini returns it and takes it back. */
function isSignature(value: unknown): boolean {
  if (!isObject(value) || !hasOnly(value, new Set(["google"]))) return false;
  const { google } = value;
  return isObject(google) && hasOnly(google, new Set(["thought", "thought_signature"]));
}

function isCacheControl(value: unknown): boolean {
  return isObject(value) && hasOnly(value, new Set(["type", "ttl", "scope"]));
}

function collectText(text: unknown, input: InputCollector): boolean {
  if (typeof text !== "string" && !isEmpty(text)) return false;
  input.addText(text);
  return true;
}

/** Extensions of files that some upstreams accept in place of an image, and bill as such a file. */
const OTHER_MEDIA =
  /\.(?:pdf|txt|md|csv|html?|docx?|xlsx?|pptx?|mp4|m4v|mov|avi|webm|mkv|mpe?g|flv|wmv|3gpp?|mp3|wav|og[agv]|opus|flac|aac|m4a|aiff?)(?![a-z0-9])/i;

export function collectImage(image: unknown, input: InputCollector): boolean {
  const { url, format, detail } = isObject(image) ? image : { url: image };
  if (isObject(image) && !hasOnly(image, IMAGE_MEMBERS)) return false;
  if (!isEmpty(format) && !(typeof format === "string" && format.startsWith("image/"))) return false;
  if (typeof url !== "string") return false;
  if (isObject(image)) input.addNames(image, IMAGE_MEMBERS);
  input.addOther(format);
  input.addOther(detail);
  if (/^data:/i.test(url)) {
    const data = parseDataUrl(url);
    if (data?.mediaType.startsWith("image/") !== true) return false;
    input.addMedium({ kind: "image", base64: data.base64, detail });
  } else {
    if (!/^https?:/i.test(url) || OTHER_MEDIA.test(unescaped(url))) return false;
    input.addMedium({ kind: "image", base64: undefined, detail });
  }
  return true;
}

/** Bound of the head of a data URL. */
const MAX_HEAD_CHARS = 200;

/** Parses a data URL in base64. @returns undefined for any other */
function parseDataUrl(url: string): { readonly mediaType: string; readonly base64: string } | undefined {
  const head = /^data:([^,;]*)(?:;[^,;]*)*;base64,/i.exec(url.slice(0, MAX_HEAD_CHARS));
  if (head === null) return undefined;
  return { mediaType: (head[1] ?? "").trim().toLowerCase(), base64: url.slice(head[0].length) };
}

/** Decodes percent-encoded ASCII. */
function unescaped(url: string): string {
  return url.replace(/%[2-7][0-9a-f]/gi, (escape) => String.fromCharCode(Number.parseInt(escape.slice(1), 16)));
}

/** Length within which a reference has a character that base64 has not, e.g. the colon of a URL. */
const MAX_REFERENCE_CHARS = 1_000;

/** Adds inline audio. A reference in its place may be of any length. */
export function collectAudio(audio: unknown, input: InputCollector): boolean {
  if (!isObject(audio) || !hasOnly(audio, AUDIO_MEMBERS)) return false;
  const { data, format } = audio;
  if (!isEmpty(format) && typeof format !== "string") return false;
  if (typeof data !== "string" || !/^[A-Za-z0-9+/=_\s-]*$/.test(data.slice(0, MAX_REFERENCE_CHARS))) return false;
  input.addNames(audio, AUDIO_MEMBERS);
  input.addOther(format);
  input.addMedium({ kind: "audio", base64: data, format });
  return true;
}

/** Adds an inline file. A reference in its place may be of any length. */
export function collectFile(file: unknown, input: InputCollector): boolean {
  if (!isObject(file) || !hasOnly(file, FILE_MEMBERS)) return false;
  const { file_data: data, filename } = file;
  if (typeof data !== "string" || !(isEmpty(filename) || typeof filename === "string")) return false;
  const parsed = parseDataUrl(data);
  if (parsed === undefined) return false;
  input.addNames(file, FILE_MEMBERS);
  input.addText(filename);
  input.addMedium({ kind: "file", ...parsed });
  return true;
}

/** True if all members of an object but these are empty. */
export function hasOnly(object: JsonObject, names: ReadonlySet<string>): boolean {
  return Object.entries(object).every(([name, value]) => names.has(name) || isEmpty(value));
}

/** True if a value is too small to refer to media: null, a boolean, a number, or empty. */
export function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || typeof value === "boolean" || typeof value === "number") return true;
  if (Array.isArray(value) || typeof value === "string") return value.length === 0;
  return isObject(value) && Object.keys(value).length === 0;
}
