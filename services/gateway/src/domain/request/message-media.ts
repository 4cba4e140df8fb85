import { isObject } from "../wire/json.ts";
import { badField } from "../errors/refusal.ts";

/** Numbers of media in a request, whose tokens are not bounded by its bytes. */
export interface MediaCounts {
  readonly images: number;
  /** Files, and everything of unknown kind: it may be of any length. */
  readonly files: number;
}

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
  ["reasoning_details", isListOf((detail) => isObject(detail) && String(detail["type"]).startsWith("reasoning."))],
  ["thinking_blocks", isListOf((block) => isObject(block) && kindOfPart(block) === "text")],
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

/** Members of any part, beside its content. */
const COMMON_PART_MEMBERS = ["type", "cache_control", "prompt_cache_breakpoint"];

type PartKind = "text" | "image" | "file";

interface KnownPart {
  readonly members: ReadonlySet<string>;
  kindOf(part: JsonObject): PartKind;
}

const KNOWN_PARTS: ReadonlyMap<unknown, KnownPart> = new Map([
  ["text", { members: membersOf("text"), kindOf: ({ text }) => kindOfText(text) }],
  ["refusal", { members: membersOf("refusal"), kindOf: ({ refusal }) => kindOfText(refusal) }],
  ["thinking", { members: membersOf("thinking", "signature"), kindOf: ({ thinking }) => kindOfText(thinking) }],
  ["redacted_thinking", { members: membersOf("data"), kindOf: ({ data }) => kindOfText(data) }],
  ["image_url", { members: membersOf("image_url"), kindOf: ({ image_url }) => kindOfImage(image_url) }],
  ["input_audio", { members: membersOf("input_audio"), kindOf: ({ input_audio }) => kindOfAudio(input_audio) }],
] satisfies [string, KnownPart][]);

function membersOf(...names: readonly string[]): ReadonlySet<string> {
  return new Set([...COMMON_PART_MEMBERS, ...names]);
}

/**
 * Counts the media of messages. Text, inline audio and the text-like members are bounded by their bytes and count nothing; an
 * image counts as one; a file, and every part or member that is not known, counts as a file.
 *
 * @throws Refusal 400 that names the content or part which has no shape that the API knows
 */
export function countMedia(messages: readonly JsonObject[]): MediaCounts {
  const counts = { text: 0, image: 0, file: 0 };
  messages.forEach((message, index) => {
    for (const [name, value] of Object.entries(message)) {
      if (name === "content") for (const kind of kindsOfContent(value, `messages[${index}].content`)) counts[kind]++;
      else counts[kindOfMember(name, value)]++;
    }
  });
  return { images: counts.image, files: counts.file };
}

function kindsOfContent(content: unknown, path: string): readonly PartKind[] {
  if (content === null || typeof content === "string") return [];
  if (!Array.isArray(content)) throw badField(path, "must be a string or an array of parts");
  return content.map((part: unknown, index) => {
    if (!isObject(part)) throw badField(`${path}[${index}]`, "must be an object");
    return kindOfPart(part);
  });
}

function kindOfPart(part: JsonObject): PartKind {
  const known = KNOWN_PARTS.get(part["type"]);
  const { cache_control: caching } = part;
  if (known === undefined || !hasOnly(part, known.members)) return "file";
  return isEmpty(caching) || isCacheControl(caching) ? known.kindOf(part) : "file";
}

function kindOfMember(name: string, value: unknown): PartKind {
  return isEmpty(value) || TEXT_MEMBERS.get(name)?.(value) === true ? "text" : "file";
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}

function isListOf(isElement: (element: unknown) => boolean): (value: unknown) => boolean {
  return (value) => Array.isArray(value) && value.every(isElement);
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

function kindOfText(text: unknown): PartKind {
  return typeof text === "string" || isEmpty(text) ? "text" : "file";
}

/** Extensions of files that some upstreams accept in place of an image, and bill as such a file. */
const OTHER_MEDIA =
  /\.(?:pdf|txt|md|csv|html?|docx?|xlsx?|pptx?|mp4|m4v|mov|avi|webm|mkv|mpe?g|flv|wmv|3gpp?|mp3|wav|og[agv]|opus|flac|aac|m4a|aiff?)(?![a-z0-9])/i;

function kindOfImage(image: unknown): PartKind {
  const { url, format } = isObject(image) ? image : { url: image };
  if (isObject(image) && !hasOnly(image, new Set(["url", "detail", "format"]))) return "file";
  if (!isEmpty(format) && !(typeof format === "string" && format.startsWith("image/"))) return "file";
  if (typeof url !== "string") return "file";
  if (/^data:/i.test(url)) return /^data:image\//i.test(url) ? "image" : "file";
  return /^https?:/i.test(url) && !OTHER_MEDIA.test(unescaped(url)) ? "image" : "file";
}

/** Decodes percent-encoded ASCII. */
function unescaped(url: string): string {
  return url.replace(/%[2-7][0-9a-f]/gi, (escape) => String.fromCharCode(Number.parseInt(escape.slice(1), 16)));
}

/** Inline audio, in base64, has fewer tokens than bytes. A reference in its place may be of any length. */
function kindOfAudio(audio: unknown): PartKind {
  if (!isObject(audio) || !hasOnly(audio, new Set(["data", "format"]))) return "file";
  const { data, format } = audio;
  if (!isEmpty(format) && typeof format !== "string") return "file";
  return typeof data === "string" && /^[A-Za-z0-9+/=_\s-]*$/.test(data) ? "text" : "file";
}

/** True if all members of an object but these are empty. */
function hasOnly(object: JsonObject, names: ReadonlySet<string>): boolean {
  return Object.entries(object).every(([name, value]) => names.has(name) || isEmpty(value));
}

/** True if a value is too small to refer to media: null, a boolean, a number, or empty. */
function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || typeof value === "boolean" || typeof value === "number") return true;
  if (Array.isArray(value) || typeof value === "string") return value.length === 0;
  return isObject(value) && Object.keys(value).length === 0;
}
